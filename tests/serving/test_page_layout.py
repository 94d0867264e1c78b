"""What the eye finds where, on a desktop and on a phone."""

import re

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_fixtures import picture
from page_visits import CARD, CHIP, ITEM, chip, needs_browser, open_menu, pick, upload
from playwright.sync_api import expect

pytestmark = needs_browser

# Texts that a box cuts off, or that the window does; lists to scroll or swipe are no loss.
CUT_TEXTS = """() => [...document.querySelectorAll("body *")].filter((node) => {
  const style = getComputedStyle(node);
  if (!node.checkVisibility() || style.clipPath !== "none") return false;
  if (!node.innerText?.trim()) return false;
  const isTooWide = node.scrollWidth > node.clientWidth + 1;
  const cuts = isTooWide && ["hidden", "clip"].includes(style.overflowX);
  const scrolls = node.closest(".chips, .filter-tabs, .compare-scroll");
  const outside = !scrolls && node.getBoundingClientRect().right > window.innerWidth + 1;
  return cuts || outside;
}).map((node) => `${node.tagName}.${node.className}: ${node.innerText.slice(0, 40)}`)"""

# The tops of the pictures, the words and the facts of each card.
TOPS = """() => [...document.querySelectorAll(".card")].map((card) =>
  [".tile", ".card-words", ".facts"].map(
    (part) => Math.round(card.querySelector(part).getBoundingClientRect().top)))"""

# Controls without a name that a screen reader could say, and pictures without alt.
NAMELESS = """() => [...document.querySelectorAll("button, a, input, select, summary, img")]
  .filter((node) => node.checkVisibility()).filter((node) => node.tagName === "IMG"
    ? !node.hasAttribute("alt")
    : !(node.ariaLabel || node.innerText?.trim() || node.labels?.[0]?.innerText.trim()
        || node.querySelector("img[alt]:not([alt=''])")))
  .map((node) => node.outerHTML.slice(0, 120))"""

EDITED = f"?item={ITEM}&set=colour%3Dred&set=%3Cb%3Ecut%3C%2Fb%3E%3Dplain+%26+simple"


def is_in_sight(page, locator):
    box, height = locator.bounding_box(), page.viewport_size["height"]
    return box["y"] >= 0 and box["y"] + box["height"] <= height


def test_results_begin_in_the_upper_half(visit_both):
    page = visit_both(EDITED)
    expect(page.locator(".fact-missed").first).to_be_visible()
    top = page.locator(CARD).first.bounding_box()["y"]
    assert top < 0.55 * page.viewport_size["height"]
    page.get_by_role("link", name="FashionSearchNet").click()
    expect(page.locator(CARD)).to_have_count(24)
    assert page.locator(CARD).first.bounding_box()["y"] < 0.6 * page.viewport_size["height"]


def test_a_change_is_seen_where_it_is_made(visit_both):
    page = visit_both(f"?item={ITEM}")
    expect(page.locator(CARD)).to_have_count(20)
    page.mouse.move(700, 500) if page.viewport_size["width"] > 900 else None
    page.evaluate("window.scrollTo(0, 1500)")
    assert is_in_sight(page, chip(page, "colour").locator(CHIP))  # the query stays on top
    pick(page, "colour", "red")
    expect(page.locator(".found").first).to_contain_text("are red")
    assert is_in_sight(page, page.get_by_role("status"))
    head = page.locator("#query").bounding_box()
    first = page.locator(CARD).first.bounding_box()
    if page.viewport_size["width"] < 640:
        assert first["y"] >= head["y"] + head["height"]
    assert first["y"] < 0.6 * page.viewport_size["height"]


def test_no_text_is_cut(visit_both):
    page = visit_both(EDITED + "&filter=colour%3Dgreen&filter=colour%3Dred&keep=item-09&k=50")
    expect(page.locator(CARD)).to_have_count(39)
    assert page.evaluate("document.documentElement.scrollWidth") == page.viewport_size["width"]
    assert page.evaluate(CUT_TEXTS) == []
    open_menu(page, "<b>cut</b>", "It is really")
    assert page.evaluate(CUT_TEXTS) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name=re.compile("Filters")).click()
    assert page.evaluate(CUT_TEXTS) == []
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Compare").click()
    assert page.evaluate(CUT_TEXTS) == []


def test_rows_are_even(visit_both):
    page = visit_both(EDITED)
    expect(page.locator(CARD)).to_have_count(20)
    expect(page.locator(".facts").nth(19)).to_be_attached()
    rows: dict[int, set[tuple[int, ...]]] = {}
    for tile, *others in page.evaluate(TOPS):
        rows.setdefault(tile, set()).add(tuple(others))
    assert len(rows) == -(-20 // (4 if page.viewport_size["width"] > 900 else 2))
    assert all(len(tops) == 1 for tops in rows.values())


def test_everything_has_a_name(visit_both):
    page = visit_both(EDITED + "&keep=item-09")
    expect(page.locator(CARD)).to_have_count(20)
    assert page.evaluate(NAMELESS) == []
    page.get_by_role("button", name="Filters").click()
    assert page.evaluate(NAMELESS) == []
    page.keyboard.press("Escape")
    expect(page.get_by_role("button", name="Filters")).to_be_focused()
    open_menu(page, "brand")
    assert page.evaluate(NAMELESS) == []


def test_a_menu_keeps_the_focus_and_lights_up_where_the_search_looked(visit_both):
    page = visit_both(f"?item={ITEM}")
    open_menu(page, "brand")
    menu = page.get_by_role("dialog", name="brand")
    for _ in range(9):
        page.keyboard.press("Tab")
        assert menu.evaluate("menu => menu.contains(document.activeElement)")
    page.keyboard.press("Escape")
    expect(chip(page, "brand").locator(CHIP)).to_be_focused()
    open_menu(page, "brand")
    width, box = page.viewport_size["width"], menu.bounding_box()
    if width < 640:
        assert (box["x"], box["width"]) == (0, width)
        assert box["y"] + box["height"] == page.viewport_size["height"]
        expect(menu.locator(".overlay")).to_be_visible()
    else:
        assert is_in_sight(page, menu)
        expect(page.locator(".stage-large .overlay")).to_be_visible()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_colours_follow_the_system(visit, scheme):
    page = visit()
    page.emulate_media(color_scheme=scheme)
    expect(page.locator(CARD)).to_have_count(24)
    colour = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", colour)[:3])) > 380) == (scheme == "light")


def test_formats_that_cannot_be_read_are_named_with_a_cure(visit_both):
    page = visit_both()
    expect(page.locator(CARD)).to_have_count(24)
    upload(page, b"....ftypheic", "photo.HEIC")
    expect(page.get_by_role("alert")).to_contain_text("is a HEIC picture")
    expect(page.get_by_role("alert")).to_contain_text("saves JPEG")
    upload(page, picture([1, 1, 2, 0]))
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator(CHIP)).to_have_count(4)
