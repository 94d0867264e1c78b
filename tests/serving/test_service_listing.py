"""What the API says of a shop's items: columns, products, pages, counts, musts, corrections."""

import pytest

pytest.importorskip("fastapi", reason="the service is not installed: pip install .[serving]")

from fastapi.testclient import TestClient
from page_fixtures import (
    MISREAD,
    NUM_ITEMS,
    UNLABELLED,
    FakeModel,
    item_id,
    item_values,
    make_index,
    picture,
    products,
)

from fashionsearchnet.serving.app import create_app

ITEM = "item-04"  # green, v-neck


@pytest.fixture(scope="module")
def get(tmp_path_factory):
    """Returns the answer of a route for parameters."""
    model = FakeModel()
    index = make_index(tmp_path_factory.mktemp("listing") / "index", model)
    with TestClient(create_app(model, index)) as client:

        def ask(path, status=200, **parameters):
            response = client.get(f"/v1/{path}", params=parameters)
            assert response.status_code == status, response.text
            return response.json()

        ask.client = client  # type: ignore[attr-defined]
        yield ask


def ids_of(answer):
    return [item["id"] for item in answer["results" if "results" in answer else "items"]]


def test_items_have_columns_and_products(get):
    assert get("attributes")["has_products"]
    answer = get("items", offset=4, limit=1)["items"][0]
    link = "https://shop.example/4"
    assert answer["columns"] == {"title": "Shirt 04", "price": "4.90", "link": link}
    assert answer["product"] == "product 2"
    assert get("items", offset=40, limit=1)["items"][0]["product"] is None
    first = get("search", item=ITEM, k=1)["results"][0]
    number = int(first["id"].split("-")[1])
    assert first["columns"]["title"] == f"Shirt {number:02d}"


def test_items_by_their_ids_in_order(get):
    wanted = ["item-09", "gone", "item-04"]
    assert ids_of(get("items", item=wanted)) == ["item-09", "item-04"]
    assert ids_of(get("items", item=wanted, filter="colour=green")) == ["item-04"]


def test_pages_of_a_search_follow_each_other(get):
    whole = get("search", item=ITEM, k=59)
    assert whole["total"] == 59
    pages = [get("search", item=ITEM, k=20, offset=offset) for offset in (0, 20, 40, 60)]
    assert [name for page in pages for name in ids_of(page)] == ids_of(whole)
    assert [page["total"] for page in pages] == [59] * 4
    refused = get("search", 422, item=ITEM, k=20, offset=10_000)
    assert "offset + k may be at most 10,000" in refused["error"]["message"]
    assert get("search", item=ITEM, filter="colour=green")["total"] == 19  # without itself


def test_one_result_per_product_leaves_out_the_product_of_the_query(get):
    whole = ids_of(get("search", item=ITEM, k=59))
    product_of = dict(zip(map(item_id, range(NUM_ITEMS)), products(), strict=True))
    seen, wanted = {product_of[ITEM]}, []
    for name in whole:
        if product_of[name] not in seen or not product_of[name]:
            seen.add(product_of[name])
            wanted.append(name)
    answer = get("search", item=ITEM, k=59, one_per_product=True)
    assert ids_of(answer) == wanted and answer["total"] == len(wanted) == 39
    halves = [get("search", item=ITEM, k=20, offset=o, one_per_product=True) for o in (0, 20)]
    assert [name for half in halves for name in ids_of(half)] == wanted
    assert get("items", one_per_product=True)["total"] == 40


def test_counts_of_values_under_filters(get):
    counts = {a["name"]: a for a in get("counts", filter="colour=red")["attributes"]}
    colours = {v["value"]: v["items"] for v in counts["colour"]["values"]}
    assert colours == {"red": 20, "green": 20, "blue": 19}  # of all: another choice of colour
    necklines = {v["value"]: v["items"] for v in counts["neckline"]["values"]}
    assert sum(necklines.values()) == 20
    assert counts["colour"]["unlabelled"] == 1
    assert "colour" in get("counts", 422, filter="colour=violet")["error"]["message"]


def test_must_goes_by_label_and_by_prediction_where_there_is_none(get):
    answer = get("search", item=ITEM, must="neckline=v-neck", k=59)
    by_label = [i for i in range(NUM_ITEMS) if item_values(i)[1] == 1 and item_id(i) != ITEM]
    assert sorted(ids_of(answer)) == sorted(map(item_id, by_label))
    assert item_id(UNLABELLED) in ids_of(answer)  # read as v-neck
    assert item_id(MISREAD) in ids_of(answer)  # labelled v-neck, read as boat
    assert item_id(UNLABELLED) not in ids_of(get("search", item=ITEM, filter="neckline=v-neck"))


def test_a_correction_replaces_the_reading_and_is_no_edit(get):
    photo = {"image": ("a.png", picture([1, 1, 4, 0]), "image/png")}

    def search(**fields):
        response = get.client.post("/v1/search", files=photo, data=fields)
        assert response.status_code == 200, response.text
        return response.json()

    corrected = search(correct="neckline=boat")
    attribute = corrected["query"]["attributes"][1]
    assert (attribute["value"], attribute["corrected"]) == ("v-neck", "boat")
    assert corrected["edits"] == {} and corrected["target"]["neckline"] == "boat"
    assert ids_of(corrected) == ids_of(search(set="neckline=boat"))  # the model takes it the same
    both = search(correct="neckline=boat", set="neckline=round")
    assert both["edits"] == {"neckline": "round"} and both["target"]["neckline"] == "round"


def test_a_correction_of_a_label_is_what_results_are_judged_by(get):
    answer = get("search", item=ITEM, correct="colour=red", k=59)
    assert answer["target"]["colour"] == "red"
    same = [r["id"] for r in answer["results"] if "colour" not in r["differing"]]
    red = [item_id(i) for i in range(NUM_ITEMS) if item_values(i)[0] == 0]
    assert sorted(same) == sorted(red)
