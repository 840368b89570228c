"""The page in a real browser (Debian's package chromium), as a person uses it."""

import csv
import re
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import fields
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
from axe_playwright_python.sync_playwright import Axe
from PIL import Image
from playwright.sync_api import Browser, Page, Route, expect, sync_playwright

from car_damage import model_store
from car_damage.classify_files import Row
from car_damage.decision import Decision
from car_damage.photo_warnings import WarningWord
from car_damage.service.settings import Key
from tests import tiny_model
from tests.clients import BLUE, RED, client_of, serving
from tests.photo_files import heic, jpeg, texture
from tests.programs import program
from tests.test_photos import encoded
from tests.tiny_model import plain_photo

PHONE = {"width": 360, "height": 740}
KEY = "a-key-of-the-suite"

DECISION = Decision(temperature=2.0, threshold=0.5, review_band=(0.3, 0.7))
REDDISH = jpeg(np.full((80, 120, 3), (92, 60, 60), np.uint8))  # in the middle of the band


@pytest.fixture(scope="module")
def serve(tmp_path_factory, tiny_graph):
    """Start the service with these settings on a free port and return its address."""
    models = tmp_path_factory.mktemp("models")
    model_store.use(models, tiny_model.add_version(models, tiny_graph, decision=DECISION))
    with ExitStack() as servers:

        def start(**settings) -> str:
            return servers.enter_context(serving(client_of(models, **settings).application))

        yield start


@pytest.fixture(scope="module")
def address(serve) -> str:
    return serve()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    chromium = program("chromium", "chromium")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        yield browser
        browser.close()


@pytest.fixture
def page(browser, address) -> Iterator[Page]:
    """The page, freshly opened. An error on its console fails the test."""
    page = browser.new_page()
    complaints = []
    page.on("console", lambda message: message.type == "error" and complaints.append(message.text))
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.goto(address)
    yield page
    page.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def photo(data: bytes, name: str = "car.jpg") -> dict:
    return {"name": name, "mimeType": "image/jpeg", "buffer": data}


def choose(page: Page, *photos: dict) -> None:
    page.get_by_label("Choose photos").set_input_files(list(photos))


def answering(page: Page, **changes) -> None:
    """Change these members in the service's answers."""

    def answer(route: Route) -> None:
        response = route.fetch()
        route.fulfill(response=response, json=response.json() | changes)

    page.route("**/predict*", answer)


def serious(page: Page) -> list[str]:
    """The serious accessibility violations that axe finds."""
    found = Axe().run(page).response["violations"]
    grave = [violation for violation in found if violation["impact"] in ("serious", "critical")]
    return [f"{violation['id']}: {violation['nodes'][0]['html']}" for violation in grave]


def test_a_photo_gets_a_card_with_its_result_and_a_screen_reader_reads_it_out(page):
    choose(page, photo(RED, "my car.jpg"))
    card = page.get_by_role("listitem").filter(has_text="my car.jpg")
    expect(card.get_by_role("heading")).to_have_text("Damaged")
    expect(card).to_contain_text("Probability of damage: 99 %")
    expect(card.get_by_alt_text("Photo my car.jpg")).to_be_visible()
    advice = "The photo shows signs of damage. Have the car assessed."
    read_out = f"my car.jpg: Damaged. {advice} Probability of damage 99 %."
    expect(page.get_by_role("status")).to_have_text(read_out)


@pytest.mark.parametrize(
    ("data", "what_to_do"),
    [
        (RED, "The photo shows signs of damage. Have the car assessed."),
        (
            BLUE,
            "No damage visible in this photo. Other sides of the car need photos of their own.",
        ),
        (REDDISH, "Check the photo yourself, or take another one closer up."),
    ],
    ids=["damaged", "not damaged", "not sure"],
)
def test_each_result_says_what_to_do_next(page, data, what_to_do):
    choose(page, photo(data))
    expect(page.locator(".advice")).to_have_text(what_to_do)


@pytest.mark.parametrize(
    ("data", "what_to_do"),
    [
        (b"", "Choose the photo again"),
        (b"no photo", "save this one as a JPEG"),
        (
            jpeg(texture(1))[:2000],
            "incomplete, probably because an upload broke off. Send it again",
        ),
        (jpeg(texture(1, 20, 20)), "Send the original"),
    ],
    ids=["empty", "letter", "cut short", "thumbnail"],
)
def test_a_bad_file_says_what_to_do_next_and_is_never_called_damaged(page, data, what_to_do):
    choose(page, photo(data))
    expect(page.locator(".advice")).to_contain_text(what_to_do)
    assert "damaged" not in page.locator(".card").inner_text().lower()
    assert "damaged" not in page.get_by_role("status").inner_text().lower()


