import time
from time import monotonic

import pytest

from car_damage.service import access, api, rates
from car_damage.service.settings import Key
from tests.clients import RED, client_of, form, problem

KEY, OTHER = "Zk3vX9-qLw7pT2bN.R5s", "hT8~cW4_yJ6mQ1dG+F0v=="
KEYS = (Key("clerk", KEY), Key("desk", OTHER))
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
    client = client_of(models, api_keys=KEYS[:1])
    response = ask(client, headers={"Authorization": value} if value else {"X-API-Key": KEY})
    assert problem(response) == (401, "unauthorized")
    assert response.headers["WWW-Authenticate"] == "Bearer"


def test_only_predictions_need_a_key_and_have_a_rate_limit(models):
    client = client_of(models, api_keys=KEYS[:1], rate_limit="1/hour")
    pages = ("/", "/docs", "/docs/css/swagger-ui.css", "/openapi.json")
    for path in (*pages, "/health", "/ready", "/model", "/metrics") * 2:
        assert client.get(path).status_code == 200, path


def test_a_key_is_never_logged(models, caplog):
    client = client_of(models, api_keys=KEYS[:1])
    with caplog.at_level("DEBUG"):
        ask(client, headers=bearer(KEY))
        ask(client, headers=bearer("wrong-key"))
    logged = " ".join(str(vars(record)) for record in caplog.records)
    assert "status" in logged
    assert KEY not in logged
    assert "wrong-key" not in logged


@pytest.mark.parametrize("storage", ["memory://", "redis://127.0.0.1:1"])  # nobody listens there
def test_an_address_over_the_rate_limit_is_refused_and_gets_the_time_to_wait(models, storage):
    client = client_of(models, rate_limit="2/hour", rate_limit_storage=storage)
    for _ in range(2):
        answered = ask(client)
        assert answered.status_code == 200
        assert "Retry-After" not in answered.headers
    refused = ask(client)
    assert problem(refused) == (429, "rate_limited")
    assert 1 < int(refused.headers["Retry-After"]) <= 3600
    assert ask(client, environ_base={"REMOTE_ADDR": "10.0.0.7"}).status_code == 200


def test_a_client_can_try_a_full_queue_again_soon_with_any_rate_limit(models):
    response = ask(client_of(models, rate_limit="2/hour", max_queue=0))
    assert problem(response) == (503, "busy")
    assert response.headers["Retry-After"] == "1"


def statuses_of(client, *counts):
    return [client.post("/predict", data=form(*[RED] * count)).status_code for count in counts]


def test_the_rate_limit_counts_photos_and_not_requests(models):
    assert statuses_of(client_of(models, rate_limit="5/hour"), 3, 2, 1) == [200, 200, 429]
    assert statuses_of(client_of(models, rate_limit="5/hour"), 3, 3, 1) == [200, 429, 429]


def test_the_error_for_a_request_with_more_photos_than_the_rate_limit_says_to_send_fewer(models):
    response = client_of(models, rate_limit="5/hour").post("/predict", data=form(*[RED] * 6))
    assert problem(response) == (429, "rate_limited")
    assert "5 photos per hour, but this request alone has more" in response.json["detail"]


def test_a_client_over_the_rate_limit_is_refused_before_the_body_is_read(models, monkeypatch):
    client = client_of(models, rate_limit="2/hour")
    assert statuses_of(client, 1) == [200]
    assert client.post("/predict", data=b"").status_code == 400  # counts as one photo
    monkeypatch.setattr(api, "photos_in_request", lambda: pytest.fail("it read the body"))
    assert statuses_of(client, 1) == [429]


def test_retry_after_comes_from_the_shortest_rate_that_was_exceeded(models):
    client = client_of(models, rate_limit="100/day;1/minute")
    assert statuses_of(client, 1) == [200]
    assert int(ask(client).headers["Retry-After"]) <= 60


def test_setting_the_clock_back_does_not_lock_clients_out(models, monkeypatch):
    client = client_of(models, rate_limit="1/minute")
    assert statuses_of(client, 1, 1) == [200, 429]
    month = 30 * 24 * 3600
    monkeypatch.setattr(time, "time", lambda now=time.time: now() - month)
    assert int(ask(client).headers["Retry-After"]) <= 60
    monkeypatch.setattr(rates, "monotonic", lambda now=monotonic: now() + 61)
    assert statuses_of(client, 1) == [200]


