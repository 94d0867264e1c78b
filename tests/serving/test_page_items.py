"""What a shop's items show and what leaves the page, at both sizes."""

import csv
import io

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_fixtures import MARKUP, UNLABELLED, item_id
from page_visits import CARD, ITEM, needs_browser, query_of
from playwright.sync_api import expect

pytestmark = needs_browser
KEEP = ".keep"


def card(page, name):
    return page.locator(".card").filter(has=page.locator(f"a[data-item='{name}']"))


def test_titles_prices_and_links_are_shown_as_text(visit_both):
    page = visit_both()
    shown = card(page, ITEM)
    expect(shown.locator(".card-title")).to_have_text("Shirt 04")
    expect(shown.locator(".card-subtitle")).to_have_text("4.90")
    link = shown.locator(".shop-link")
    expect(link).to_have_attribute("href", "https://shop.example/4")
    expect(link).to_have_attribute("rel", "noopener noreferrer")
    expect(page.locator(".card-title").first).to_have_text(MARKUP)
    expect(card(page, "item-03").locator(".shop-link")).to_have_count(0)  # javascript:
    assert page.locator("a[href^='javascript:']").count() == 0
    page.goto(page.url + f"?item={ITEM}")
    expect(page.locator(".card-title").first).to_contain_text("Shirt")


def test_more_results_than_a_page_has(visit_both):
    page = visit_both(f"?item={ITEM}&k=50")
    status = page.get_by_role("status")
    expect(status).to_contain_text("1\u201350 of 59 items")
    page.get_by_role("link", name="Next").click()
    expect(status).to_contain_text("51\u201359 of 59 items")
    expect(page.locator(CARD)).to_have_count(9)
    assert query_of(page)["offset"] == ["50"]
    assert page.locator(".card").first.bounding_box()["y"] < page.viewport_size["height"]
    page.go_back()
    expect(page.locator(CARD)).to_have_count(50)


def test_one_result_per_product(visit_both):
    page = visit_both(f"?item={ITEM}")
    page.get_by_label("One per product").check()
    expect(page.get_by_role("status")).to_contain_text("of 39 products")
    assert query_of(page)["one_per_product"] == ["true"]
    page.get_by_role("link", name="FashionSearchNet").click()
    expect(page.get_by_role("status")).to_contain_text("of 40 products")


def test_ids_are_copied(visit_both):
    page = visit_both(f"?item={ITEM}&k=10")
    page.get_by_role("button", name="Copy 10 ids").click()
    shown = page.locator(CARD).evaluate_all("links => links.map(link => link.dataset.item)")
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == shown


def rows_of(download):
    text = download.path().read_bytes().decode("utf-8-sig")
    return list(csv.reader(io.StringIO(text, newline="")))


def test_all_results_are_saved_as_a_table(visit_both):
    page = visit_both(f"?item={ITEM}&k=10")
    with page.expect_download() as saved:
        page.get_by_role("button", name="Download 59 results as CSV").click()
    assert saved.value.suggested_filename == "results_of_item-04.csv"
    header, *rows = rows_of(saved.value)
    names = ["colour", "neckline", "brand", "<b>cut</b>"]
    seen = [f"{name} (seen on the picture)" for name in names]
    columns = ["rank", "id", "product", "title", "price", "link"]
    assert header == [*columns, *names, *seen]
    assert [row[0] for row in rows] == [str(rank) for rank in range(1, 60)]
    assert len({row[1] for row in rows}) == 59
    (unlabelled,) = [row for row in rows if row[1] == item_id(UNLABELLED)]
    assert unlabelled[6:10] == [""] * 4 and unlabelled[10:12] == ["blue", "v-neck"]


def test_a_spreadsheet_takes_no_cell_for_a_formula(visit):
    page = visit()
    table = page.evaluate(
        """async () => {
          const { csvOf } = await import("./static/saving.js");
          const item = (id, title) => (
            {id, product: null, columns: {title}, attributes: {}, predicted: {}});
          return csvOf([item("=1+1", '-5.20'), item("a", 'say "hi", you'), item("b", "@x")], []);
        }"""
    )
    rows = list(csv.reader(io.StringIO(table.removeprefix("\ufeff"), newline="")))
    assert [row[1:] for row in rows[1:]] == [
        ["'=1+1", "-5.20"],
        ["a", 'say "hi", you'],
        ["b", "'@x"],
    ]


