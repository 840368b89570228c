"""The pages of a service that records, in a real browser (Debian's package chromium)."""

from collections.abc import Iterator
from contextlib import ExitStack
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page, Route, expect
from sqlalchemy import delete

from car_damage.records import reviewing
from car_damage.records.tables import predictions
from car_damage.service.settings import Key
from tests.clients import RED, serving
from tests.records.answered import (
    add,
    add_audit,
    add_unsure,
    client_with,
    keep,
    labels,
    waiting,
)
from tests.service.test_page import KEY, PHONE, answering, browser, choose, photo, serious

__all__ = ["browser"]  # the fixture
WIDE = {"width": 1280, "height": 900}


@pytest.fixture
def database_url(tmp_path):
    """One database is enough for the pages."""
    return f"sqlite:///{tmp_path / 'records.db'}"


@pytest.fixture
def serve(models, engine, database_url, tmp_path):
    """Start the service with these settings on a free port and return its address."""
    with ExitStack() as servers:

        def start(keeps: bool = True, **settings) -> str:
            if keeps:
                settings["keep_photos"] = str(tmp_path / "kept")
            client = client_with(models, database_url, **settings)
            return servers.enter_context(serving(client.application))

        yield start


@pytest.fixture
def page(browser: Browser, engine, tmp_path, monkeypatch) -> Iterator[Page]:
    """An empty page. An error on its console fails the test."""
    monkeypatch.setattr(reviewing, "AUDITS_FIRST", 0)
    keep(engine, tmp_path / "kept")
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    yield page
    page.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def shows_photo(page: Page, left: int) -> None:
    expect(page.locator("#left")).to_have_text(f"{left} left")
    expect(page.locator("#photo")).to_have_attribute("aria-busy", "false")


def test_each_photo_is_answered_with_one_key_until_none_is_left(page, serve, engine):
    ids = [add_unsure(engine, 0.5 + number / 10) for number in range(3)]
    page.goto(serve() + "review")
    for left, key in zip((3, 2, 1), "dNc", strict=True):
        shows_photo(page, left)
        page.keyboard.press(key)
    expect(page.get_by_role("heading", name="Nothing is left to review")).to_be_focused()
    words = [word for word, _ in map(labels(engine).get, ids)]
    assert words == ["damaged", "not_damaged", "cannot_tell"]


def test_each_photo_is_answered_with_one_tap_and_a_screen_reader_hears_it(page, serve, engine):
    for _ in range(2):
        add_unsure(engine, 0.52)
    page.goto(serve() + "review")
    status = page.get_by_role("status")
    expect(status).to_have_text("The model is not sure. Probability of damage: 52 %. 2 left.")
    page.get_by_role("button", name="Not damaged").click()
    expect(status).to_contain_text("You said: not damaged. The model is not sure.")
    shows_photo(page, 1)


def test_the_heatmap_and_the_warnings_are_shown_for_an_unsure_photo(page, serve, engine):
    add_unsure(engine, model_version="20250101-0000-0000", warnings="dark")
    page.goto(serve() + "review")
    expect(page.get_by_text("The photo is very dark.")).to_be_visible()
    expect(page.locator(".overlay")).to_be_hidden()
    page.get_by_role("switch").click()
    expect(page.locator(".overlay")).to_be_visible()
    expect(page.locator(".why")).to_contain_text("The heatmap comes from a newer model")
    over, under = page.locator(".overlay").bounding_box(), page.locator(".photo").bounding_box()
    assert over == under
    page.keyboard.press("h")
    expect(page.locator(".overlay")).to_be_hidden()


def test_an_audit_shows_the_model_s_answer_only_after_the_person_s(page, serve, engine):
    add_audit(engine, 0.95)
    add_unsure(engine, 0.52, sureness=0.6)
    page.goto(serve() + "review")
    shows_photo(page, 2)
    page.keyboard.press("c")  # the unsure one
    shows_photo(page, 1)
    expect(page.locator("#about")).to_contain_text("Random check")
    expect(page.get_by_role("switch")).to_be_hidden()
    assert "95" not in page.locator("body").inner_text()
    page.keyboard.press("n")
    outcome = "You said: not damaged. The model said: damaged, probability of damage 95 %."
    expect(page.locator("#outcome p")).to_have_text(outcome)
    expect(page.get_by_role("status")).to_have_text(outcome)
    expect(page.get_by_role("button", name="Undo")).to_be_hidden()
    page.keyboard.press("h")
    expect(page.locator(".overlay")).to_be_visible()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()


