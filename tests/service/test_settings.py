import secrets
import shlex
import subprocess
import sys
import tempfile
import traceback
import uuid

import pytest

from car_damage import parallel
from car_damage.errors import UserError
from car_damage.service import settings
from car_damage.service.key_strength import is_guessable
from car_damage.service.settings import Key, Settings, read

ADMIN = "wB5.nR2xK8sT~qL4mZ7y"
KEY, OTHER = "Zk3vX9-qLw7pT2bN.R5s", "hT8~cW4_yJ6mQ1dG+F0v=="
READ = {  # each variable's text and the value after reading
    "HOST": ("0.0.0.0", "0.0.0.0"),
    "PORT": ("8080", 8080),
    "WEB_CONCURRENCY": ("3", 3),
    "MAX_UPLOAD_MB": ("20", 20),
    "MAX_QUEUE": ("40", 40),
    "REQUEST_TIMEOUT": ("5", 5),
    "API_KEYS": (f"clerk:{KEY}, desk:{OTHER}", (Key("clerk", KEY), Key("desk", OTHER))),
    "ADMIN_KEYS": (ADMIN, (Key("key-5f399f82", ADMIN),)),
    "CORS_ORIGINS": ("https://a.b,http://c:3000", ("https://a.b", "http://c:3000")),
    "RATE_LIMIT": ("60/minute", "60/minute"),
    "RATE_LIMIT_STORAGE": ("redis://localhost:6379", "redis://localhost:6379"),
    "TRUSTED_PROXIES": ("2", 2),
    "LOG_FORMAT": ("text", "text"),
    "DATABASE_URL": ("sqlite:///data/records.db", "sqlite:///data/records.db"),
    "KEEP_PHOTOS": ("s3://claims/photos", "s3://claims/photos"),
    "RETENTION_DAYS": ("365", 365),
    "AUDIT_SHARE": ("0.05", 0.05),
}

ANY_DIGITS = ("API_KEYS", "ADMIN_KEYS", "RATE_LIMIT", "KEEP_PHOTOS")


def test_without_any_variable_the_service_needs_no_key_and_uses_every_core():
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
        ("HOST", "my-laptop", "an IP address. Use 127.0.0.1"),
        ("PORT", "0", "a whole number from 1 to 65535"),
        ("REQUEST_TIMEOUT", "1.5", "a whole number"),
        ("PORT", "+80", "a whole number"),
        ("PORT", "\u0665\u0660\u0660\u0660", "a whole number"),  # 5000 in Arabic digits
        ("MAX_QUEUE", "1001", "a whole number from 32 to 1000"),
        ("CORS_ORIGINS", "example.org", "an origin. Use * for all, or origins such as https://"),
        ("CORS_ORIGINS", "https://example.org/path", "an origin. Use *"),
        ("CORS_ORIGINS", "https://a.org?x", "an origin. Use *"),
        ("CORS_ORIGINS", "https://*.a.org", "an origin. Use *"),
        ("CORS_ORIGINS", "https://me@a.org", "an origin. Use *"),
        ("CORS_ORIGINS", "https://a.org:99999", "an origin. Use *"),
        ("CORS_ORIGINS", "https://[::g]", "an origin. Use *"),
        ("CORS_ORIGINS", "null", "an origin. Use *"),
        ("RATE_LIMIT", "often", "a rate. Use one such as 60/minute"),
        ("RATE_LIMIT", "0/minute", "a rate. Use one such as 60/minute"),  # would refuse everybody
        ("RATE_LIMIT", "5/0 minutes", "a rate. Use one such as 60/minute"),
        ("RATE_LIMIT", "60/minute;0/day", "a rate. Use one such as 60/minute"),
        ("RATE_LIMIT", "1/2 years", "a rate. Use one such as 60/minute"),
        ("LOG_FORMAT", "xml", "a log format. Use json or text."),
    ],
)
def test_the_error_for_a_wrong_variable_has_its_name_its_value_and_what_to_use(
    variable, value, expected
):
    with pytest.raises(UserError) as refused:
        read({variable: value})
    assert str(refused.value).startswith(f"{variable}: '{value}' is not {expected}")
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize(
    ("variable", "value"),
    [(variable, "9" * 5000) for variable in READ if variable not in ANY_DIGITS]
    + [("RATE_LIMIT", f"{'9' * 5000}/minute"), ("RATE_LIMIT", f"5/{'9' * 5000} minutes")],
)
def test_the_error_for_thousands_of_digits_is_short(variable, value):
    with pytest.raises(UserError) as refused:
        read({variable: value})
    assert len(str(refused.value)) < 250


@pytest.mark.parametrize(
    ("second", "fault"),
    [
        ("", "is empty"),
        ("long enough but two words", "has invalid characters. Use letters, digits"),
        ("Zk3vX9=qLw7pT2bN.R5s", "has invalid characters. Use letters, digits"),
        ("\u00e4" * 20, "has invalid characters. Use letters, digits"),
        (KEY * 60, "has 1200 characters. Use at most 1000."),
        ("Zk3vX9", "is easy to guess or shorter than 8 characters"),
        ("passw0rd", "is easy to guess"),
        (f"two words:{KEY}", "has an invalid name. Use up to 64 letters"),
        (f":{KEY}", "has an invalid name."),
    ],
)
def test_the_error_for_a_wrong_key_has_its_number_and_never_shows_it(second, fault):
    with pytest.raises(UserError) as refused:
        read({"API_KEYS": f"{KEY},{second}"})
    assert str(refused.value).startswith(f"API_KEYS: key 2 of 2 {fault}")
    assert KEY not in str(refused.value)
    assert not second or second not in str(refused.value)


