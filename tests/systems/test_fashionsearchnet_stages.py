"""What the stages of FashionSearchNet-v2 promise beyond tests/systems/test_stages.py."""

import numpy as np
import pytest
import tensorflow as tf
from fakes import FakeDataset
from stage_table import (
    BATCH,
    RATE,
    build_model,
    finetuned_representations,
    frozen_localization,
    global_ranking,
    localization,
    logged,
    manipulation,
    own_paths,
    representations,
    train,
    train_plainly,
    weights,
)

from fashionsearchnet import training
from fashionsearchnet.networks.losses import region_triplet_loss
from fashionsearchnet.systems.fashionsearchnet_v2.stages import (
    GlobalStage,
    LocalizationStage,
    RepresentationStage,
)
from fashionsearchnet.systems.fashionsearchnet_v2.variants import PAPER_VARIANTS, VARIANTS
from fashionsearchnet.training import distribution


# The others share the second stage of one of these.
@pytest.mark.parametrize("variant", [*PAPER_VARIANTS, "full_normalized_triplets"])
def test_every_variant_trains_its_second_stage(variant):
    stage = representations(variant)
    before = weights(stage.model)
    found = train_plainly(stage, 2, RATE[stage.name])
    assert ("l_t" in found) == VARIANTS[variant].ranking
    assert ("box_area" in found) == any(VARIANTS[variant].pooling)
    after = weights(stage.model)
    for path in own_paths(stage):
        assert np.isfinite(after[path]).all() and (after[path] != before[path]).any(), path


@pytest.mark.parametrize(
    ("variant", "angles_only"), [("full", False), ("full_normalized_triplets", True)]
)
def test_normalised_triplets_see_no_lengths(variant, angles_only):
    stage = representations(variant, normalization="none", dropout_rate=0.0)
    batch, seed = next(iter(stage.examples(0, None))), tf.constant([1, 2])
    before = stage.loss(batch, seed)[1]["l_t"]
    for variable in stage.model.heads.output_layer.variables:
        variable.assign(3.0 * variable)
    after = stage.loss(batch, seed)[1]["l_t"]
    assert (abs(after - before) < 1e-5) == angles_only


@pytest.mark.parametrize("missing", [0.0, 0.8])
def test_triplets_fade_with_missing_labels_unless_their_mean_is_of_the_valid_ones(missing):
    stage = representations(normalization="none", dropout_rate=0.0)
    stage.dataset = FakeDataset(missing=missing)
    batch, seed = next(iter(stage.examples(0, None))), tf.constant([1, 2])
    faithful = stage.loss(batch, seed)[1]
    _, valid = region_triplet_loss(tf.zeros([BATCH, 3, 1]), batch["attributes"], seed)
    assert float(faithful["valid_triplets"]) == pytest.approx(np.mean(valid))
    stage.triplet_mean = "valid"
    by_valid = stage.loss(batch, seed)[1]
    for key in ("triplet_loss_mean", "valid_triplets"):
        assert by_valid[key] == faithful[key]
    assert float(by_valid["l_t"]) == pytest.approx(3 * float(faithful["triplet_loss_mean"]))
    fading = float(faithful["l_t"] / by_valid["l_t"])
    assert fading == pytest.approx(float(faithful["valid_triplets"]))
    assert fading == 1.0 if missing == 0.0 else 0.0 < fading < 0.6


def test_balanced_batches_show_every_attribute(tmp_path):
    least, valid = [], []
    for is_balanced in (False, True):
        stage = representations()
        stage.dataset, stage.balanced = FakeDataset(missing=0.85), is_balanced
        labels = [batch["attributes"] for batch in stage.examples(0, None).take(8)]
        least.append(np.sum(np.stack(labels) >= 0, axis=1).min())
        train(stage, tmp_path / str(is_balanced), 8, log_every=8)
        valid.append(logged(tmp_path / str(is_balanced))[-1]["valid_triplets"])
    assert least[0] < 3 <= least[1]
    assert valid[1] > 2 * valid[0]


def test_an_unknown_triplet_mean_is_refused():
    model = build_model("full")
    with pytest.raises(ValueError, match="triplet_mean must be one of batch, valid"):
        RepresentationStage(model, FakeDataset(), BATCH, triplet_mean="all")


def test_images_without_any_label_teach_nothing():
    with pytest.raises(ValueError, match=r"no image of split 'train' of fake/1\.0\.0 has a label"):
        LocalizationStage(build_model("full"), FakeDataset(missing=1.0))


def test_balanced_batches_say_what_they_do_not_draw():
    dataset = FakeDataset()
    dataset.labels("train")[:, 1] = 0  # each sleeve is short
    stage = LocalizationStage(build_model("full"), dataset, balanced=True)
    assert stage.left_out == ("sleeve=long (0 images)", "sleeve (images show one value at most)")
    stage.balanced = False
    assert not stage.left_out


