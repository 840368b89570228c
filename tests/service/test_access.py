import pytest

from tests.clients import RED, client_of, form, problem

KEY, OTHER = "first-key", "second-key"
CLAIMS, EVIL = "https://claims.example", "https://evil.example"


def bearer(key: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {key}"}


def ask(client, **options):
    return client.post("/predict", data=form(RED), **options)


@pytest.mark.parametrize(
    "value",
    [None, KEY, "Basic Zmlyc3Qta2V5Og==", "Bearer "]
    + [f"Bearer {wrong}" for wrong in ("wrong-key", KEY + "x", KEY[:-1])],
)
def test_a_request_without_a_known_key_is_refused(models, value):
    client = client_of(models, api_keys=(KEY,))
    response = ask(client, headers={"Authorization": value} if value else {"X-API-Key": KEY})
    assert problem(response) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_only_predictions_need_a_key_and_have_a_rate(models):
    client = client_of(models, api_keys=(KEY,), rate_limit="1/hour")
    pages = ("/", "/docs", "/docs/css/swagger-ui.css", "/openapi.json")
    for path in (*pages, "/health", "/ready", "/model", "/metrics") * 2:
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


@pytest.mark.parametrize("storage", ["memory://", "redis://127.0.0.1:1"])  # nobody listens there
def test_an_address_that_asks_too_often_is_refused_and_told_how_long_to_wait(models, storage):
    client = client_of(models, rate_limit="2/hour", rate_limit_storage=storage)
    for _ in range(2):
        answered = ask(client)
        assert answered.status_code == 200
        assert "Retry-After" not in answered.headers
    refused = ask(client)
    assert problem(refused) == (429, "rate_limited")
    assert 1 < int(refused.headers["Retry-After"]) <= 3601  # it is rounded up
    assert ask(client, environ_base={"REMOTE_ADDR": "10.0.0.7"}).status_code == 200


def test_a_full_queue_can_be_tried_again_soon_whatever_the_rate(models):
    response = ask(client_of(models, rate_limit="2/hour", max_queue=0))
    assert problem(response) == (503, "busy")
    assert response.headers["Retry-After"] == "1"


def test_each_key_has_a_rate_of_its_own(models):
    client = client_of(models, rate_limit="1/hour", api_keys=(KEY, OTHER))
    statuses = [ask(client, headers=bearer(key)).status_code for key in (KEY, KEY, OTHER)]
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize(
    ("proxies", "client_address"), [(0, "127.0.0.1"), (1, "9.9.9.9"), (2, "5.5.5.5")]
)
def test_a_forwarded_address_counts_only_behind_as_many_proxies_as_set(
    models, caplog, proxies, client_address
):
    client = client_of(models, trusted_proxies=proxies)
    with caplog.at_level("INFO"):
        client.get("/health", headers={"X-Forwarded-For": "1.1.1.1, 5.5.5.5, 9.9.9.9"})
    assert caplog.records[-1].client == client_address


def test_a_page_from_elsewhere_may_call_only_if_its_origin_is_listed(models):
    client = client_of(models, cors_origins=(CLAIMS,), api_keys=(KEY,), rate_limit="1/hour")
    wanted = {"Access-Control-Request-Method": "POST"}
    wanted["Access-Control-Request-Headers"] = "authorization"
    other, *allowed = (  # that a browser asks first does not count as a request
        client.options("/predict", headers={"Origin": origin, **wanted})
        for origin in (EVIL, CLAIMS, CLAIMS)
    )
    assert [response.status_code for response in allowed] == [200, 200]
    assert allowed[0].headers["Access-Control-Allow-Origin"] == CLAIMS
    assert "authorization" in allowed[0].headers["Access-Control-Allow-Headers"].lower()
    assert "Access-Control-Allow-Origin" not in other.headers
    refused = ask(client, headers={"Origin": CLAIMS})
    assert problem(refused) == (401, "unauthorized")
    assert refused.headers["Access-Control-Allow-Origin"] == CLAIMS


def test_without_any_origin_listed_no_page_from_elsewhere_may_call(models):
    response = ask(client_of(models), headers={"Origin": CLAIMS})
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/predict", "/ready", "/no"])
def test_every_response_has_strict_rules_for_browsers_and_no_cache_keeps_an_answer(models, path):
    client = client_of(models)
    headers = (ask(client) if path == "/predict" else client.get(path)).headers
    policy = headers["Content-Security-Policy"]
    assert policy.startswith("default-src 'none'")
    assert "unsafe" not in policy
    assert "http" not in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["X-Frame-Options"] == "DENY"
    assert headers["Referrer-Policy"] == "no-referrer"
    if path in ("/ready", "/predict"):
        assert headers["Cache-Control"] == "no-store"