def test_the_page_says_what_to_photograph_and_that_it_keeps_no_photos(page):
    drop = page.get_by_role("region", name="Add photos")
    expect(drop).to_contain_text("Take one photo of each side of the car")
    expect(drop).to_contain_text("Photos are not kept.")


def test_each_photo_gets_a_card_in_order_and_a_bad_file_does_not_affect_the_others(page):
    choose(page, photo(b"no photo", "letter.jpg"), photo(BLUE, "car.jpg"))
    expect(page.locator(".verdict")).to_have_text(["No result", "Not damaged"])
    expect(page.locator("figcaption")).to_have_text(["letter.jpg", "car.jpg"])
    bad = page.get_by_role("listitem").filter(has_text="letter.jpg")
    expect(bad).to_contain_text("cannot read this file as a photo")
    name, verdict = bad.get_by_text("letter.jpg").bounding_box(), bad.locator("h3").bounding_box()
    assert name["x"] == verdict["x"]  # no empty space next to the words instead of a picture


@pytest.mark.parametrize("kind", ["heic", "tiff"])
def test_the_service_returns_a_picture_of_a_photo_that_the_browser_cannot_show(page, kind):
    picture = plain_photo(red=True)
    data = heic(picture) if kind == "heic" else encoded(picture, "TIFF")
    choose(page, photo(data, f"car.{kind}"))
    expect(page.locator(".verdict")).to_have_text("Damaged")
    shown = page.get_by_alt_text(f"Photo car.{kind}")
    expect(shown).to_be_visible()
    assert shown.evaluate("image => image.naturalWidth") == picture.shape[1]


def test_the_service_returns_no_picture_of_a_photo_that_the_browser_can_show(page):
    with page.expect_request("**/predict*") as sent:
        choose(page, photo(RED))
    assert "picture" not in sent.value.url


def test_the_switch_shows_and_hides_the_heatmap_over_the_photo(page, address):
    def counted() -> list[str]:
        """The number of each prediction in the metrics."""
        return re.findall("predictions_total.*", page.request.get(address + "metrics").text())

    choose(page, photo(RED))
    expect(page.locator(".measure")).to_be_visible()
    before = counted()
    switch = page.get_by_role("switch", name="Show where the damage might be")
    expect(page.locator(".overlay")).to_be_hidden()
    switch.click()
    expect(page.locator(".overlay")).to_be_visible()
    expect(switch).to_have_attribute("aria-checked", "true")
    over, under = page.locator(".overlay").bounding_box(), page.locator(".photo").bounding_box()
    assert over == under
    assert counted() == before  # the page sent the photo again, but the prediction counts once
    switch.click()
    expect(page.locator(".overlay")).to_be_hidden()


def test_the_bar_the_threshold_and_the_review_band_are_at_the_correct_positions(page):
    choose(page, photo(RED))
    expect(page.locator(".measure")).to_be_visible()
    scale = page.locator(".scale").bounding_box()
    share = {}
    for name in ("bar", "band", "threshold"):
        box = page.locator(f".{name}").bounding_box()
        share[name] = (box["x"] - scale["x"]) / scale["width"], box["width"] / scale["width"]
    assert share["bar"] == pytest.approx((0, 0.987), abs=0.02)
    assert share["band"] == pytest.approx((0.3, 0.4), abs=0.02)
    assert share["threshold"][0] == pytest.approx(0.5, abs=0.02)


def test_an_unsure_result_asks_for_a_person_and_says_what_to_do(page):
    answering(page, review=True, probability=0.55, warnings=list(get_args(WarningWord)))
    choose(page, photo(RED))
    expect(page.locator(".verdict")).to_have_text("Not sure: please check")
    told = page.locator(".warnings li")
    expect(told).to_have_count(5)
    for word, advice in (("blurred", "still"), ("dark", "light"), ("bright", "behind")):
        expect(told.filter(has_text=word).first).to_contain_text(advice)
    assert not any("_" in text for text in told.all_inner_texts())
    for sentence in told.all_inner_texts():
        expect(page.get_by_role("status")).to_contain_text(sentence)


