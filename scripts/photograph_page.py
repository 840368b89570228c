"""Take README's picture of the page, docs/page.png, with the photos in examples/.

    python app.py                          # in another terminal
    python scripts/photograph_page.py

Needs the packages of requirements-dev.txt and Debian's package chromium.
"""

import shutil
from pathlib import Path

from playwright.sync_api import Page, expect, sync_playwright

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
    page.get_by_role("switch").first.click()
    expect(page.locator(".overlay").first).to_be_visible()
    page.locator("summary").nth(1).click()
    page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")


if __name__ == "__main__":
    main()