@pytest.mark.parametrize("others", [0, 1], ids=["last photo", "more photos"])
def test_the_last_answer_can_be_undone(page, serve, engine, others):
    first = add_unsure(engine, 0.5)
    for _ in range(others):
        add_unsure(engine, 0.6)
    page.goto(serve() + "review")
    shows_photo(page, 1 + others)
    page.keyboard.press("d")
    expect(page.get_by_text("You said: damaged.")).to_have_count(1 + 1)  # also read out
    page.keyboard.press("u")
    shows_photo(page, 1 + others)
    expect(page.get_by_text("Probability of damage: 50 %")).to_have_count(2)
    assert labels(engine) == {}
    page.keyboard.press("n")
    expect(page.locator("#last")).to_contain_text("You said: not damaged.")
    assert labels(engine) == {first: ("not_damaged", True)}


def test_a_reload_shows_the_same_photo_and_two_windows_show_different_ones(
    page, browser, serve, engine
):
    for probability in (0.51, 0.54):
        add_unsure(engine, probability)
    address = serve() + "review"
    page.goto(address)
    expect(page.get_by_text("damage: 51 %").first).to_be_visible()
    other = browser.new_page()
    other.goto(address)
    expect(other.get_by_text("damage: 54 %").first).to_be_visible()
    page.reload()
    expect(page.get_by_text("damage: 51 %").first).to_be_visible()
    other.close()


def test_if_somebody_else_was_faster_the_page_goes_on_with_the_next_photo(page, serve, engine):
    first = add_unsure(engine, 0.5)
    add_unsure(engine, 0.6)
    page.goto(serve() + "review")
    shows_photo(page, 2)
    with engine.begin() as connection:
        connection.execute(delete(predictions).where(predictions.c.id == first))
    page.keyboard.press("d")
    shows_photo(page, 1)
    expect(page.get_by_role("status")).to_contain_text("The service has no record of this photo.")
    assert labels(engine) == {}


def test_a_failed_answer_says_why_and_is_sent_again_on_request(page, serve, engine):
    this = add_unsure(engine)
    page.goto(serve() + "review")
    shows_photo(page, 1)
    page.route("**/review/*", lambda route: route.abort(), times=1)
    page.keyboard.press("d")
    expect(page.locator("#trouble")).to_contain_text("The service cannot be reached.")
    assert waiting(engine) == {this}
    page.get_by_role("button", name="Try again").click()
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()
    assert labels(engine) == {this: ("damaged", True)}


def test_the_review_asks_for_the_access_key(page, serve, engine):
    add_unsure(engine, owner="clerk")
    page.goto(serve(api_keys=(Key("clerk", KEY),)) + "review")
    key = page.get_by_label("Access key")
    expect(key).to_be_focused()
    page.keyboard.type("dnc-wrong-key")
    page.keyboard.press("Enter")
    expect(page.get_by_role("alert")).to_contain_text("This key does not work.")
    key.fill(KEY)
    page.keyboard.press("Enter")
    shows_photo(page, 1)


def test_the_keys_can_be_switched_off_for_people_who_dictate(page, serve, engine):
    this = add_unsure(engine)
    page.goto(serve() + "review")
    shows_photo(page, 1)
    page.get_by_label("Use the keys").uncheck()
    page.keyboard.press("d")
    page.reload()
    shows_photo(page, 1)
    page.keyboard.press("d")
    expect(page.locator("kbd").first).to_be_hidden()
    assert waiting(engine) == {this}
    page.get_by_label("Use the keys").check()
    page.keyboard.press("d")
    expect(page.get_by_role("heading", name="Nothing is left")).to_be_visible()


def test_a_closed_page_gives_its_photo_back(page, browser, serve, engine, monkeypatch):
    monkeypatch.setattr(reviewing, "RELOAD", timedelta(0))
    add_unsure(engine)
    address = serve() + "review"
    closed = browser.new_page()
    closed.goto(address)
    shows_photo(closed, 1)
    closed.close(run_before_unload=True)
    page.goto(address)
    look = page.get_by_role("button", name="Look again")
    while not page.locator("#left").is_visible():  # the release may come a moment later
        if look.is_visible():
            look.click()
        page.wait_for_timeout(50)


