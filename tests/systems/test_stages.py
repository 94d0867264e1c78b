"""One table of every stage of every system, and what each must promise."""

import dataclasses
import json
import tempfile
from collections.abc import Callable

import flam_stages
import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network
from vector_gan import GanStage, VectorGan

from fashionsearchnet import training
from fashionsearchnet.attributes import one_hot_blocks
from fashionsearchnet.networks.losses import region_triplet_loss
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.stages import EmbeddingStage
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.amnet.stages import ClassificationStage, ManipulationStage
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.edit_ranking_stage import EditRankingStage
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.stages import (
    GlobalStage,
    LocalizationStage,
    RepresentationStage,
)
from fashionsearchnet.systems.fashionsearchnet_v2.variants import PAPER_VARIANTS, VARIANTS
from fashionsearchnet.systems.memory import class_means
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.systems.trunk_outputs import trunk_outputs
from fashionsearchnet.training import distribution

BATCH = 16


def build_model(
    variant: str,
    normalization: str = "batch",
    dropout_rate: float = 0.1,
    training: str = "full",
) -> FashionSearchNetV2:
    keras.utils.set_random_seed(0)
    return FashionSearchNetV2(
        SPACE,
        variant=variant,
        **network(width=0.1, normalization=normalization, training=training),
        hidden_dims=(16, 16),
        representation_dim=8,
        dropout_rate=dropout_rate,
        global_dim=6,
    )


def localization(variant="full", **model_arguments):
    return LocalizationStage(build_model(variant, **model_arguments), FakeDataset(), BATCH)


def representations(variant="full", **model_arguments):
    return RepresentationStage(build_model(variant, **model_arguments), FakeDataset(), BATCH)


def store_outputs(stage, folder):
    """Makes a stage train on the stored outputs of its trunk, mirrored ones among them."""
    stage.outputs = trunk_outputs(stage.model, stage.dataset, "train", folder, flip=True)
    return stage.outputs


def frozen_localization(**model_arguments):
    """The same stage on the stored maps of a frozen trunk."""
    model = build_model("full", training="frozen", **model_arguments)
    stage = LocalizationStage(model, FakeDataset(), BATCH)
    with tempfile.TemporaryDirectory() as folder:
        store_outputs(stage, folder)
    return stage


def pooled_representations(**model_arguments):
    """On stored pooled features: no attention to train."""
    model = build_model("ours_pooled", training="frozen", **model_arguments)
    stage = RepresentationStage(model, FakeDataset(), BATCH, balanced=True)
    with tempfile.TemporaryDirectory() as folder:
        outputs = store_outputs(stage, folder)
    model.standardization.adapt(outputs.parts())
    return stage


def finetuned_representations(**model_arguments):
    """On images, the trunk at a rate of its own and with fixed statistics."""
    model = build_model("full_pooled", training="fixed_statistics", **model_arguments)
    stage = RepresentationStage(model, FakeDataset(), BATCH, trunk_rate_multiplier=0.1)
    images = stage.dataset.images("train", model.image_input)
    model.standardization.adapt(model.trunk(batch).numpy() for batch in images)
    return stage


def balanced_representations(**model_arguments):
    """The same stage on batches balanced by attribute."""
    stage = representations(**model_arguments)
    stage.balanced = True
    return stage


def global_ranking(variant="full", memory_rate_multiplier=1.0, **model_arguments):
    """Stored representations are noisy one-hot blocks, as a trained second stage gives."""
    model = build_model(variant, **model_arguments)
    values = FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    noise = rng.normal(size=(*values.shape, 8)).astype(np.float32)
    stored = noise + 2 * (values[..., None] == np.arange(8))
    model.memory.memory.assign(class_means(SPACE, [stored], values)[0])
    return GlobalStage(
        model,
        stored,
        values,
        global_batch_size=BATCH,
        memory_rate_multiplier=memory_rate_multiplier,
    )


