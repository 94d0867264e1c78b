"""The page where the model takes vectors: cards show ids and values in place of pictures."""

import csv
import io

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from conftest import SIZES
from page_fixtures import MISREAD, UNLABELLED, item_id, picture
from page_visits import CARD, CHIP, ITEM, chip, needs_browser, open_menu, pick, pin, visiting
from playwright.sync_api import expect
from test_page_layout import CUT_TEXTS, NAMELESS

pytestmark = needs_browser


@pytest.fixture(params=list(SIZES))
def visit(contexts, vector_service, request):
    """Opens the page at a query string; at the end nothing asked for images or attention."""
    asked: list[str] = []

    def listen(sent):
        asked.append(sent.url)

    context = contexts[request.param]
    context.on("request", listen)
    with visiting(context, vector_service) as open_page:
        yield open_page
    context.remove_listener("request", listen)
    assert asked and not [url for url in asked if "/image" in url or "/explain" in url]


def npy(numbers) -> bytes:
    file = io.BytesIO()
    np.save(file, np.asarray(numbers, np.float32))
    return file.getvalue()


def upload(page, name, buffer, kind="application/octet-stream"):
    expect(page.locator(CARD).first).to_be_visible()
    page.locator("#file").set_input_files({"name": name, "mimeType": kind, "buffer": buffer})


def card(page, name):
    return page.locator(".card").filter(has=page.locator(f"a[data-item='{name}']"))


def lines_of(page, name):
    texts = card(page, name).locator(".fact").all_text_contents()
    return [text.replace("\n", " ") for text in texts]


def test_cards_of_the_gallery_show_ids_and_all_values(visit):
    page = visit()
    shown = card(page, ITEM)
    expect(shown.locator(".card-id")).to_have_text(ITEM)
    assert lines_of(page, ITEM)[:3] == ["colour green", "neckline v-neck", "brand brand E"]
    expect(page.locator(".tile, img")).to_have_count(0)
    expect(page.get_by_role("button", name="Upload a vector")).to_be_visible()
    expect(page.locator("#file")).to_have_attribute("accept", ".npy,.json")
    assert page.evaluate(NAMELESS) == [] and page.evaluate(CUT_TEXTS) == []


def test_a_search_shows_what_was_asked_for_first(visit):
    page = visit(f"?item={ITEM}&set=brand=brand+B&k=50")
    expect(page.locator("#query-title")).to_have_text("Your item")
    expect(page.locator(".query-detail")).to_be_visible()
    expect(page.locator(".stage")).to_have_count(0)
    asked = card(page, "item-13").locator(".fact").first
    expect(asked).to_have_text("brand brand B, as you asked")
    assert len(lines_of(page, "item-13")) == 4
    page.goto(page.url.split("?")[0] + f"?item={ITEM}&k=100")
    read = lines_of(page, item_id(UNLABELLED))
    assert all(
        text.endswith(", read off the vector") for text in read if "not labelled" not in text
    )
    expect(page.locator(".legend")).to_contain_text("read off the vector, not labelled")
    expect(page.locator(".legend")).to_contain_text("differs from your item")
    assert page.evaluate(CUT_TEXTS) == [] and page.evaluate(NAMELESS) == []
    open_menu(page, "colour")
    expect(page.get_by_role("dialog").locator(".stage")).to_have_count(0)


def test_a_vector_is_searched_with_and_changed(visit):
    page = visit()
    upload(page, "mine.npy", npy([[2, 2, 3, 1]]))
    expect(page.locator(CHIP)).to_have_count(4)
    expect(chip(page, "colour")).to_contain_text("green")
    pick(page, "colour", "red")
    expect(page.locator(".fact.fact-met").first).to_contain_text("red")
    pin(page, "neckline")
    expect(page.get_by_role("status")).to_contain_text("of 21 items")
    assert lines_of(page, page.locator(CARD).first.get_attribute("data-item"))


def test_numbers_are_pasted(visit):
    page = visit()
    expect(page.locator(CARD).first).to_be_visible()
    paste = """(text) => {
      const clipboardData = new DataTransfer();
      clipboardData.setData("text/plain", text);
      document.dispatchEvent(new ClipboardEvent("paste", { clipboardData }));
    }"""
    page.evaluate(paste, "some text")
    page.evaluate(paste, " [2, 2, 3, 1]")
    expect(chip(page, "brand")).to_contain_text("brand C")


def test_unusable_files_are_refused_in_a_sentence(visit):
    page = visit()
    upload(page, "shirt.png", picture([1, 1, 2, 0]), "image/png")
    alert = page.get_by_role("alert")
    expect(alert).to_contain_text(
        "“shirt.png” is not a vector. Choose a .npy file with one vector of 4"
    )
    upload(page, "short.npy", npy([1, 2, 3]))
    expect(alert).to_contain_text("It must be one vector of 4 numbers")
    expect(alert).to_contain_text("got shape [3]")
    page.get_by_role("button", name="Browse the gallery").click()
    upload(page, "large.npy", npy(np.zeros(60_000)))
    expect(alert).to_contain_text("0.2 MB can be uploaded. Choose a .npy file")


def test_the_shortlist_and_the_table_hold_ids_and_values(visit):
    page = visit(f"?item={ITEM}&k=10")
    expect(page.locator(CARD)).to_have_count(10)
    names = page.locator(CARD).evaluate_all("links => links.map(link => link.dataset.item)")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download 59 results as CSV").click()
    header, *rows = csv.reader(io.StringIO(saved.value.path().read_text("utf-8-sig"), newline=""))
    assert "colour (read off the vector)" in header and [row[1] for row in rows][:10] == names
    for name in names[:2]:
        card(page, name).locator(".keep").click()
    page.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog", name="Shortlist, side by side")
    expect(dialog.locator(".compare-id")).to_have_text(names[:2])
    expect(page.locator(".tile")).to_have_count(0)
    dialog.get_by_role("button", name="Copy ids").click()
    expect(dialog.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == names[:2]


def test_arrow_keys_go_from_card_to_card(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    page.locator(CARD).first.focus()
    page.keyboard.press("ArrowRight")
    expect(page.locator(CARD).nth(1)).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#query-title")).to_be_focused()


def test_a_label_that_the_vector_contradicts_says_so(visit):
    page = visit()
    upload(page, "mine.npy", npy([2, 3, 11, 2]))  # what the model reads off the misread item
    expect(card(page, item_id(MISREAD)).locator(".badge")).to_have_text("Match")
    assert "neckline v-neck (vector reads as boat)" in lines_of(page, item_id(MISREAD))