@pytest.mark.parametrize(
    ("status", "sentence", "retry"),
    [
        (400, "The service cannot read the request.", False),
        (429, "Wait, then retry.", True),
        (500, "The service has an internal error.", True),
        (503, "Too many photos are waiting.", True),
    ],
)
def test_an_unknown_error_shows_the_service_s_sentence(page, status, sentence, retry):
    refusal = {"status": status, "json": {"status": status, "detail": sentence}}
    page.route("**/predict*", lambda route: route.fulfill(**refusal))
    choose(page, photo(RED))
    expect(page.locator(".advice")).to_have_text(sentence)
    expect(page.get_by_role("button", name="Try again")).to_be_visible(visible=retry)


def test_after_a_lost_connection_a_double_press_of_try_again_sends_each_photo_once(page):
    asked, held = [], []
    page.on("request", lambda request: "predict" in request.url and asked.append(request))
    page.route("**/predict*", lambda route: route.abort(), times=3)
    choose(page, *(photo(RED, f"{name}.jpg") for name in ("one", "two", "three")))
    expect(page.get_by_role("button", name="Try again")).to_have_count(3)
    expect(page.locator(".advice").first).to_contain_text("cannot be reached")
    # Two requests are held back, so the third photo has to wait.
    page.route("**/predict*", lambda route: held.append(route), times=2)
    for again in page.locator(".again").all():
        again.dblclick()
    choose(page, photo(BLUE, "last.jpg"))
    while len(held) < 2:
        page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    expect(page.locator(".verdict")).to_have_text(["Not damaged", *["Damaged"] * 3])
    assert len(asked) == 3 + 3 + 1


def test_the_page_says_so_if_a_file_was_moved_after_it_was_chosen(page, tmp_path):
    page.route("**/predict*", lambda route: route.abort(), times=1)
    moved = tmp_path / "car.jpg"
    moved.write_bytes(RED)
    page.get_by_label("Choose photos").set_input_files(moved)
    expect(page.locator(".advice")).to_contain_text("cannot be reached")
    moved.unlink()
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(".advice")).to_contain_text("This file cannot be read.")


def test_the_summary_counts_several_photos_and_each_count_jumps_to_its_photos(page):
    page.set_viewport_size(PHONE)
    bad = photo(b"no photo", "letter.jpg")
    choose(page, photo(RED, "1.jpg"), photo(BLUE), photo(REDDISH), photo(RED, "2.jpg"), bad)
    counts = page.get_by_role("navigation", name="Jump to photos")
    line = "5 photos: 2 damaged, 1 not damaged, 1 to check, 1 without a result"
    expect(counts).to_have_text(line)
    expect(page.get_by_role("status")).to_have_text(f"Done. {line}.")
    for name in ("1.jpg", "2.jpg", "1.jpg"):
        counts.get_by_role("button", name="2 damaged", exact=True).click()
        card = page.locator(".card", has_text=name)
        expect(card).to_be_focused()
        below = counts.bounding_box()
        assert card.bounding_box()["y"] >= below["y"] + below["height"]  # nothing covers it
    page.get_by_role("button", name="Remove letter.jpg").click()
    expect(counts).to_have_text("4 photos: 2 damaged, 1 not damaged, 1 to check")


def test_a_single_photo_has_no_summary(page):
    choose(page, photo(RED))
    expect(page.locator(".verdict")).to_have_text("Damaged")
    expect(page.get_by_role("navigation")).to_be_hidden()
    expect(page.get_by_role("button", name="Save as CSV")).to_be_hidden()


def test_several_results_can_be_saved_as_a_table_with_predict_s_columns(page):
    formula, quoted = "=1+1.jpg", 'Käfer, "rot".jpg'
    answering(page, warnings=["dark", "blurred"])
    choose(page, photo(RED, quoted), photo(REDDISH, formula), photo(b"no photo", "letter.jpg"))
    expect(page.get_by_role("status")).to_contain_text("Done.")
    with page.expect_download() as download:
        page.get_by_role("button", name="Save as CSV").click()
    assert download.value.suggested_filename.endswith(".csv")
    text = Path(download.value.path()).read_text(encoding="utf-8")
    assert text.startswith("\ufeff")  # otherwise Excel assumes another encoding
    assert list(csv.reader(text.removeprefix("\ufeff").splitlines())) == [
        [column.name for column in fields(Row)],
        [quoted, "damaged", "0.9868", "no", "dark blurred", ""],
        ["'" + formula, "not_damaged", "0.4961", "yes", "dark blurred", ""],
        ["letter.jpg", "", "", "", "", "not_a_photo"],
    ]