def test_without_kept_photos_the_page_says_so_and_how_to_change_it(page, serve):
    page.goto(serve(keeps=False) + "review")
    expect(page.get_by_text("This service does not keep photos")).to_be_visible()
    expect(page.get_by_text("KEEP_PHOTOS")).to_be_visible()
    assert serious(page) == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_the_review_is_accessible_and_fits_phones_and_wide_screens(
    page, serve, engine, scheme, viewport
):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    add_unsure(engine, 0.5, warnings="dark blurred")
    add_audit(engine)
    page.goto(serve() + "review")
    shows_photo(page, 2)
    for _ in ("unsure", "audit"):
        for button in page.locator("#choices button").all():
            expect(button).to_be_in_viewport()
        assert serious(page) == []
        assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
        page.get_by_role("button", name="Cannot tell").click()
        expect(page.locator("#photo")).to_have_attribute("aria-busy", "false")
    expect(page.get_by_role("button", name="Next photo")).to_be_focused()
    assert serious(page) == []


def test_a_person_says_on_the_main_page_whether_an_answer_was_right(page, serve, engine):
    this = add(engine)
    page.goto(serve())
    answering(page, prediction_id=this)
    choose(page, photo(RED))
    right = page.get_by_role("group", name="Was this right?")
    right.get_by_role("button", name="Not damaged").click()
    expect(right).to_contain_text("Saved, thank you.")
    expect(page.get_by_role("status")).to_contain_text("Saved, thank you.")
    pressed = right.locator("[aria-pressed=true]")
    expect(pressed).to_have_text("Not damaged")
    right.get_by_role("button", name="Damaged", exact=True).click()
    expect(pressed).to_have_text("Damaged")
    expect(right).to_contain_text("Saved, thank you.")
    assert labels(engine) == {this: ("damaged", False)}
    page.get_by_role("switch").click()  # this answer has no id of its own
    expect(page.locator(".overlay")).to_be_visible()
    expect(right).to_be_visible()
    assert serious(page) == []


def test_feedback_that_fails_says_why_and_the_earlier_word_stays(page, serve, engine):
    this = add(engine)
    page.goto(serve())
    answering(page, prediction_id=this)
    choose(page, photo(RED))
    right = page.get_by_role("group", name="Was this right?")
    refusal = {"type": "/problems/records_unavailable", "detail": "The database is gone."}

    def refuse(route: Route) -> None:
        route.fulfill(status=503, json=refusal)

    page.route("**/feedback", refuse, times=1)
    right.get_by_role("button", name="Not damaged").click()
    expect(right).to_contain_text("Not saved. The service cannot reach its records.")
    expect(right.locator("[aria-pressed=true]")).to_have_count(0)


def test_the_main_page_has_no_feedback_without_an_id_or_without_a_key(page, serve, engine):
    page.goto(serve())
    answering(page, prediction_id=None)  # the service could not record it
    choose(page, photo(RED))
    expect(page.locator(".measure")).to_be_visible()
    expect(page.locator(".feedback")).to_be_hidden()
    page.goto(serve(admin_keys=(Key("boss", KEY),)))  # anybody may send photos, but not feedback
    answering(page, prediction_id=add(engine))
    choose(page, photo(RED))
    expect(page.locator(".measure")).to_be_visible()
    expect(page.locator(".feedback")).to_be_hidden()


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"retention_days": 30}, "Photos and their results are kept for 30 days."),
        ({}, "Photos and their results are kept until somebody deletes them."),
        (
            {"keeps": False, "retention_days": 1},
            "Photos are not kept. Their results are kept for 1 day.",
        ),
    ],
)
def test_the_main_page_says_plainly_whether_photos_are_kept(page, serve, settings, sentence):
    page.goto(serve(**settings))
    expect(page.get_by_text(sentence)).to_be_visible()
    expect(page.get_by_role("link", name="Review photos")).to_be_visible()


@pytest.mark.parametrize(
    ("seen", "sentence"),
    [
        (
            {"match": "exact", "times": 3},
            "This photo came before: 3 times, last on 12 May 2026.",
        ),
        ({"match": "similar", "times": 1}, "A similar photo came before, on 12 May 2026."),
    ],
)
def test_the_main_page_says_that_a_photo_came_before(page, serve, seen, sentence):
    page.goto(serve())
    answering(page, seen_before=seen | {"last": "2026-05-12T10:00:00Z"})
    choose(page, photo(RED))
    expect(page.locator(".seen")).to_have_text(sentence)
    expect(page.get_by_role("status")).to_contain_text(sentence)
