import pytest

from car_damage import parallel
from car_damage.errors import UserError
from car_damage.service import settings
from car_damage.service.settings import Settings, read

READ = {  # a text, and the value that it becomes
    "HOST": ("0.0.0.0", "0.0.0.0"),
    "PORT": ("8080", 8080),
    "WEB_CONCURRENCY": ("3", 3),
    "MAX_UPLOAD_MB": ("20", 20),
    "MAX_QUEUE": ("40", 40),
    "REQUEST_TIMEOUT": ("5", 5),
    "API_KEYS": ("first-key, second-key", ("first-key", "second-key")),
    "CORS_ORIGINS": ("https://a.b,http://c:3000", ("https://a.b", "http://c:3000")),
    "RATE_LIMIT": ("60/minute", "60/minute"),
    "RATE_LIMIT_STORAGE": ("redis://localhost:6379", "redis://localhost:6379"),
    "TRUSTED_PROXIES": ("2", 2),
    "LOG_FORMAT": ("text", "text"),
}


def test_without_any_variable_the_service_is_open_and_uses_every_core():
    assert read({}) == Settings(web_concurrency=parallel.cores())
    assert read(dict.fromkeys(READ, " ")) == read({})  # an empty variable counts as unset
    assert Settings().api_keys == ()


def test_every_variable_is_read():
    assert READ.keys() == settings.VARIABLES.keys()
    chosen = read({variable: text for variable, (text, _) in READ.items()})
    assert chosen == Settings(**{name.lower(): value for name, (_, value) in READ.items()})


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("HOST", "my-laptop", "an IP address such as 127.0.0.1"),
        ("PORT", "0", "a whole number, 1 to 65535"),
        ("REQUEST_TIMEOUT", "1.5", "a whole number"),
        ("API_KEYS", "short", "keys of at least 8 printable ASCII characters"),
        ("API_KEYS", "long enough", "keys of at least 8"),
        ("API_KEYS", "first-key,,second-key", "keys of at least 8"),
        ("CORS_ORIGINS", "example.org", "origins such as https://example.org"),
        ("CORS_ORIGINS", "https://example.org/path", "origins such as"),
        ("RATE_LIMIT", "often", "a rate such as 60/minute"),
        ("RATE_LIMIT_STORAGE", "cupboard://", "a storage such as memory:// or redis://"),
        ("LOG_FORMAT", "xml", "json or text"),
    ],
)
def test_a_wrong_variable_is_told_with_its_name_its_value_and_what_is_expected(
    variable, value, expected
):
    with pytest.raises(UserError) as refused:
        read({variable: value})
    assert str(refused.value).startswith(f"{variable}: '{value}' is not {expected}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(("workers", "threads"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_workers_and_their_threads_fill_the_cores(monkeypatch, workers, threads):
    monkeypatch.setattr(settings, "cores", lambda: 4)
    assert Settings(web_concurrency=workers).graph_threads == threads


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("MAXQUEUE", "MAX_QUEUE"),
        ("max_queue", "MAX_QUEUE"),
        ("API_KEY", "API_KEYS"),
        ("CORS_ORIGIN", "CORS_ORIGINS"),
        ("WEB_CONCURENCY", "WEB_CONCURRENCY"),
        ("TRUSTED_PROXY", "TRUSTED_PROXIES"),
    ],
)
def test_a_misspelt_variable_is_warned_of_by_name_without_its_value(name, meant):
    (sentence,) = settings.misspelt({name: "secret", meant: "5"})
    assert sentence == f"{name} is not a setting and has no effect. Did you mean {meant}?"


def test_variables_of_other_programs_are_not_warned_of():
    others = "HOSTNAME HOSTTYPE PGHOST PGPORT REPORT OPENAI_API_KEY TIMEOUT CAR_DAMAGE_PORT LOGNAME"
    assert settings.misspelt(dict.fromkeys([*others.split(), *READ], "x")) == []
