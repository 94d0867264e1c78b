import itertools
import time

import numpy as np
import pytest

from fashionsearchnet.attributes import apply_manipulation
from fashionsearchnet.training.edits import EditSampler, _row_codes

NUM_VALUES = (3, 2, 5)


@pytest.fixture
def values(rng):
    """Forty images, some labels missing, many combinations twice."""
    labels = rng.integers(0, NUM_VALUES, (40, 3))
    labels[rng.random(labels.shape) < 0.15] = -1
    return labels.astype(np.int32)


def edits_by_trying(values):
    """{combination: {(attribute, wanted value)}} of the edits whose target exists."""
    combinations = {tuple(row) for row in values.tolist()}
    edits = {}
    for combination in combinations:
        found = set()
        for a, old in enumerate(combination):
            for new in range(10):
                target = (*combination[:a], new, *combination[a + 1 :])
                if old >= 0 and new != old and target in combinations:
                    found.add((a, new))
        edits[combination] = found
    return edits


def draw(sampler, number):
    """Many triplets as rows (anchor, attribute, wanted value, positive, negative)."""
    batch = sampler.sample(np.random.default_rng(1), number)
    for array in (batch.anchor, batch.manipulation, batch.positive, batch.negative):
        assert array.dtype == np.int32
    changed = batch.manipulation >= 0
    assert (changed.sum(axis=1) == 1).all()
    attribute = changed.argmax(axis=1)
    wanted = batch.manipulation[np.arange(number), attribute]
    columns = (batch.anchor, attribute, wanted, batch.positive, batch.negative)
    return batch, np.stack(columns, axis=1).tolist()


def test_exactly_the_edits_with_a_target_are_drawn(values):
    sampler = EditSampler(values)
    edits = edits_by_trying(values)
    _, rows = draw(sampler, 20_000)
    drawn = {(anchor, attribute, wanted) for anchor, attribute, wanted, _, _ in rows}
    expected = {
        (i, a, new) for i, row in enumerate(values.tolist()) for a, new in edits[tuple(row)]
    }
    assert expected and drawn == expected


def edits_by_loops(values):
    """The table of edits from a plain loop over the groups: targets, counts and starts."""
    combinations = np.unique(values, axis=0)
    shape = (len(combinations), values.shape[1])
    found: list[list[list[int]]] = [[[] for _ in range(shape[1])] for _ in range(shape[0])]
    for source, target in itertools.permutations(range(len(combinations)), 2):
        (changed,) = np.nonzero(combinations[source] != combinations[target])
        before_and_after = combinations[[source, target]][:, changed]
        if len(changed) == 1 and (before_and_after >= 0).all():
            found[source][changed[0]].append(target)
    count = np.array([[len(cell) for cell in row] for row in found]).reshape(shape)
    targets = [target for row in found for cell in row for target in cell]
    return targets, count, (np.cumsum(count) - count.ravel()).reshape(shape)


@pytest.mark.parametrize("seed", range(8))
def test_the_table_of_edits_equals_that_of_a_plain_loop(seed):
    rng = np.random.default_rng(seed)
    sizes = rng.integers(2, 5, rng.integers(1, 5))
    values = rng.integers(-1, sizes, (60, len(sizes))).astype(np.int32)
    sampler = EditSampler(values)
    targets, count, start = edits_by_loops(values)
    np.testing.assert_array_equal(sampler._edit_target, targets)
    np.testing.assert_array_equal(sampler._edit_count, count)
    np.testing.assert_array_equal(sampler._edit_start, start)
    combinations, combination_of = np.unique(values, axis=0, return_inverse=True)
    np.testing.assert_array_equal(sampler.combination_of, combination_of.ravel())
    np.testing.assert_array_equal(sampler._combinations, combinations)


