import re
from pathlib import Path
from urllib.parse import urlsplit

import numpy as np
import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_fixtures import (
    MARKUP,
    NUM_ITEMS,
    ODD_ID,
    item_values,
    picture,
)
from page_visits import (
    CARD,
    CHIP,
    ITEM,
    OPTION,
    chip,
    needs_browser,
    pick,
    query_of,
)
from playwright.sync_api import expect

from fashionsearchnet.serving.app import PAGE

pytestmark = needs_browser
COUNT_MARKS = """() => [...document.querySelectorAll(".grid a[data-item]")].map((card) => [
  card.dataset.item,
  ...[".badge", ".fact-met", ".fact-missed", ".fact-differs"].map(
    (mark) => card.querySelectorAll(mark).length),
])"""


def test_gallery_is_browsed_page_by_page(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    expect(page.get_by_role("status")).to_have_text(f"1\u201324 of {NUM_ITEMS} items")
    assert page.locator(".grid img").first.evaluate("image => image.decode().then(() => true)")
    page.get_by_role("link", name="Next").click()
    expect(page.get_by_role("status")).to_have_text(f"25\u201348 of {NUM_ITEMS} items")
    assert query_of(page) == {"offset": ["24"]}
    page.get_by_role("link", name="Next").click()
    expect(page.locator(CARD)).to_have_count(12)
    expect(page.get_by_role("link", name="Next")).to_have_count(0)
    page.get_by_role("link", name="Previous").click()
    expect(page.get_by_role("status")).to_have_text(f"25\u201348 of {NUM_ITEMS} items")


def test_chosen_item_shows_its_attributes_and_neighbours(visit):
    page = visit()
    page.locator(CARD).nth(4).click()
    expect(page.locator(CHIP)).to_have_count(4)
    assert query_of(page) == {"item": [ITEM]}
    expect(chip(page, "colour")).to_contain_text("green")
    expect(page.locator(CARD)).to_have_count(20)
    expect(page.get_by_role("status")).to_contain_text("1\u201320 of 59 items")
    expect(page.locator(f"{CARD}[data-item='{ITEM}']")).to_have_count(0)
    expect(page.locator("#query .tile img")).to_have_js_property("naturalWidth", 48)
    expect(page).to_have_title(re.compile(ITEM))
    page.locator(CARD).first.click()
    expect(page).not_to_have_url(re.compile(ITEM))
    expect(page.locator(CHIP)).to_have_count(4)


def test_edit_marks_what_changed_what_matches_and_what_differs(visit):
    page = visit(f"?item={ITEM}")
    pick(page, "neckline", "boat")
    expect(page.locator(".chip-edited")).to_have_count(1)
    expect(chip(page, "neckline")).to_contain_text(re.compile("boat.*was v-neck"))
    assert query_of(page)["set"] == ["neckline=boat"]
    expect(page.get_by_role("status")).to_contain_text("1 is the same in everything else too")
    seen = page.evaluate(COUNT_MARKS)
    assert len(seen) == 20
    target = np.array([1, 2, 4, 0])
    for name, *marks in seen:
        same = np.array(item_values(int(name.split("-")[1]))) == target
        others = int((~same[[0, 2, 3]]).sum())
        assert marks == [same.all(), same[1], not same[1], others if others < 3 else 1], name
    assert sum(matches for _, matches, *_ in seen) == 1


def test_edits_are_undone_one_by_one_or_all(visit):
    page = visit(f"?item={ITEM}")
    pick(page, "colour", "red")
    pick(page, "neckline", "round")
    expect(page.locator(".chip-edited")).to_have_count(2)
    assert query_of(page)["set"] == ["colour=red", "neckline=round"]
    page.get_by_role("button", name="Undo the change of colour").click()
    expect(page.locator(".chip-edited")).to_have_count(1)
    assert query_of(page)["set"] == ["neckline=round"]
    pick(page, "neckline", "v-neck")  # what the item has
    expect(page.locator(".chip-edited")).to_have_count(0)
    pick(page, "colour", "red")
    page.get_by_role("button", name="Undo all").click()
    expect(page.locator(".chip-edited")).to_have_count(0)
    assert query_of(page) == {"item": [ITEM]}


def test_where_the_search_looked_is_laid_over_the_picture(visit):
    page = visit(f"?item={ITEM}")
    stage = page.locator(".stage-large")
    page.locator(CHIP).nth(1).hover()
    expect(stage.locator(".overlay")).to_have_count(1)
    expect(stage).to_contain_text("Where the search looked for neckline")
    outer, inner = stage.bounding_box(), stage.locator(".box").bounding_box()
    share = [(inner["y"] - outer["y"]) / outer["height"], inner["height"] / outer["height"]]
    assert share == pytest.approx([0.25, 0.25], abs=0.02)
    page.mouse.move(1, 1)
    expect(stage.locator(".overlay")).to_have_count(0)
    page.locator(CHIP).nth(0).click()
    page.keyboard.press("Escape")
    for _ in range(3):  # both buttons of the first chip, the next chip
        page.keyboard.press("Tab")
    expect(stage).to_contain_text("Where the search looked for neckline")


def test_long_menus_can_be_searched(visit):
    page = visit(f"?item={ITEM}")
    chip(page, "colour").locator(CHIP).click()
    expect(page.locator(".menu input")).to_have_count(0)
    page.keyboard.press("Escape")
    chip(page, "brand").locator(CHIP).click()
    expect(page.locator(OPTION)).to_have_count(12)
    page.keyboard.type("d k")
    expect(page.locator(f"{OPTION}:visible")).to_have_text(re.compile("brand K"))
    page.keyboard.type("x")
    expect(page.locator(".menu .options-empty")).to_be_visible()
    page.keyboard.press("Backspace")
    page.keyboard.press("Enter")
    expect(chip(page, "brand")).to_contain_text("brand K")


def test_address_round_trip_and_history(visit):
    query = (
        f"?item={ITEM}&correct=brand%3Dbrand+F&set=colour%3Dred&must=colour%3Dred"
        "&filter=neckline%3Dround&filter=neckline%3Dboat&k=10&keep=item-09"
    )
    page = visit(query)
    expect(page.locator(".chip-edited")).to_have_count(1)
    expect(page.locator(CARD)).to_have_count(10)
    expect(page.locator(".pill")).to_have_count(2)
    expect(page.locator(".tray")).to_contain_text("1 item on the shortlist")
    first = page.locator(CARD).first.get_attribute("data-item")
    page.locator(CARD).first.click()
    expect(page.locator(".chip-edited")).to_have_count(0)  # it is red already
    assert query_of(page)["item"] == [first]
    page.go_back()
    expect(page.locator(".chip-edited")).to_have_count(1)
    assert urlsplit(page.url).query == query[1:]
    page.go_forward()
    expect(page.locator(".chip-edited")).to_have_count(0)
    assert query_of(page)["item"] == [first]
    page.get_by_role("link", name="FashionSearchNet").click()
    expect(page.get_by_role("heading", name="This one, but different.")).to_be_visible()
    page.go_back()
    page.go_back()
    page.reload()
    expect(page.locator(".chip-edited")).to_have_count(1)


def test_names_and_ids_are_text_never_markup(visit):
    page = visit()
    page.locator(CARD).first.click()
    expect(page.locator(CHIP)).to_have_count(4)
    assert query_of(page)["item"] == [ODD_ID]
    expect(page.locator("#query .tile img")).to_have_js_property("naturalWidth", 48)
    expect(page.locator("#query")).to_contain_text(ODD_ID)
    expect(chip(page, "<b>cut</b>")).to_contain_text(MARKUP)
    pick(page, "<b>cut</b>", "plain & simple")
    expect(page.locator(".chip-edited")).to_contain_text("plain & simple")
    assert query_of(page)["set"] == ["<b>cut</b>=plain & simple"]
    page.get_by_role("button", name="Filters").click()
    page.get_by_label("Search all values").fill("onerror")
    page.locator(".filter-value:visible input").check()
    expect(page.locator(".pill")).to_contain_text(MARKUP)
    assert page.locator("img[src=x], .chip b, .pill b, .filters b").count() == 0


def test_uploaded_photo_is_searched_edited_and_never_in_the_address(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    with page.expect_file_chooser() as chooser:
        page.locator("#drop").click()
    photo = {"name": "mine.png", "mimeType": "image/png", "buffer": picture([2, 0, 2, 0])}
    chooser.value.set_files(photo)
    expect(chip(page, "colour")).to_contain_text("blue")
    expect(page.locator("#query")).to_contain_text("cannot be shared")
    pick(page, "colour", "red")
    expect(chip(page, "colour")).to_contain_text("was blue")
    assert query_of(page) == {"set": ["colour=red"]}
    page.locator(CHIP).nth(1).hover()
    expect(page.locator(".stage-large .overlay")).to_have_count(1)
    page.go_back()
    expect(page.locator(".chip-edited")).to_have_count(0)
    expect(page.locator("#query .tile img")).to_have_js_property("naturalWidth", 48)
    page.go_forward()
    page.reload()  # lets go of the photo, keeps the change for the next
    expect(page.locator(".notice")).to_contain_text("colour: red")
    page.locator(CARD).nth(4).click()
    expect(page.locator(".chip-edited")).to_have_count(1)


@pytest.mark.parametrize("event", ["drop", "paste"])
def test_photos_can_be_dropped_and_pasted(visit, event):
    page = visit(f"?item={ITEM}")
    expect(page.locator(CHIP)).to_have_count(4)
    page.evaluate(
        """([event, bytes]) => {
          const transfer = new DataTransfer();
          const file = new File([new Uint8Array(bytes)], "mine.png", {type: "image/png"});
          transfer.items.add(file);
          const made = event === "drop"
            ? new DragEvent(event, {dataTransfer: transfer, bubbles: true, cancelable: true})
            : new ClipboardEvent(event, {clipboardData: transfer, bubbles: true});
          document.body.dispatchEvent(made);
        }""",
        [event, list(picture([2, 1, 2, 0]))],
    )
    expect(page.locator("#query")).to_contain_text("mine.png")
    expect(chip(page, "colour")).to_contain_text("blue")


def test_all_of_it_works_by_keyboard(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    press = page.keyboard.press
    press("/")
    expect(page.get_by_label("Search all values")).to_be_focused()
    page.keyboard.type("green")
    page.locator(".filter-value:visible input").focus()
    press("Space")
    expect(page.get_by_role("status")).to_contain_text("20 items")
    press("Escape")
    expect(page.locator(".filter-panel")).to_be_hidden()
    expect(page.get_by_role("button", name="Filters (1)")).to_be_focused()
    for _ in range(2):  # past the pill into the grid
        press("Tab")
    focused = page.locator(f"{CARD}:focus")
    expect(focused).to_have_attribute("data-item", "item-01")
    assert focused.evaluate("node => getComputedStyle(node).outlineStyle") == "solid"
    press("ArrowRight")
    expect(focused).to_have_attribute("data-item", ITEM)
    press("ArrowDown")
    press("ArrowUp")
    expect(focused).to_have_attribute("data-item", ITEM)
    press("Tab")
    press("Space")  # its star
    expect(page.locator(".tray")).to_contain_text("1 item")
    press("Shift+Tab")
    press("Enter")
    expect(page.locator("#query-title")).to_be_focused()
    expect(page.locator(CHIP)).to_have_count(4)
    for _ in range(3):  # copy link, new search, the first chip
        press("Tab")
    expect(chip(page, "colour").locator(CHIP)).to_be_focused()
    press("Enter")
    expect(page.get_by_role("dialog", name="colour")).to_be_visible()
    expect(page.get_by_role("listbox", name="Change to: colour")).to_be_focused()
    for _ in range(5):  # pin, go by it alone, and round to close and the two lists
        press("Tab")
    expect(page.get_by_role("button", name="It is really")).to_be_focused()
    press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    expect(chip(page, "colour").locator(CHIP)).to_be_focused()
    press("Enter")
    press("b")
    press("Enter")
    expect(chip(page, "colour")).to_contain_text(re.compile("blue.*was green"))
    expect(chip(page, "colour").locator(CHIP)).to_be_focused()
    press("Tab")
    expect(page.locator(".fact-missed").first).to_be_visible()  # the answer leaves the focus alone
    expect(page.get_by_role("button", name="Undo the change of colour")).to_be_focused()
    press("Tab")
    press("Space")
    expect(page.get_by_role("button", name="Results must have colour blue")).to_be_focused()
    press("Shift+Tab")
    press("Enter")
    expect(page.locator(".chip-edited")).to_have_count(0)


def test_page_is_whole_and_asks_nobody_else():
    """No inline script or style, which the policy forbids, and no address of another host."""
    for path in Path(PAGE).iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"https?://|innerHTML|insertAdjacentHTML|eval\(", text), path
        for name in re.findall(r'(?:from "\./|static/)([\w.]+)"', text):
            assert (PAGE / name).is_file(), f"{path} names {name}"
    page = (PAGE / "index.html").read_text(encoding="utf-8")
    assert not re.search(r"<style|\sstyle=|\son\w+=|<script(?![^>]*src=)", page)
