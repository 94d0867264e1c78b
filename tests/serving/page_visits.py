"""The page in a browser: helpers of its tests. The fixtures stand in conftest.py."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from page_fixtures import browser_path
from playwright.sync_api import Browser, BrowserContext, Locator, Page, ViewportSize, expect

ITEM = "item-04"  # green, v-neck, brand E, MARKUP
CARD, CHIP, OPTION = ".grid a[data-item]", ".chip-button", "[role=dialog] [role=option]"
_FAILED_LOAD = "Failed to load resource"  # Chromium's own line for an answer that is no success
expect.set_options(timeout=5_000)

needs_browser = pytest.mark.skipif(
    browser_path() is None, reason="looking at the page needs Chromium: apt-get install chromium"
)


def new_context(browser: Browser, viewport: ViewportSize) -> BrowserContext:
    """Returns a window of a size; below 640 pixels it is a phone's."""
    touches = viewport["width"] < 640
    return browser.new_context(
        viewport=viewport,
        reduced_motion="reduce",
        has_touch=touches,
        is_mobile=touches,
        permissions=["clipboard-read", "clipboard-write"],
    )


@contextlib.contextmanager
def visiting(
    context: BrowserContext, service: str, own_tab: bool = False
) -> Iterator[Callable[[str], Page]]:
    """Yields a function that opens the page at a query string.

    At the end it holds the page to its own origin and to a quiet console. The tests of a window
    share one tab: another one costs Chromium as much time as a test. A test that answers requests
    in place of the service needs its own.
    """
    page = context.new_page() if own_tab or not context.pages else context.pages[0]
    problems: list[str] = []
    addresses: list[str] = []

    def hear(message):
        if message.type in ("error", "warning"):
            problems.append(message.text)

    listeners: dict[Any, Callable[[Any], None]] = {
        "console": hear,
        "pageerror": lambda error: problems.append(str(error)),
        "request": lambda request: addresses.append(request.url),
    }
    for event, listener in listeners.items():
        page.on(event, listener)

    def open_page(query: str = "") -> Page:
        page.goto(service + query)
        return page

    yield open_page
    if own_tab:
        page.close()
    else:
        page.goto("about:blank")  # ends what the page still does
        page.emulate_media(color_scheme="null")
    for event, listener in listeners.items():
        page.remove_listener(event, listener)
    assert [text for text in problems if _FAILED_LOAD not in text] == []
    allowed = (service, "about:", "data:", "blob:")
    assert [a for a in addresses if not a.startswith(allowed)] == []


def query_of(page: Page) -> dict[str, list[str]]:
    """Returns the fields of the address."""
    return parse_qs(urlsplit(page.url).query)


def chip(page: Page, name: str) -> Locator:
    """Returns the chip of an attribute."""
    return page.locator(".chip").filter(has=page.locator(".chip-name", has_text=name))


def open_menu(page: Page, name: str, tab: str = "Change to") -> None:
    """Opens the menu of a chip, at one of its two lists."""
    chip(page, name).locator(CHIP).click()
    page.get_by_role("dialog").get_by_role("button", name=tab, exact=True).click()


def pick(page: Page, name: str, value: str, tab: str = "Change to") -> None:
    """Picks a value in a list of the menu of a chip."""
    open_menu(page, name, tab)
    page.locator(OPTION).filter(has_text=value).first.click()


def pin(page: Page, name: str) -> None:
    """Presses the pin of a chip: beside it, or on a phone in its menu."""
    beside = chip(page, name).locator(".chip-pin")
    if beside.is_visible():
        beside.click()
    else:
        chip(page, name).locator(CHIP).click()
        page.locator(".menu-toggle-pin").click()


def upload(page: Page, buffer: bytes, name: str = "mine.png") -> None:
    """Searches with a photo of the user's own."""
    expect(page.locator(CARD).first).to_be_visible()  # the page listens from then on
    photo = {"name": name, "mimeType": "image/png", "buffer": buffer}
    page.locator("#file").set_input_files(photo)  # type: ignore[arg-type]