def test_a_shortlist_is_compared_side_by_side(visit_both):
    page = visit_both(f"?item={ITEM}")
    expect(page.locator(CARD)).to_have_count(20)
    names = page.locator(CARD).evaluate_all("links => links.map(link => link.dataset.item)")[:3]
    for name in names:
        card(page, name).locator(KEEP).click()
    expect(page.locator(".tray")).to_contain_text("3 items on the shortlist")
    assert query_of(page)["keep"] == names
    page.reload()  # and for a colleague who gets the address
    expect(card(page, names[0]).locator(KEEP)).to_have_attribute("aria-pressed", "true")
    page.get_by_role("button", name="Compare").click()
    dialog = page.get_by_role("dialog", name="Shortlist, side by side")
    expect(dialog.locator("thead th")).to_have_count(3)
    headers = dialog.locator("tbody th").all_inner_texts()
    assert headers == ["title", "price", "link", "colour", "neckline", "brand", "<b>cut</b>"]
    prices = dialog.locator("tbody tr").nth(1)
    expect(prices).to_have_class("compare-differs")
    page.get_by_role("button", name="Copy ids").click()
    expect(page.get_by_role("button", name="Copied")).to_be_visible()
    assert page.evaluate("navigator.clipboard.readText()").split("\n") == names
    with page.expect_download() as saved:
        dialog.get_by_role("button", name="Download CSV").click()
    assert [row[1] for row in rows_of(saved.value)[1:]] == names
    dialog.get_by_role("button", name="Remove").first.click()
    expect(dialog.locator("thead th")).to_have_count(2)
    page.keyboard.press("Escape")
    expect(dialog).to_be_hidden()
    page.get_by_role("button", name="Clear").click()
    expect(page.locator(".tray")).to_be_hidden()
    assert "keep" not in query_of(page)
    expect(page.locator(f"{KEEP}[aria-pressed='true']")).to_have_count(0)


def test_the_shortlist_goes_along_to_another_search(visit_both):
    page = visit_both(f"?item={ITEM}")
    page.locator(KEEP).first.click()
    kept = query_of(page)["keep"]
    page.locator(CARD).nth(2).click()
    expect(page.locator(".tray")).to_contain_text("1 item")
    assert query_of(page)["keep"] == kept
    page.get_by_role("button", name="Compare").click()
    page.get_by_role("button", name="Search with this").click()
    expect(page.locator("#query-title")).to_be_focused()
    assert query_of(page)["item"] == kept


def test_filters_are_browsed_with_the_number_of_items(visit_both):
    page = visit_both()
    expect(page.locator(CARD)).to_have_count(24)
    page.get_by_role("button", name="Filters").click()
    panel = page.get_by_role("dialog", name="Filters")
    rows = panel.locator(".filter-value:visible")
    expect(rows).to_have_text(["red20", "green20", "blue19"])
    rows.nth(1).click()
    expect(page.get_by_role("status")).to_contain_text("20 items")
    panel.get_by_role("button", name="neckline").click()
    expect(rows.filter(has_text="round")).to_contain_text("round7")
    rows.filter(has_text="round").click()
    expect(page.get_by_role("status")).to_contain_text("7 items")
    expect(panel.get_by_role("button", name="colour (1)")).to_be_visible()
    panel.get_by_label("Search all values").fill("brand k")
    expect(rows).to_have_count(1)
    expect(rows).to_contain_text("brand K")
    panel.get_by_role("button", name="Done").click()
    expect(panel).to_be_hidden()
    expect(page.get_by_role("button", name="Filters (2)")).to_be_focused()
    assert query_of(page) == {"filter": ["colour=green", "neckline=round"]}
    page.get_by_role("button", name="Remove the filter colour: green").click()
    assert query_of(page)["filter"] == ["neckline=round"]
    page.locator(CARD).first.click()
    assert query_of(page)["filter"] == ["neckline=round"]
