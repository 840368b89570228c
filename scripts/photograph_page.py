"""Take README's picture of the page, docs/page.png, with the photos in examples/.

    python app.py                          # in another terminal
    python scripts/photograph_page.py

Needs the packages of requirements-dev.txt and Debian's package chromium.
"""

import shutil
from pathlib import Path

from playwright.sync_api import Locator, Page, expect, sync_playwright

ROOT = Path(__file__).resolve().parents[1]
ADDRESS = "http://localhost:5000"
NAMES = ("undamaged", "not-sure", "damaged")  # the page shows the newest first
VIEWPORT = {"width": 1280, "height": 1700}  # all cards at once, or the summary would cover one


def main() -> None:
    """Have the photos classified, explain the first two results, and take the picture."""
    expect.set_options(timeout=60_000)  # milliseconds
    with sync_playwright() as playwright:
        chromium = shutil.which("chromium")
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_page(viewport=VIEWPORT)
        page.goto(ADDRESS)
        show_results(page)
        page.screenshot(path=ROOT / "docs" / "page.png", full_page=True)
        browser.close()


def show_results(page: Page) -> None:
    """Show a card for each photo: one with its heatmap, one with what the bar means."""
    for number, name in enumerate(NAMES, 1):
        photo = ROOT / "examples" / f"{name}.jpg"
        page.get_by_label("Choose photos").set_input_files(photo)
        expect(page.locator(".verdict")).to_have_count(number)
    damaged, not_sure = card_of(page, "damaged"), card_of(page, "not-sure")
    damaged.get_by_role("switch").click()
    expect(damaged.locator(".overlay")).to_be_visible()
    not_sure.locator("summary").click()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


def card_of(page: Page, name: str) -> Locator:
    """The card of a photo. The order of the cards changes while answers arrive."""
    photo = page.get_by_role("figure", name=f"{name}.jpg", exact=True)
    return page.get_by_role("listitem").filter(has=photo)


if __name__ == "__main__":
    main()