def batch_ranking(variant="ours", **model_arguments):
    """The same stage with the loss and the edits of our own variant."""
    plain = global_ranking(variant, **model_arguments)
    return GlobalStage(
        plain.model,
        plain.representations,
        FakeDataset().labels("train"),
        global_batch_size=BATCH,
        ranking_loss="softmax",
        num_changes=2,
    )


def build_amnet(normalization: str = "batch", dropout_rate: float = 0.1) -> AMNet:
    keras.utils.set_random_seed(0)
    return AMNet(
        SPACE,
        **network(width=0.1, normalization=normalization),
        feature_dim=16,
        dropout_rate=dropout_rate,
    )


def classification(**model_arguments):
    return ClassificationStage(build_amnet(**model_arguments), FakeDataset(), BATCH)


def manipulation(**model_arguments):
    """Stored features show the labels through noise, as a trained first stage gives."""
    model = build_amnet(**model_arguments)
    values = FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    patterns = rng.normal(size=(SPACE.total_values, model.convolved_dim)).astype(np.float32)
    noise = rng.normal(0.0, 0.3, (len(values), model.convolved_dim)).astype(np.float32)
    stored = one_hot_blocks(SPACE, values) @ patterns + noise
    model.memory.memory.assign(rng.normal(size=model.memory.memory.shape))
    return ManipulationStage(model, stored, values, global_batch_size=BATCH)


def triplets(
    kind=ASENet,
    variant="asenet_v2",
    stage=TripletStage,
    normalization="batch",
    dropout_rate=0.0,
    **arguments,
):
    """Vectors of attributes by triplets of images; `normalization` is that of the attention too."""
    del dropout_rate  # there is none
    keras.utils.set_random_seed(0)
    trunk_training = arguments.pop("training", "full")
    model = kind(
        SPACE,
        variant=variant,
        hidden_dim=12,
        attention_normalization=normalization,
        **network(width=0.1, normalization=normalization, training=trunk_training),
        **arguments,
    )
    return stage(model, FakeDataset(), BATCH)


def triplet_net(**model_arguments):
    return triplets(variant="triplet_net", embedding_dim=16, **model_arguments)


def csn(**model_arguments):
    return triplets(variant="csn", embedding_dim=16, **model_arguments)


def asenet_v1(**model_arguments):
    return triplets(variant="asenet_v1", embedding_dim=16, **model_arguments)


def agman_embedding(variant="agman", **model_arguments):
    return triplets(AGMAN, variant, EmbeddingStage, **model_arguments)


def frozen_csn(**model_arguments):
    """The same stage on the stored maps of a frozen trunk."""
    stage = csn(training="frozen", **model_arguments)
    with tempfile.TemporaryDirectory() as folder:
        outputs = trunk_outputs(stage.model, stage.dataset, "train", folder, flip=True)
    return dataclasses.replace(stage, outputs=outputs)


def weighed_agman(**model_arguments):
    """Both losses by learned weights, on the trunk's last map."""
    return agman_embedding("classification", loss_weighting="uncertainty", **model_arguments)


def editing(kind=ASENet, variant="asenet_v2", **model_arguments):
    """Stored vectors are noisy one-hot blocks, as a trained first stage gives."""
    stage = triplets(kind, variant, edit_ranking=True, block_dim=6, **model_arguments)
    model, values = stage.model, FakeDataset().labels("train")
    rng = np.random.default_rng(0)
    dim = model.memory.memory.shape[-1]
    noise = rng.normal(size=(*values.shape, dim)).astype(np.float32)
    stored = noise + 2 * (values[..., None] == np.arange(dim))
    stored /= np.linalg.norm(stored, axis=-1, keepdims=True)
    model.memory.memory.assign(class_means(SPACE, [stored], values)[0])
    model.start_ranking(stored)
    return EditRankingStage(
        model,
        stored,
        values,
        variables=model.ranking_variables,
        memory=model.memory.memory,
        global_batch_size=BATCH,
        ranking_loss="softmax",
    )