def grainy(width: int, height: int) -> np.ndarray:
    """A picture that compresses badly: red grain in the left half, blue grain in the right one."""
    grain = np.random.default_rng(0).integers(0, 120, (height, width, 3), np.uint8)
    grain[:, : width // 2, 0] += 130
    grain[:, width // 2 :, 2] += 130
    return grain


def test_a_photo_over_the_limit_is_sent_smaller_and_upright(page, serve):
    on_its_side = Image.Exif()
    on_its_side[0x0112] = 6  # orientation: the left half becomes the upper half
    large = jpeg(grainy(1600, 1200), 95, exif=on_its_side)
    assert len(large) > 1024 * 1024
    page.goto(serve(max_upload_mb=1))
    choose(page, photo(large, "large.jpg"))
    expect(page.locator(".measure")).to_be_visible()
    expect(page.locator("figcaption")).to_contain_text("large.jpg (made smaller before sending")
    with page.expect_response("**/predict?heatmap*") as response:
        page.get_by_role("switch").click()
    box = response.value.json()["box"]
    assert box["right"] > 1.2 * box["bottom"]  # the upper half of a tall photo, not its left half
    expect(page.locator(".overlay")).to_be_visible()
    over = page.locator(".overlay").evaluate("(shown) => [shown.naturalWidth, shown.naturalHeight]")
    assert over[0] < over[1]


@pytest.mark.parametrize(
    "refusal",
    [
        {"status": 413, "body": "<html>", "content_type": "text/html"},  # from a proxy
        {"status": 422, "json": {"type": "/problems/too_large", "detail": "Too many pixels."}},
    ],
    ids=["bytes", "pixels"],
)
def test_the_page_makes_a_photo_smaller_if_it_was_refused_as_too_large(page, refusal):
    page.route("**/predict*", lambda route: route.fulfill(**refusal), times=1)
    choose(page, photo(RED))
    expect(page.locator(".verdict")).to_have_text("Damaged")


def test_the_page_does_not_send_a_large_file_that_it_cannot_shrink(page, serve):
    asked = []
    page.on("request", lambda request: "predict" in request.url and asked.append(request))
    page.goto(serve(max_upload_mb=1))
    choose(page, photo(b"II*\0" + bytes(2_000_000), "large.tif"))
    expect(page.locator(".advice")).to_contain_text("Save it as a smaller JPEG")
    assert not asked


def test_the_explanation_of_the_threshold_is_hidden_until_it_is_opened(page):
    choose(page, photo(RED))
    expect(page.locator(".measure")).to_be_visible()
    sentence = page.get_by_text("Photos at or above the line (50 %) are classified as damaged.")
    expect(sentence).to_be_hidden()
    page.get_by_text("What the bar shows").click()
    expect(sentence).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_each_kind_of_result_has_its_own_colour(page, scheme):
    page.emulate_media(color_scheme=scheme)
    choose(page, *(photo(data) for data in (RED, BLUE, REDDISH, b"no photo")))
    expect(page.get_by_role("status")).to_contain_text("Done.")
    colours = "(verdicts) => verdicts.map((verdict) => getComputedStyle(verdict).color)"
    assert len(set(page.locator(".verdict").evaluate_all(colours))) == 4


def test_photos_can_be_dropped_and_pasted(page):
    for event, holder in (("drop", "dataTransfer"), ("paste", "clipboardData")):
        page.evaluate(
            """([event, holder, bytes]) => {
                const data = new DataTransfer();
                const photo = new File([new Uint8Array(bytes)], `${event}.jpg`,
                    {type: "image/jpeg"});
                data.items.add(photo);
                const made = event === "drop"
                    ? new DragEvent(event, {[holder]: data, bubbles: true, cancelable: true})
                    : new ClipboardEvent(event, {[holder]: data, bubbles: true});
                document.body.dispatchEvent(made);
            }""",
            [event, holder, list(RED)],
        )
        card = page.get_by_role("listitem").filter(has_text=f"{event}.jpg")
        expect(card).to_contain_text("Damaged")


def test_photos_wait_for_the_access_key_and_are_sent_once_it_is_entered(page, serve):
    asked = []
    page.on("request", lambda request: "predict" in request.url and asked.append(request))
    page.goto(serve(api_keys=(Key("clerk", KEY),)))
    choose(page, *(photo(RED, f"{number}.jpg") for number in range(5)))
    key = page.get_by_label("Access key")
    expect(key).to_be_focused()
    expect(page.locator(".verdict").first).to_have_text("Waiting for the access key")
    expect(page.get_by_role("alert")).to_be_hidden()  # nobody has entered a wrong key yet
    for wrong in ("wrong-wrong", "schlüssel"):
        key.fill(wrong)
        page.keyboard.press("Enter")
        expect(page.get_by_role("alert")).to_contain_text("This key does not work.")
        expect(key).to_be_focused()
    key.fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_have_text(["Damaged"] * 5)
    assert len(asked) <= 2 + 2 + 5  # the other photos waited for the key and were not refused


def test_the_tab_keeps_the_access_key(page, serve):
    page.goto(serve(api_keys=(Key("clerk", KEY),)))
    choose(page, photo(RED))
    page.get_by_label("Access key").fill(KEY)
    page.keyboard.press("Enter")
    expect(page.locator(".verdict")).to_have_text("Damaged")
    page.reload()
    choose(page, photo(BLUE))
    expect(page.locator(".verdict")).to_have_text("Not damaged")


def test_everything_can_be_done_with_the_keyboard(page):
    choose(page, photo(RED, "one.jpg"), photo(BLUE, "two.jpg"))
    expect(page.locator(".verdict").nth(1)).to_have_text("Not damaged")
    page.get_by_role("switch").first.press("Space")
    expect(page.locator(".overlay").first).to_be_visible()
    page.get_by_role("button", name="Remove one.jpg").press("Enter")
    expect(page.locator(".card")).to_have_count(1)
    assert page.evaluate("document.activeElement.className").startswith("card")
    page.get_by_role("button", name="Remove all").press("Enter")
    expect(page.locator("#answers")).to_be_hidden()
    assert page.evaluate("document.activeElement.id") == "choose"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [{"width": 1280, "height": 900}, PHONE], ids=["wide", "phone"])
def test_the_page_is_accessible_and_fits_phones_and_wide_screens(page, scheme, viewport):
    page.set_viewport_size(viewport)
    page.emulate_media(color_scheme=scheme)
    answering(page, warnings=["dark"])
    choose(page, photo(RED, "a-very-" + "long-" * 30 + "name.jpg"), photo(b"no photo", "bad.jpg"))
    expect(page.locator(".verdict")).to_have_text(["Damaged", "No result"])
    page.get_by_role("switch").first.click()
    expect(page.locator(".overlay").first).to_be_visible()
    assert serious(page) == []
    assert page.evaluate("document.documentElement.scrollWidth") <= viewport["width"]


def test_on_a_phone_a_photo_can_be_taken(browser, address):
    with browser.new_context(viewport=PHONE, has_touch=True, is_mobile=True) as context:
        page = context.new_page()
        page.goto(address)
        expect(page.get_by_text("Take a photo")).to_be_visible()
        expect(page.locator("#take")).to_have_attribute("capture", "environment")
        expect(page.get_by_text("drop photos")).to_be_hidden()  # a phone has nothing to drag


def test_the_page_shows_a_model_that_was_loaded_after_the_page_was_opened(page):
    not_yet = {"status": 503, "json": {"detail": "The model is being loaded."}}
    page.route("**/model", lambda route: route.fulfill(**not_yet), times=1)
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("being loaded")
    choose(page, photo(RED))
    expect(page.locator(".band")).to_be_visible()
    expect(page.get_by_role("alert")).to_be_hidden()
    expect(page.locator("#model")).to_contain_text(tiny_model.VERSION)


def test_the_api_s_page_loads_nothing_from_other_sites(page, address):
    asked = []
    page.on("request", lambda sent: asked.append(sent.url))
    page.goto(address + "docs")
    expect(page.get_by_text(re.compile("^/predict$|^/\u200bpredict$"))).to_be_visible()
    assert [url for url in asked if not url.startswith((address, "data:"))] == []
