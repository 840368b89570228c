import pytest

from tests.clients import RED, client_of, form, problem

KEY, OTHER = "first-key", "second-key"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client, **options):
    return client.post("/predict", data=form(RED), **options)


# Keys


@pytest.mark.parametrize("key", [KEY, OTHER])
def test_whoever_has_a_key_is_answered(models, key):
    client = client_of(models, api_keys=(KEY, OTHER))
    assert ask(client, headers=bearer(key)).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        bearer("wrong-key"),
        bearer(KEY + "x"),
        bearer(KEY[:-1]),
        bearer(""),
        {"Authorization": "Basic Zmlyc3Qta2V5Og=="},
        {"Authorization": KEY},
        {"X-API-Key": KEY},
    ],
)
def test_whoever_has_none_is_refused(models, headers):
    response = ask(client_of(models, api_keys=(KEY,)), headers=headers)
    assert problem(response) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_a_key_is_needed_for_answers_only(models):
    client = client_of(models, api_keys=(KEY,))
    for path in ("/", "/health", "/ready", "/model", "/metrics", "/openapi.json", "/docs"):
        assert client.get(path).status_code == 200, path


def test_a_key_is_never_logged(models, caplog):
    client = client_of(models, api_keys=(KEY,))
    with caplog.at_level("DEBUG"):
        ask(client, headers=bearer(KEY))
        ask(client, headers=bearer("wrong-key"))
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "status" in logged
    assert KEY not in logged
    assert "wrong-key" not in logged


# Rate


def test_too_many_requests_from_one_address_are_refused(models):
    client = client_of(models, rate_limit="2/hour")
    statuses = [ask(client).status_code for _ in range(3)]
    assert statuses == [200, 200, 429]
    response = ask(client)
    assert problem(response) == (429, "rate_limited")
    assert 1 < int(response.headers["Retry-After"]) <= 3601  # it is rounded up
    assert ask(client, environ_base={"REMOTE_ADDR": "10.0.0.7"}).status_code == 200


def test_whoever_is_answered_is_not_told_to_wait(models):
    assert "Retry-After" not in ask(client_of(models, rate_limit="2/hour")).headers


def test_a_full_queue_is_to_be_tried_again_soon_whatever_the_rate(models):
    client = client_of(models, rate_limit="2/hour", max_queue=0)
    response = ask(client)
    assert problem(response) == (503, "busy")
    assert response.headers["Retry-After"] == "1"


def test_photos_are_answered_and_counted_here_while_the_rates_storage_is_away(models):
    client = client_of(models, rate_limit="2/hour", rate_limit_storage="redis://127.0.0.1:1")
    assert [ask(client).status_code for _ in range(3)] == [200, 200, 429]


def test_each_key_has_a_rate_of_its_own(models):
    client = client_of(models, rate_limit="1/hour", api_keys=(KEY, OTHER))
    statuses = [ask(client, headers=bearer(key)).status_code for key in (KEY, KEY, OTHER)]
    assert statuses == [200, 429, 200]


def test_states_and_the_page_have_no_rate(models):
    client = client_of(models, rate_limit="1/hour")
    assert [client.get("/health").status_code for _ in range(3)] == [200] * 3


# Proxies


@pytest.mark.parametrize(
    ("proxies", "client_address"), [(0, "127.0.0.1"), (1, "9.9.9.9"), (2, "5.5.5.5")]
)
def test_a_forwarded_address_counts_only_behind_as_many_proxies_as_told(
    models, caplog, proxies, client_address
):
    client = client_of(models, trusted_proxies=proxies)
    with caplog.at_level("INFO"):
        client.get("/health", headers={"X-Forwarded-For": "1.1.1.1, 5.5.5.5, 9.9.9.9"})
    assert caplog.records[-1].client == client_address


# Pages from elsewhere


def test_a_page_from_elsewhere_may_call_only_where_its_origin_is_listed(models):
    client = client_of(models, cors_origins=("https://claims.example",), api_keys=(KEY,))
    allowed, other = (
        client.options(
            "/predict",
            headers={
                "Origin": origin,
                "Access-Control-Request-Method": "POST",
                "Access-Control-Request-Headers": "authorization",
            },
        )
        for origin in ("https://claims.example", "https://evil.example")
    )
    assert allowed.status_code == 200
    assert allowed.headers["Access-Control-Allow-Origin"] == "https://claims.example"
    assert "authorization" in allowed.headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Origin" not in other.headers
    refused = ask(client, headers={"Origin": "https://claims.example"})
    assert problem(refused) == (401, "unauthorized")
    assert refused.headers["Access-Control-Allow-Origin"] == "https://claims.example"


def test_a_browser_s_question_whether_a_page_may_call_counts_for_no_rate(tmp_path):
    client = client_of(tmp_path, cors_origins=("https://claims.example",), rate_limit="1/hour")
    headers = {"Origin": "https://claims.example", "Access-Control-Request-Method": "POST"}
    asked = [client.options("/predict", headers=headers).status_code for _ in range(3)]
    assert asked == [200, 200, 200]
    assert [ask(client).status_code for _ in range(2)] == [503, 429]  # there is no model


def test_without_any_origin_listed_no_page_from_elsewhere_may_call(models):
    response = ask(client_of(models), headers={"Origin": "https://claims.example"})
    assert "Access-Control-Allow-Origin" not in response.headers


# What a browser may do


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/health", "/nothing"])
def test_strict_rules_for_browsers_stand_on_every_answer(models, path):
    headers = client_of(models).get(path).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"


def test_answers_are_kept_in_no_cache(models):
    client = client_of(models)
    assert ask(client).headers["Cache-Control"] == "no-store"
    assert client.get("/ready").headers["Cache-Control"] == "no-store"