def agman_editing(**model_arguments):
    return editing(AGMAN, "agman", **model_arguments)


def gan(**_):
    """A stage of two updates, until a system has one."""
    keras.utils.set_random_seed(0)
    return GanStage(VectorGan(), BATCH)


# Every system has its stages here, or test_every_system_has_its_stages_in_the_table fails.
STAGES: dict[str, list[Callable[..., training.Stage]]] = {
    "agman": [agman_embedding, weighed_agman, agman_editing],
    "asenet": [triplets, triplet_net, csn, frozen_csn, asenet_v1, editing],
    "amnet": [classification, manipulation],
    "fashionsearchnet_v2": [
        localization,
        representations,
        balanced_representations,
        frozen_localization,
        pooled_representations,
        finetuned_representations,
        global_ranking,
        batch_ranking,
    ],
    "flam": [
        flam_stages.instances,
        flam_stages.embedders,
        flam_stages.classifiers,
        flam_stages.manipulator,
        flam_stages.manipulator_without_adversary,
        flam_stages.ranking,
    ],
}
ALL = [*(stage for stages in STAGES.values() for stage in stages), gan]
# Two networks against each other need not both lose.
SEVERAL_UPDATES = (flam_stages.manipulator, flam_stages.manipulator_without_adversary, gan)
ONE_UPDATE = [stage for stage in ALL if stage not in SEVERAL_UPDATES]
RATE = {
    "classification": 0.02,
    "manipulation": 0.01,
    "embedding": 0.02,
    "localization": 0.02,
    "representations": 0.02,
    "global": 0.05,
    "instances": 0.02,
    "embedders": 0.05,
    "classifiers": 0.05,
    "manipulator": 0.01,
    "gan": 0.0,  # its updates bring their own optimizers
}
# Without batch normalisation the stages that read images bear less.
PLAIN_RATE = {
    **RATE,
    **dict.fromkeys(("classification", "localization", "representations", "embedding"), 1e-3),
}


def train(stage, workdir, num_steps, strategy=None, log_every=5, rate=None, steps_per_call=1):
    rate = rate or RATE[stage.name]
    training.train(
        stage,
        workdir=workdir,
        optimizer=training.OptimizerSettings(learning_rate=rate, momentum=0.9, weight_decay=1e-4),
        length=training.RunLength(num_steps, log_every=log_every, checkpoint_every=3),
        strategy=strategy or distribution.get_strategy("one_device"),
        execution=training.Execution(steps_per_call=steps_per_call),
    )


def logged(workdir) -> list[dict]:
    """The lines of a run's metrics."""
    return [json.loads(line) for line in (workdir / "metrics.jsonl").read_text().splitlines()]


def weights(model) -> dict[str, np.ndarray]:
    return {variable.path: variable.numpy() for variable in model.variables}


def own_paths(stage) -> list[str]:
    """The paths of all variables that a stage moves."""
    return [variable.path for update in stage.updates() for variable in update.variables]


def test_every_system_has_its_stages_in_the_table():
    assert set(STAGES) == set(registry.SYSTEMS)
    for builders in STAGES.values():
        stages = [build() for build in builders]
        assert {stage.name for stage in stages} == {n for s in stages for n in s.model.stages}


@pytest.mark.parametrize("build", ALL)
def test_every_trainable_variable_gets_a_finite_gradient(build):
    stage = build()
    batch = next(iter(stage.examples(0, None)))
    for update in stage.updates():
        with tf.GradientTape() as tape:
            loss, numbers = update.loss(batch, tf.constant([1, 2]))
        gradients = tape.gradient(loss, [v.value for v in update.variables])
        for variable, gradient in zip(update.variables, gradients, strict=True):
            assert gradient is not None, variable.path
            assert np.isfinite(tf.convert_to_tensor(gradient)).all(), variable.path
        assert all(np.isfinite(value) for value in numbers.values())