def test_an_epoch_has_a_triplet_for_every_image_or_for_every_edit_of_every_image(values):
    sampler = EditSampler(values)
    edits = edits_by_trying(values)
    assert sampler.epoch_size("images") == len(values)
    assert sampler.epoch_size("edits") == sum(len(edits[tuple(row)]) for row in values.tolist())
    with pytest.raises(ValueError, match="epoch_of must be one of images, edits; got 'edit'"):
        sampler.epoch_size("edit")


def test_row_codes_keep_the_order_where_the_product_of_values_overflows():
    rng = np.random.default_rng(0)
    rows = rng.integers(-1, 2, (500, 40)) * 1000  # 1001 ** 40 is far above 2 ** 63
    rows[rows < 0] = -1
    rows[250:] = rows[:250]
    _, expected = np.unique(rows, axis=0, return_inverse=True)
    _, found = np.unique(_row_codes(rows), return_inverse=True)
    np.testing.assert_array_equal(found, expected.ravel())


def test_two_hundred_thousand_images_take_seconds_at_most():
    rng = np.random.default_rng(0)
    values = rng.integers(-1, 4, (200_000, 12)).astype(np.int32)
    start = time.monotonic()
    EditSampler(values)
    assert time.monotonic() - start < 10  # a loop over groups takes over a minute


def test_positives_show_the_target_and_negatives_never_do(values):
    batch, _ = draw(EditSampler(values), 5_000)
    target = apply_manipulation(values[batch.anchor], batch.manipulation)
    assert (values[batch.positive] == target).all()
    assert (values[batch.negative] != target).any(axis=1).all()


def test_every_image_that_can_be_a_positive_or_negative_gets_its_turn(values):
    sampler = EditSampler(values)
    _, rows = draw(sampler, 60_000)
    positives: dict[tuple, set[int]] = {}
    negatives: dict[tuple, set[int]] = {}
    for anchor, attribute, wanted, positive, negative in rows:
        edit = (tuple(values[anchor].tolist()), attribute, wanted)
        positives.setdefault(edit, set()).add(positive)
        negatives.setdefault(edit, set()).add(negative)
    for (combination, attribute, wanted), found in positives.items():
        target = (*combination[:attribute], wanted, *combination[attribute + 1 :])
        assert found == set(np.flatnonzero((values == target).all(axis=1)))
    everybody = set(range(len(values)))
    busiest = max(negatives, key=lambda edit: len(negatives[edit]))
    assert negatives[busiest] == everybody - positives[busiest]


def test_anchors_attributes_and_values_are_drawn_uniformly():
    # Every combination exists, so every edit does: 3 attributes of 3, 2 and 5 values.
    values = np.array(list(itertools.product(*(range(size) for size in NUM_VALUES))), np.int32)
    number = 30_000
    batch, rows = draw(EditSampler(values), number)
    table = np.array(rows)
    attributes = np.bincount(table[:, 1], minlength=3) / number
    np.testing.assert_allclose(attributes, 1 / 3, atol=0.015)
    for a, size in enumerate(NUM_VALUES):
        wanted = np.bincount(table[table[:, 1] == a, 2], minlength=size)
        np.testing.assert_allclose(wanted / wanted.sum(), 1 / size, atol=0.025)
    anchors = np.bincount(batch.anchor, minlength=len(values)) / number
    np.testing.assert_allclose(anchors, 1 / len(values), atol=0.006)


def test_an_attribute_without_any_edit_is_never_chosen():
    values = np.array([[0, 0, -1], [0, 1, -1], [1, 3, -1]], np.int32)
    _, rows = draw(EditSampler(values), 200)
    assert {tuple(row[:4]) for row in rows} == {(0, 1, 1, 1), (1, 1, 0, 0)}


def test_missing_labels_are_neither_changed_nor_made():
    # 0 and 1 differ in a label that 0 lacks; 2 lacks what 0 lacks.
    values = np.array([[0, -1], [0, 1], [1, -1]], np.int32)
    _, rows = draw(EditSampler(values), 100)
    assert {tuple(row[:4]) for row in rows} == {(0, 0, 1, 2), (2, 0, 0, 0)}