def test_the_recommended_command_makes_a_valid_key():
    words = shlex.split(settings.NEW_KEY)
    assert words[:2] == ["python", "-c"]
    done = subprocess.run([sys.executable, *words[1:]], capture_output=True, text=True, check=True)
    assert read({"API_KEYS": done.stdout}).api_keys[0].secret == done.stdout.strip()


def test_a_key_without_a_name_is_named_by_its_hash_and_keeps_the_name_beside_other_keys():
    (alone,) = read({"API_KEYS": KEY}).api_keys
    (_, second) = read({"API_KEYS": f"clerk:{OTHER},{KEY}"}).api_keys
    assert alone == second
    assert alone.name.startswith("key-")


def test_a_key_cannot_be_an_ordinary_one_and_an_administrators():
    with pytest.raises(UserError, match="a key is in API_KEYS and in ADMIN_KEYS"):
        read({"API_KEYS": KEY, "ADMIN_KEYS": f"boss:{KEY}"})


@pytest.mark.parametrize("variable", ["KEEP_PHOTOS", "RETENTION_DAYS", "AUDIT_SHARE"])
def test_settings_of_the_records_are_refused_without_a_database(variable):
    with pytest.raises(UserError, match=f"{variable} needs a database: set DATABASE_URL too."):
        read({variable: READ[variable][0]})


@pytest.mark.parametrize("address", ["mysql://service:hunter2@localhost/records", "sqlite://"])
def test_the_error_for_another_database_does_not_show_its_password(address):
    with pytest.raises(UserError) as refused:
        read({"DATABASE_URL": address})
    assert str(refused.value).startswith("DATABASE_URL: the value is not a database")
    assert "hunter2" not in "".join(traceback.format_exception(refused.value))


@pytest.mark.parametrize("make", [secrets.token_urlsafe, secrets.token_hex, uuid.uuid4])
def test_random_keys_are_never_refused(make):
    assert not any(is_guessable(str(make())) for _ in range(500))


@pytest.mark.parametrize(
    "key", ["aaaaaaaaaaaaaaaa", "12345678", "98765432", "abcdefghijklmnop", "Password1", "abababab"]
)
def test_keys_that_people_try_first_are_refused(key):
    assert is_guessable(key)


def test_a_short_key_works_and_the_log_warns_about_it_without_showing_it():
    (sentence,) = settings.short_keys(read({"API_KEYS": f"{KEY},goodkey-1"}))
    assert sentence.startswith("API_KEYS: key 2 has only 9 characters.")
    assert "goodkey" not in sentence


@pytest.mark.parametrize(
    "address",
    [
        "cupboard://hunter2",
        "memory://hunter2",
        "async+redis://:hunter2@localhost",
        "redis://:hunter2@localhost:99999",
        "redis://:hunt/er2@localhost",
        "redis://:hunter2@localhost?no=option",
    ],
)
def test_the_error_for_a_wrong_storage_does_not_show_its_password(address):
    with pytest.raises(UserError) as refused:
        read({"RATE_LIMIT": "60/minute", "RATE_LIMIT_STORAGE": address})
    assert str(refused.value).startswith("RATE_LIMIT_STORAGE: the value is not a storage")
    report = "".join(traceback.format_exception(refused.value))
    assert "hunt" not in report


def test_secrets_are_not_shown_among_the_settings():
    shown = repr(
        read(
            {
                "API_KEYS": KEY,
                "RATE_LIMIT_STORAGE": "redis://:hunter2@localhost",
                "DATABASE_URL": "postgres://service:hunter2@localhost/records",
            }
        )
    )
    assert KEY not in shown
    assert "hunter2" not in shown


def test_origins_are_converted_to_the_form_that_browsers_send():
    text = "HTTPS://Claims.Example:443, http://c:80,https://[0:0::1]:3000,*"
    expected = ("https://claims.example", "http://c", "https://[::1]:3000", "*")
    assert read({"CORS_ORIGINS": text}).cors_origins == expected


def test_the_error_for_a_missing_temporary_folder_names_tmpdir(monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", None)
    monkeypatch.setattr(tempfile, "_candidate_tempdir_list", lambda: ["/no/such/folder"])
    settings.chosen.cache_clear()
    with pytest.raises(UserError, match=r"cannot write to a temporary folder .* Set TMPDIR"):
        settings.chosen()


@pytest.mark.parametrize(("workers", "threads"), [(1, 4), (2, 2), (3, 1), (8, 1)])
def test_workers_and_their_threads_use_all_cores(monkeypatch, workers, threads):
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
def test_the_warning_about_a_misspelt_variable_has_its_name_without_its_value(name, meant):
    (sentence,) = settings.misspelt({name: "secret", meant: "5"})
    assert sentence == f"{name} is not a setting and has no effect. Did you mean {meant}?"


def test_there_is_no_warning_about_variables_of_other_programs():
    others = "HOSTNAME HOSTTYPE PGHOST PGPORT REPORT OPENAI_API_KEY TIMEOUT CAR_DAMAGE_PORT LOGNAME"
    assert settings.misspelt(dict.fromkeys([*others.split(), *READ], "x")) == []
