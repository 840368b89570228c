import pytest

from car_damage import parallel
from car_damage.errors import UserError
from car_damage.service import settings
from car_damage.service.settings import Settings, read


def test_without_any_variable_the_service_is_open_and_uses_every_core():
    assert read({}) == Settings(workers=parallel.cores())
    assert Settings().api_keys == ()


def test_a_variable_that_is_empty_counts_as_unset():
    assert read(dict.fromkeys(settings.VARIABLES, " ")) == read({})


def test_every_variable_is_read():
    chosen = read(
        {
            "PORT": "8080",
            "WEB_CONCURRENCY": "3",
            "MAX_UPLOAD_MB": "20",
            "MAX_QUEUE": "40",
            "REQUEST_TIMEOUT": "5",
            "API_KEYS": "first-key, second-key",
            "CORS_ORIGINS": "https://a.example,http://localhost:3000",
            "RATE_LIMIT": "60/minute",
            "RATE_LIMIT_STORAGE": "redis://localhost:6379",
            "TRUSTED_PROXIES": "2",
            "LOG_FORMAT": "text",
        }
    )
    assert chosen == Settings(
        port=8080,
        workers=3,
        max_upload_mb=20,
        max_queue=40,
        request_timeout=5,
        api_keys=("first-key", "second-key"),
        cors_origins=("https://a.example", "http://localhost:3000"),
        rate_limit="60/minute",
        rate_limit_storage="redis://localhost:6379",
        trusted_proxies=2,
        log_format="text",
    )


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("PORT", "0", "a whole number, 1 to 65535"),
        ("WEB_CONCURRENCY", "two", "a whole number"),
        ("MAX_UPLOAD_MB", "-1", "a whole number"),
        ("MAX_QUEUE", "31", "a whole number, 32 to 10000"),
        ("REQUEST_TIMEOUT", "1.5", "a whole number"),
        ("API_KEYS", "short", "keys of at least 8 printable ASCII characters"),
        ("API_KEYS", "long enough", "keys of at least 8"),
        ("API_KEYS", "first-key,,second-key", "keys of at least 8"),
        ("CORS_ORIGINS", "example.org", "origins such as https://example.org"),
        ("CORS_ORIGINS", "https://example.org/path", "origins such as"),
        ("RATE_LIMIT", "often", "a rate such as 60/minute"),
        ("RATE_LIMIT_STORAGE", "cupboard://", "a storage such as memory:// or redis://"),
        ("TRUSTED_PROXIES", "yes", "a whole number"),
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
    assert Settings(workers=workers).graph_threads == threads


@pytest.mark.parametrize(
    ("files", "cores"),
    [
        ({}, 8),
        ({"cpu.max": "max 100000\n"}, 8),
        ({"cpu.max": "250000 100000\n"}, 2),
        ({"cpu.max": "50000 100000\n"}, 1),
        ({"cpu.max": "9900000 100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "-1\n", "cpu/cpu.cfs_period_us": "100000\n"}, 8),
        ({"cpu/cpu.cfs_quota_us": "300000\n", "cpu/cpu.cfs_period_us": "100000\n"}, 3),
    ],
)
def test_a_container_s_quota_limits_the_cores(tmp_path, monkeypatch, files, cores):
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.setattr(parallel, "CGROUPS", tmp_path)
    monkeypatch.setattr("os.sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert parallel.cores() == cores