def test_a_single_attribute():
    values = np.array([[0], [1], [1], [-1]], np.int32)
    _, rows = draw(EditSampler(values), 300)
    assert {tuple(row[:4]) for row in rows} == {
        (0, 0, 1, 1),
        (0, 0, 1, 2),
        (1, 0, 0, 0),
        (2, 0, 0, 0),
    }


@pytest.mark.parametrize(
    "values",
    [
        [[0, 0], [1, 1]],  # two labels apart
        [[0, 0], [0, 0]],
        [[0, -1], [0, 1]],
        [[-1, -1], [-1, -1]],
        [[2, 1]],
        np.zeros((0, 2)),
    ],
)
def test_images_without_any_edit(values):
    with pytest.raises(ValueError, match="no two training images differ in exactly one attribute"):
        EditSampler(np.array(values, np.int32))


def test_the_batch_of_a_step_depends_on_seed_and_step_only(values):
    sampler = EditSampler(values)

    def steps(seed, first, count):
        batches = EditSampler(values).batches(seed, first, 16)
        return [
            np.hstack([b.anchor, b.positive, b.negative, b.manipulation.ravel()])
            for b in itertools.islice(batches, count)
        ]

    straight = steps(3, 0, 6)
    np.testing.assert_array_equal(straight[4:], steps(3, 4, 2))
    assert len({tuple(row) for row in straight}) == 6
    assert (straight[0] != steps(4, 0, 1)[0]).any()
    sampler.sample(np.random.default_rng(9), 5)  # leaves nothing behind
    again = next(sampler.batches(3, 2, 16))
    np.testing.assert_array_equal(again.anchor, straight[2][:16])


def test_unedited_negatives_have_the_values_before_the_edit():
    values = np.random.default_rng(1).integers(-1, 2, (60, 3)).astype(np.int32)
    triplets = EditSampler(values, "unedited").sample(np.random.default_rng(2), 200)
    np.testing.assert_array_equal(values[triplets.negative], values[triplets.anchor])
    assert (values[triplets.positive] != values[triplets.negative]).sum(axis=1).tolist() == [
        1
    ] * 200


def test_one_edit_negatives_are_one_edit_away_from_the_target(values):
    triplets = EditSampler(values, "one_edit").sample(np.random.default_rng(2), 500)
    target = apply_manipulation(values[triplets.anchor], triplets.manipulation)
    apart = values[triplets.negative] != target
    assert (apart.sum(axis=1) == 1).all()
    assert (target[apart] >= 0).all() and (values[triplets.negative][apart] >= 0).all()
    # Not only the way back to the anchor.
    assert (values[triplets.negative] != values[triplets.anchor]).any(axis=1).any()


def test_several_changes_lead_to_combinations_that_exist():
    values = np.random.default_rng(1).integers(-1, 3, (400, 4)).astype(np.int32)
    triplets = EditSampler(values, num_changes=3).sample(np.random.default_rng(2), 2000)
    number = (triplets.manipulation >= 0).sum(axis=1)
    shares = np.bincount(number, minlength=4)[1:] / len(number)
    # Images that lack attributes cannot be changed as often, and a walk may come back.
    assert shares.min() > 0.2
    target = apply_manipulation(values[triplets.anchor], triplets.manipulation)
    np.testing.assert_array_equal(values[triplets.positive], target)
    edited = triplets.manipulation >= 0
    assert (values[triplets.anchor][edited] >= 0).all()
    assert (values[triplets.anchor][edited] != triplets.manipulation[edited]).all()


def test_too_many_changes_are_refused(values):
    with pytest.raises(ValueError, match="num_changes must be between 1 and 3; got 4"):
        EditSampler(values, num_changes=4)


def test_unknown_negatives_list_the_known_ones():
    with pytest.raises(ValueError, match="negatives must be one of random, unedited"):
        EditSampler(np.array([[0], [1]]), "hard")
