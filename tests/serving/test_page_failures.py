import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")
pytest.importorskip(
    "playwright.sync_api", reason="looking at the page needs playwright: pip install playwright"
)

from page_visits import CARD, CHIP, ITEM, needs_browser, pick, visiting
from playwright.sync_api import expect

pytestmark = needs_browser


@pytest.fixture
def visit(contexts, page_service):
    """Opens the page in a tab of its own, whose requests a test may answer itself."""
    with visiting(contexts["desktop"], page_service, own_tab=True) as open_page:
        yield open_page


def test_empty_results_say_why(visit):
    page = visit(f"?item={ITEM}&filter=colour=red&filter=brand=brand B")
    expect(page.get_by_text("No item passes the filters")).to_be_visible()
    expect(page.get_by_text("colour is red and brand is brand B")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator(CARD)).to_have_count(20)


def test_files_that_are_no_photos_are_refused_with_a_reason(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    choose = page.locator("#file").set_input_files
    choose({"name": "notes.txt", "mimeType": "text/plain", "buffer": b"notes"})
    expect(page.get_by_role("alert")).to_contain_text("is not a picture")
    choose({"name": "big.png", "mimeType": "image/png", "buffer": bytes(300_000)})
    expect(page.get_by_role("alert")).to_contain_text("0.3 MB; at most 0.2 MB can be uploaded")
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("alert")).to_have_count(0)
    choose({"name": "broken.png", "mimeType": "image/png", "buffer": b"no image"})
    expect(page.get_by_role("alert")).to_contain_text("cannot be read as a picture")
    expect(page.get_by_role("alert")).to_contain_text("JPEG, PNG, WebP or BMP")
    page.get_by_role("button", name="Browse the gallery").click()
    expect(page.locator(CARD)).to_have_count(24)


def test_refusals_of_the_service_are_shown(visit):
    page = visit("?item=nothing")
    expect(page.get_by_role("alert")).to_contain_text("There is no such item")
    expect(page.get_by_role("alert")).to_contain_text("'nothing'")
    visit(f"?item={ITEM}&set=neckline=vneck")
    expect(page.get_by_role("alert")).to_contain_text("v-neck")
    page.get_by_role("button", name="Without changes and filters").click()
    expect(page.locator(CARD)).to_have_count(20)
    visit(f"?item={ITEM}&offset=9990")
    expect(page.get_by_role("alert")).to_contain_text("offset + k may be at most 10,000")
    page.get_by_role("button", name="Without changes and filters").click()
    expect(page.locator(CARD)).to_have_count(20)
    busy = {"error": {"code": "too_many_requests", "message": "64 images wait."}}
    page.route("**/v1/search?*", lambda route: route.fulfill(status=503, json=busy))
    visit(f"?item={ITEM}")
    expect(page.get_by_role("alert")).to_contain_text("64 images wait.")
    page.unroute("**/v1/search?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(CARD)).to_have_count(20)


def test_unreachable_service_can_be_tried_again(visit):
    page = visit()
    expect(page.locator(CARD)).to_have_count(24)
    page.route("**/v1/**", lambda route: route.abort())
    page.locator(CARD).nth(4).click()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.reload()
    expect(page.get_by_role("alert")).to_contain_text("The service does not answer")
    page.unroute("**/v1/**")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator(CHIP)).to_have_count(4)


def test_a_late_answer_is_dropped(visit):
    page = visit(f"?item={ITEM}")
    expect(page.locator(CARD)).to_have_count(20)
    held = []
    page.route("**/v1/search?*colour%3Dred*", lambda route: held.append(route))
    pick(page, "colour", "red")
    expect(page.locator("#list")).to_have_attribute("aria-busy", "true")
    pick(page, "colour", "blue")
    blue = page.locator(".fact-met").filter(has_text="blue")
    expect(blue.first).to_be_visible()
    for route in held:
        route.abort()
    page.wait_for_timeout(200)
    expect(blue.first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    expect(page.locator("#list")).not_to_have_attribute("aria-busy", "true")