def test_the_oldest_count_is_removed_when_there_are_too_many(monkeypatch):
    monkeypatch.setattr(rates, "MOST_CLIENTS", 3)
    counts = rates.InMemory()
    assert [counts.add(client, 60, 1) for client in "abcdaa"] == [1, 1, 1, 1, 1, 2]


def test_the_service_waits_before_it_asks_redis_again_and_logs_no_password(caplog):
    own = rates.Rates("2/hour", "redis://:hunter2@127.0.0.1:1")  # nobody listens there
    with caplog.at_level("DEBUG"):
        own.charge("somebody", 1)
        own.charge("somebody", 1)
    assert [record.levelname for record in caplog.records].count("WARNING") == 1
    assert "hunter2" not in caplog.text


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7:4711", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:DB8:1:2::1", "2001:db8:1:2::/64"),
        ("[2001:db8:1:2::9]:4711", "2001:db8:1:2::/64"),
        ("fe80::1%eth0", "fe80::/64"),
        ("", "unknown"),
        ("<script>", "unknown"),
    ],
)
def test_every_spelling_of_an_address_is_one_client_and_so_is_an_ipv6_64(address, network):
    assert access.network_of(address) == network


def test_all_addresses_of_an_ipv6_64_share_one_rate_limit(models):
    client = client_of(models, rate_limit="1/hour")
    addresses = ("2001:db8::1", "2001:db8::2", "2001:db8:0:1::1")
    statuses = [ask(client, environ_base={"REMOTE_ADDR": one}).status_code for one in addresses]
    assert statuses == [200, 429, 200]


def test_each_key_has_its_own_rate_limit(models):
    client = client_of(models, rate_limit="1/hour", api_keys=KEYS)
    statuses = [ask(client, headers=bearer(key)).status_code for key in (KEY, KEY, OTHER)]
    assert statuses == [200, 429, 200]


@pytest.mark.parametrize(
    ("proxies", "client_address"), [(0, "127.0.0.1"), (1, "9.9.9.9"), (2, "5.5.5.5")]
)
def test_a_forwarded_address_is_used_only_with_that_many_trusted_proxies(
    models, caplog, proxies, client_address
):
    client = client_of(models, trusted_proxies=proxies)
    with caplog.at_level("INFO"):
        client.get("/health", headers={"X-Forwarded-For": "1.1.1.1, 5.5.5.5, 9.9.9.9"})
    assert caplog.records[-1].client == client_address


def test_a_page_of_another_site_may_call_only_if_its_origin_is_listed(models):
    client = client_of(models, cors_origins=(CLAIMS,), api_keys=KEYS[:1], rate_limit="1/hour")
    wanted = {"Access-Control-Request-Method": "POST"}
    wanted["Access-Control-Request-Headers"] = "authorization"
    other, *allowed = (  # a preflight does not count for the rate limit
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


@pytest.mark.parametrize(
    ("listed", "hostile"),
    [
        ("https://[::1]:3000", "https://1:3000.evil.org"),
        ("https://[::1]:3000", "https://1:3000"),
        ("https://[::1]:3000", "https://::3000"),
        (CLAIMS, CLAIMS + ".evil.example"),
        (CLAIMS, CLAIMS + ":8443"),
        (CLAIMS, CLAIMS + "\n"),
        (CLAIMS, "https://claimsXexample"),
        (CLAIMS, "http://claims.example"),
        (CLAIMS, "null"),
    ],
)
def test_an_origin_is_compared_exactly_and_similar_ones_may_not_call(models, listed, hostile):
    client = client_of(models, cors_origins=(listed,))
    answers = [
        client.get("/model", environ_overrides={"HTTP_ORIGIN": origin})
        for origin in (listed, hostile)
    ]
    allowed = [answer.headers.get("Access-Control-Allow-Origin") for answer in answers]
    assert allowed == [listed, None]


@pytest.mark.parametrize("path", ["//predict", "/docs//css", "/static//page.js", "/docs/"])
def test_a_forged_host_does_not_appear_in_the_response(models, path):
    forged = {"PATH_INFO": path, "HTTP_HOST": "evil.example"}
    response = client_of(models).get("/", environ_overrides=forged)
    assert "evil" not in response.text + str(response.headers)


def test_without_listed_origins_no_page_of_another_site_may_call(models):
    response = ask(client_of(models), headers={"Origin": CLAIMS})
    assert "Access-Control-Allow-Origin" not in response.headers


@pytest.mark.parametrize("path", ["/", "/docs", "/static/page.js", "/predict", "/ready", "/no"])
def test_every_response_has_security_headers_and_answers_are_not_cached(models, path):
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