def test_stored_outputs_are_for_frozen_trunks():
    outputs = frozen_localization().outputs
    with pytest.raises(ValueError, match="stored outputs are for a frozen trunk, but this stage"):
        LocalizationStage(build_model("full"), FakeDataset(), BATCH, outputs=outputs)


def test_pooled_features_have_no_attention_to_train():
    with pytest.raises(ValueError, match="'Full, pooled features' pools whole maps, so it has no"):
        localization("full_pooled")


def test_batch_norm_of_a_trunk_with_fixed_statistics_stays(tmp_path):
    stage = finetuned_representations()
    before = weights(stage.model.trunk)
    train(stage, tmp_path, 2)
    for path, value in weights(stage.model.trunk).items():
        assert (value != before[path]).any() == ("moving_" not in path), path


def test_a_trunk_at_a_rate_of_its_own_moves_as_far_under_adam(tmp_path):
    """The first step of Adam is the learning rate, whatever the gradient."""
    stage = finetuned_representations(normalization="none", dropout_rate=0.0)
    before = weights(stage.model)
    training.train(
        stage,
        workdir=tmp_path,
        optimizer=training.OptimizerSettings(optimizer="adamw", learning_rate=1e-3),
        length=training.RunLength(1),
        strategy=distribution.get_strategy("one_device"),
    )
    after = weights(stage.model)
    moved = {path: np.abs(after[path] - value).max() for path, value in before.items()}
    for part, rate in ((stage.model.trunk, 1e-4), (stage.model.heads, 1e-3)):
        for variable in part.trainable_variables:
            assert moved[variable.path] == pytest.approx(rate, rel=0.05), variable.path


@pytest.mark.parametrize("variant", ["full_edit_weights", "full_normalized"])
def test_changes_of_our_own_train_by_triplets_too(variant, tmp_path):
    stage = global_ranking(variant)
    train(stage, tmp_path, 40, log_every=10)
    losses = [line["loss"] for line in logged(tmp_path)]
    assert losses[-1] < losses[0]


def test_the_softmax_needs_one_gallery_for_all_edits():
    plain = global_ranking("full_edit_weights")
    with pytest.raises(ValueError, match="'Full, lambda per edit' an image's vector depends on"):
        GlobalStage(
            plain.model,
            plain.representations,
            FakeDataset().labels("train"),
            ranking_loss="softmax",
        )


@pytest.mark.parametrize("ranking_loss", ["triplet", "softmax"])
def test_a_sum_over_the_batch_is_the_mean_times_its_size(ranking_loss):
    plain = global_ranking("ours")
    losses = []
    for reduction in ("mean", "sum"):
        stage = GlobalStage(
            plain.model,
            plain.representations,
            FakeDataset().labels("train"),
            global_batch_size=BATCH,
            ranking_loss=ranking_loss,
            reduction=reduction,
        )
        batch = next(iter(stage.examples(0, None)))
        (update,) = stage.updates()
        loss, numbers = update.loss(batch, tf.constant([1, 2]))
        losses.append((float(loss), float(numbers["ranking_accuracy"])))
    assert losses[1] == (pytest.approx(BATCH * losses[0][0]), losses[0][1])


def test_stages_that_train_on_edits_know_the_length_of_an_epoch():
    values = FakeDataset().labels("train")
    for stage in (global_ranking(), manipulation()):
        assert stage.epoch_size("images") == len(values)
        assert stage.epoch_size("edits") > 3 * len(values)


def test_a_fixed_memory_stays_and_an_updatable_one_moves(tmp_path):
    for variant, moves in (("rank_lg", False), ("full", True)):
        stage = global_ranking(variant)
        before = stage.model.memory.memory.numpy()
        train(stage, tmp_path / variant, 2)
        assert (stage.model.memory.memory.numpy() != before).any() == moves


def test_a_memory_with_a_higher_rate_moves_further(tmp_path):
    moved = []
    for multiplier in (1.0, 100.0):
        stage = global_ranking(memory_rate_multiplier=multiplier)
        before = stage.model.memory.memory.numpy()
        train(stage, tmp_path / str(multiplier), 1)
        moved.append(np.abs(stage.model.memory.memory.numpy() - before).mean())
    assert moved[1] == pytest.approx(100 * moved[0], rel=1e-2)


@pytest.mark.parametrize("variant", ["without_rank", "rank", "rank_l"])
def test_a_variant_without_a_global_stage_says_so(variant):
    with pytest.raises(ValueError, match="has no global stage"):
        global_ranking(variant)
