"""The page in a browser: fixtures and helpers of its tests."""

from urllib.parse import parse_qs, urlsplit

import pytest
from page_fixtures import FLAGS, browser_path, running_service
from playwright.sync_api import Locator, Page, expect, sync_playwright

DESKTOP, PHONE = {"width": 1280, "height": 900}, {"width": 360, "height": 740}
ITEM = "item-04"  # green, v-neck, brand E, MARKUP
CARD, CHIP, OPTION = ".grid a", ".chip-button", "[role=dialog] [role=option]"
_FAILED_LOAD = "Failed to load resource"  # Chromium's own line for an answer that is no success
expect.set_options(timeout=5_000)

needs_browser = pytest.mark.skipif(
    browser_path() is None, reason="looking at the page needs Chromium: apt-get install chromium"
)


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    """The address of a service with a fake model."""
    with running_service(tmp_path_factory.mktemp("page") / "index") as address:
        yield address


@pytest.fixture(scope="module")
def browser():
    """A Chromium without a window."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=browser_path(), args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser, service):
    """Opens the page at a query string; holds it to its own origin and to a quiet console."""
    context = browser.new_context(viewport=DESKTOP, reduced_motion="reduce")
    page = context.new_page()
    problems: list[str] = []
    addresses: list[str] = []

    def hear(message):
        if message.type in ("error", "warning"):
            problems.append(message.text)

    page.on("console", hear)
    page.on("pageerror", lambda error: problems.append(str(error)))
    page.on("request", lambda request: addresses.append(request.url))

    def open_page(query: str = "") -> Page:
        page.goto(service + query)
        return page

    yield open_page
    context.close()
    assert [text for text in problems if _FAILED_LOAD not in text] == []
    assert [a for a in addresses if not a.startswith((service, "data:", "blob:"))] == []


def query_of(page: Page) -> dict[str, list[str]]:
    """Returns the fields of the address."""
    return parse_qs(urlsplit(page.url).query)


def chip(page: Page, name: str) -> Locator:
    """Returns the chip of an attribute."""
    return page.locator(".chip").filter(has=page.locator(".chip-name", has_text=name))


def change(page: Page, name: str, value: str) -> None:
    """Picks a value in the menu of a chip."""
    chip(page, name).locator(CHIP).click()
    page.locator(OPTION).filter(has_text=value).first.click()