@pytest.mark.parametrize("build", ALL)
def test_only_the_stages_own_variables_move(build, tmp_path):
    stage = build()
    before = weights(stage.model)
    train(stage, tmp_path, 2)
    moved = {path for path, value in weights(stage.model).items() if (value != before[path]).any()}
    own = set(own_paths(stage))
    statistics = {path for path in before if "moving_" in path}
    assert own <= moved <= own | statistics


@pytest.mark.parametrize("build", ONE_UPDATE)
def test_the_loss_falls(build, tmp_path):
    stage = build()
    train(stage, tmp_path, 60, log_every=10)
    losses = [line["loss"] for line in logged(tmp_path)]
    assert losses[-1] < 0.9 * losses[0]


def test_a_gan_learns_the_vectors_that_its_discriminator_sees(tmp_path):
    stage = gan()
    train(stage, tmp_path, 400, log_every=100)
    first, *_, last = logged(tmp_path)
    assert last["generator/distance"] < 0.5 * first["generator/distance"]
    # Real and made vectors become hard to tell apart: log 4 where they are alike.
    assert abs(last["discriminator/loss"] - np.log(4)) < 0.5
    assert "loss" not in last


@pytest.mark.parametrize("build", ALL)
def test_a_resumed_run_equals_a_straight_one(build, tmp_path):
    """However many steps a call takes."""
    straight, stopped, resumed = build(), build(), build()
    train(straight, tmp_path / "straight", 5, steps_per_call=4)
    train(stopped, tmp_path / "resumed", 3)
    train(resumed, tmp_path / "resumed", 5)
    expected = weights(straight.model)
    for path, value in weights(resumed.model).items():
        np.testing.assert_array_equal(value, expected[path], err_msg=path)


@pytest.mark.parametrize("build", ALL)
def test_two_replicas_give_the_weights_of_one(build, tmp_path):
    """Without batch statistics and dropout, which are each replica's own."""

    def movement(name):
        strategy = distribution.get_strategy(name)
        with strategy.scope():
            stage = build(normalization="none", dropout_rate=0.0)
        own = own_paths(stage)
        before = weights(stage.model)
        train(stage, tmp_path / name, 4, strategy, rate=PLAIN_RATE[stage.name], steps_per_call=2)
        after = weights(stage.model)
        return {path: after[path] - before[path] for path in own}

    one, two = movement("one_device"), movement("mirrored")
    for path, moved in one.items():
        apart = np.linalg.norm(two[path] - moved)
        assert apart < 1e-2 * np.linalg.norm(moved), path


# The others share the second stage of one of these.
@pytest.mark.parametrize("variant", [*PAPER_VARIANTS, "full_normalized_triplets"])
def test_every_variant_trains_its_second_stage(variant, tmp_path):
    stage = representations(variant)
    train(stage, tmp_path, 2, log_every=1)
    line = logged(tmp_path)[-1]
    assert ("l_t" in line) == VARIANTS[variant].ranking
    assert ("box_area" in line) == any(VARIANTS[variant].pooling)


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
        loss, numbers = stage.loss(batch, tf.constant([1, 2]))
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


@pytest.mark.parametrize("policy", ["mixed_bfloat16", "mixed_float16"])
@pytest.mark.parametrize("build", ALL)
def test_mixed_precision_keeps_losses_and_weights_in_float32(build, policy, tmp_path):
    keras.mixed_precision.set_dtype_policy(policy)
    try:
        stage = build()
        train(stage, tmp_path, 1)
        assert {v.dtype for u in stage.updates() for v in u.variables} == {"float32"}
        batch = next(iter(stage.examples(0, None)))
        for update in stage.updates():
            loss, _ = update.loss(batch, tf.constant([0, 1]))
            assert loss.dtype == tf.float32
    finally:
        keras.mixed_precision.set_dtype_policy("float32")
