"""What a merchandiser wants of the page: musts, corrections, and what was found, at both sizes."""

import re

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_fixtures import MISREAD, UNLABELLED, item_id, picture
from page_visits import (
    CARD,
    ITEM,
    OPTION,
    chip,
    needs_browser,
    open_menu,
    pick,
    pin,
    query_of,
    upload,
)
from playwright.sync_api import expect

pytestmark = needs_browser


def test_a_wish_is_made_a_must(visit_both):
    page = visit_both(f"?item={ITEM}")
    pick(page, "colour", "red")
    expect(page.locator(".found").first).to_contain_text(re.compile(r"\d+ of 20 are red"))
    pin(page, "colour")
    assert query_of(page)["must"] == ["colour=red"]
    expect(page.locator(".found").first).to_contain_text("20 of 20 are red")
    expect(page.locator(".fact-missed")).to_have_count(0)
    expect(chip(page, "colour").locator(".chip-pin")).to_have_attribute("aria-pressed", "true")
    pick(page, "colour", "blue")  # the pin goes with the value
    assert query_of(page)["must"] == ["colour=blue"]
    pin(page, "colour")
    assert "must" not in query_of(page)


def test_a_must_goes_by_prediction_where_there_is_no_label(visit_both):
    page = visit_both(f"?item={ITEM}&must=neckline%3Dv-neck&k=50")
    unlabelled = page.locator(f"{CARD}[data-item='{item_id(UNLABELLED)}']")
    expect(unlabelled).to_have_count(1)
    expect(unlabelled.locator(".fact-read").first).to_be_attached()
    expect(page.locator(".legend")).to_contain_text("seen on the picture, not labelled")
    expect(chip(page, "neckline").locator(".chip-mark")).to_be_attached()


def test_results_offer_to_make_a_wish_a_must(visit_both):
    page = visit_both(f"?item={ITEM}&set=colour%3Dred")
    page.get_by_role("button", name="Must have colour red").click()
    expect(page.locator(".found").first).to_contain_text(re.compile(r"(\d+) of \1 are red"))
    assert query_of(page)["must"] == ["colour=red"]


def test_musts_that_nothing_has_can_be_taken_back(visit_both):
    page = visit_both(f"?item={ITEM}&set=colour%3Dred&must=colour%3Dred&must=brand%3Dbrand+B")
    expect(page.get_by_text("Nothing has all that it must have")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("No items")
    expect(page.get_by_text("colour is red and brand is brand B")).to_be_visible()
    page.get_by_role("button", name="Take back the musts").click()
    expect(page.locator(CARD)).to_have_count(20)


def test_changes_are_kept_when_a_result_is_clicked(visit_both):
    page = visit_both(f"?item={ITEM}&set=brand%3Dbrand+A&set=neckline%3Dboat&must=neckline%3Dboat")
    result = page.locator(f"{CARD}[data-item='item-07']")  # boat, and brand H
    result.click()
    expect(page.locator("#query-title")).to_be_focused()
    fields = query_of(page)
    assert (fields["item"], fields["set"]) == (["item-07"], ["brand=brand A"])
    assert fields["must"] == ["neckline=boat"]
    expect(page.locator(".notice")).to_have_text(re.compile("has neckline: boat already"))
    expect(page.locator(".chip-edited")).to_contain_text("brand A")
    page.go_back()
    expect(page.locator(".chip-edited")).to_have_count(2)


def test_what_another_picture_drops_is_said(visit_both):
    page = visit_both(f"?item={ITEM}&correct=colour%3Dblue&set=brand%3Dbrand+A")
    page.locator(CARD).first.click()
    expect(page.locator(".notice")).to_contain_text("“It is really blue” was about the picture")
    assert "correct" not in query_of(page)
    upload(page, picture([0, 0, 3, 0]))
    expect(page.locator(".chip-edited")).to_contain_text("brand A")


def test_a_misreading_is_corrected_apart_from_a_change(visit_both):
    page = visit_both()
    upload(page, picture([0, 1, 2, 0]))
    pick(page, "neckline", "boat", "It is really")
    assert query_of(page) == {"correct": ["neckline=boat"]}
    expect(chip(page, "neckline")).to_contain_text("boat")
    expect(chip(page, "neckline")).to_contain_text("the picture was read as v-neck")
    expect(page.locator(".chip-edited")).to_have_count(0)
    pick(page, "neckline", "round")
    expect(chip(page, "neckline")).to_contain_text("was boat")
    assert query_of(page)["set"] == ["neckline=round"]
    open_menu(page, "neckline", "It is really")
    expect(page.locator(OPTION).filter(has_text="v-neck")).to_contain_text("90%")
    expect(page.locator(".menu-text")).to_have_text("You said that it is really boat.")


def test_a_doubtful_reading_looks_doubtful(visit_both):
    page = visit_both()
    upload(page, picture([0, 1.4, 2, 0]))
    doubtful = chip(page, "neckline")
    expect(doubtful).to_have_class(re.compile("chip-doubtful"))
    expect(doubtful).to_contain_text("not sure: v-neck or boat")
    expect(doubtful.locator(".chip-guess")).to_have_text("?")
    expect(page.locator(".chip-doubtful")).to_have_count(1)
    pick(page, "neckline", "v-neck", "It is really")  # says so itself: no doubt is left
    expect(page.locator(".chip-doubtful")).to_have_count(0)


def test_a_chip_shows_the_label_that_results_are_judged_by(visit_both):
    page = visit_both(f"?item={item_id(MISREAD)}")
    expect(chip(page, "neckline").locator(".chip-value")).to_have_text("v-neck")
    expect(chip(page, "neckline")).to_contain_text("labelled so; the picture looks like boat")


def test_what_was_found_is_said_in_plain_words(visit_both):
    page = visit_both(f"?item={ITEM}&set=colour%3Dred&filter=colour%3Dred&k=50")
    status = page.get_by_role("status")
    expect(status).to_contain_text("20 items")
    expect(status).to_contain_text("20 of 20 are red")
    expect(page.locator(".legend")).to_contain_text("as you asked")
    expect(page.locator(".legend")).to_contain_text("differs from your picture")
    shown = page.locator("body").inner_text()
    for word in ("distance", " ms", "fake", "none match", "0123456789abcdef"):
        assert word not in shown, word
    page.get_by_text("Technical details").click()
    details = page.locator("details.technical")
    for word in ("fake / plain", "0123456789abcdef", " ms", "Euclidean distance", "judged by"):
        expect(details).to_contain_text(word)
    page.goto(page.url.split("?")[0] + "?item=nothing")
    expect(page.get_by_role("alert")).to_contain_text("It may have been removed")
    assert "/v1/items" not in page.locator("body").inner_text()
