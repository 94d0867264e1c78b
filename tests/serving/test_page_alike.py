"""Results that are alike in some attributes, on the page, at both sizes."""

import re

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_fixtures import picture
from page_visits import CARD, CHIP, ITEM, chip, needs_browser, pick, query_of, upload
from playwright.sync_api import Page, expect

pytestmark = needs_browser


def go_by(page: Page, name: str) -> None:
    """Presses the button for results alike in an attribute: beside it, or in its menu."""
    beside = chip(page, name).locator(".chip-like")
    if beside.is_visible():
        beside.click()
    else:
        chip(page, name).locator(CHIP).click()
        page.locator(".menu-toggle-alike").click()


def test_results_are_alike_in_what_was_chosen(visit_both):
    page = visit_both(f"?item={ITEM}")
    go_by(page, "neckline")
    expect(page.locator("#list-title")).to_have_text("Most alike in neckline")
    assert query_of(page)["like"] == ["neckline"]
    expect(page.get_by_role("status")).to_contain_text(re.compile(r"\d+ are the same in neckline"))
    expect(chip(page, "neckline")).to_have_class(re.compile("chip-alike"))
    go_by(page, "colour")
    expect(page.locator("#list-title")).to_have_text("Most alike in neckline and colour")
    go_by(page, "colour")  # counts twice now
    expect(chip(page, "colour")).to_contain_text("counts 2 times")
    assert query_of(page)["like"] == ["neckline", "colour:2"]
    go_by(page, "colour")
    expect(page.locator("#list-title")).to_have_text("Most alike in neckline")
    page.go_back()
    expect(page.locator("#list-title")).to_have_text("Most alike in neckline and colour")
    page.locator(CARD).first.click()  # another picture, the same wish
    expect(page.locator("#query-title")).to_be_focused()
    assert query_of(page)["like"] == ["neckline", "colour:2"]


def test_it_takes_the_place_of_changes(visit_both):
    page = visit_both(f"?item={ITEM}&set=colour%3Dred")
    go_by(page, "neckline")
    expect(page.locator(".chip-edited")).to_have_count(0)
    assert "set" not in query_of(page)
    pick(page, "colour", "red")
    expect(page.locator("#list-title")).to_have_text("Most similar")
    assert query_of(page) == {"item": [ITEM], "set": ["colour=red"]}


def test_a_photo_and_a_shared_address(visit_both):
    page = visit_both("?like=neckline%3A0.5&filter=colour%3Dred")
    upload(page, picture([0, 1, 2, 0]))
    expect(page.locator("#list-title")).to_have_text("Most alike in neckline")
    expect(page.locator(".chip-alike")).to_have_count(1)
    expect(page.locator(CARD)).to_have_count(20)
    page.get_by_role("button", name="Undo all").click()
    expect(page.locator("#list-title")).to_have_text("Most similar")
    assert "like" not in query_of(page)


def test_an_address_that_asks_for_something_else(visit_both):
    page = visit_both(f"?item={ITEM}&like=necklace")
    expect(page.get_by_text("there is no attribute 'necklace'")).to_be_visible()
    page.get_by_role("button", name="Without changes and filters").click()
    expect(page.locator(CARD)).to_have_count(20)
