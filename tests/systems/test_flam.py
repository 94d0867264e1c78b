"""FLAM: the editor of vectors, the feature, and what its stages refuse."""

import dataclasses

import flam_stages
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE, FakeDataset
from small_networks import network

from fashionsearchnet import training
from fashionsearchnet.systems.flam.editor import VectorEditor
from fashionsearchnet.systems.flam.instance_stage import InstanceStage
from fashionsearchnet.systems.flam.model import FLAM, main_directions
from fashionsearchnet.systems.flam.ranking_stage import known_or_read
from fashionsearchnet.systems.flam.variants import VARIANTS
from fashionsearchnet.systems.flam.vector_stages import ClassifierStage, ManipulatorStage, Vectors
from fashionsearchnet.systems.trunk_outputs import trunk_outputs
from fashionsearchnet.training import distribution

DIM = flam_stages.DIM
KEEP_ALL = (-1, -1, -1)


def small_editor(variant="m_os_adv", **arguments) -> VectorEditor:
    sizes = {"reader_dim": 16, "generator_dim": 24}
    editor = VectorEditor(SPACE, DIM, variant=variant, **{**sizes, **arguments})
    editor.standardization.adapt([flam_stages.vectors().upright])
    return editor


def shake(editor: VectorEditor) -> VectorEditor:
    """Gives a generator something to do."""
    rng = np.random.default_rng(3)
    for variable in editor.trainable_variables:
        variable.assign(variable.value + rng.normal(0.0, 0.1, variable.shape))
    return editor


@pytest.mark.parametrize("variant", VARIANTS)
def test_what_is_not_edited_stays_exactly(variant):
    editor = shake(small_editor(variant))
    vectors = tf.constant(flam_stages.vectors().upright[:3])
    edits = tf.constant([KEEP_ALL, (1, -1, -1), KEEP_ALL])
    query, gallery = editor.query(vectors, edits), editor.gallery(vectors)
    for row in (0, 2):
        np.testing.assert_array_equal(query[row], gallery[row])
    assert np.abs(query[1] - gallery[1]).max() > 1e-3


def test_edited_features_have_length_one():
    editor = shake(small_editor())
    vectors = tf.constant(flam_stages.vectors().upright[:5])
    query = editor.query(vectors, tf.constant([(1, 1, 1)] * 5))
    np.testing.assert_allclose(np.linalg.norm(query, axis=1), 1.0, rtol=1e-5)


def test_edits_of_several_attributes_are_edits_in_turn():
    editor = shake(small_editor())
    vectors = tf.constant(flam_stages.vectors().upright[:4])
    both = editor.query(vectors, tf.constant([(2, -1, 3)] * 4))
    once = editor.query(vectors, tf.constant([(2, -1, -1)] * 4))
    again = editor.query(once, tf.constant([(-1, -1, 3)] * 4))
    np.testing.assert_allclose(both, again, atol=1e-5)


def test_edits_of_several_attributes_at_once_are_one_application():
    editor = shake(small_editor("ranked", several_edits="at_once"))
    vectors = tf.constant(flam_stages.vectors().upright[:4])
    edits = tf.constant([(2, -1, 3)] * 4)
    edited = tf.constant([(1.0, 0.0, 1.0)] * 4)
    standard = editor.standardization(vectors)
    made = editor.generate(standard, editor.reader.wanted(edits), edited)
    query = editor.query(vectors, edits)
    np.testing.assert_allclose(query, editor.restore(made), atol=1e-5)
    in_turn = shake(small_editor("ranked")).query(vectors, edits)
    assert np.abs(query - in_turn).max() > 1e-3


def test_a_generator_equals_a_slow_one():
    editor = shake(small_editor(metric="euclidean"))
    vectors = flam_stages.vectors().upright[:4]
    generator, statistics = editor.generator, editor.standardization
    assert generator is not None
    mean, deviation = statistics.mean.numpy(), statistics.deviation.numpy()

    def dense(layer, inputs):
        return inputs @ layer.kernel.numpy() + layer.bias.numpy()

    def bend(values):
        return np.where(values > 0, values, 0.2 * values)

    standard = (vectors - mean) / deviation
    blocks = np.zeros((4, SPACE.num_attributes, editor.variant.width))
    blocks[:, 1] = editor.reader.dictionary().numpy()[SPACE.offsets[1] + 1]
    joined = np.concatenate([standard, blocks.reshape(4, -1), np.tile([0.0, 1.0, 0.0], (4, 1))], 1)
    hidden = bend(dense(generator.hidden_2, bend(dense(generator.hidden, joined))))
    expected = (standard + dense(generator.change, hidden)) * deviation + mean
    found = editor.query(tf.constant(vectors), tf.constant([(-1, 1, -1)] * 4))
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("variant", ["cls_concat", "emb_concat"])
def test_a_baseline_replaces_the_block(variant):
    editor = small_editor(variant)
    if variant == "cls_concat":
        editor.reader.means.assign(np.random.default_rng(0).normal(size=(9, 341)))
    vectors = tf.constant(flam_stages.vectors().upright[:2])
    query = editor.query(vectors, tf.constant([(-1, 1, -1)] * 2))
    blocks = tf.reshape(query, [2, 3, 341])
    np.testing.assert_array_equal(blocks[:, 0], editor.blocks(vectors)[:, 0])
    np.testing.assert_array_equal(blocks[0, 1], editor.reader.dictionary()[SPACE.offsets[1] + 1])
    np.testing.assert_allclose(np.linalg.norm(blocks, axis=-1), 1.0, rtol=1e-5)
    assert 3 * 341 == 1023  # as the paper prints it


def test_blocks_of_classifiers_start_from_the_mean_of_the_training_images():
    stage = flam_stages.classifiers()
    stage.fill_memory()
    reader, vectors = stage.editor.reader, stage.vectors
    read = stage.editor.read(tf.constant(vectors.upright)).numpy()
    np.testing.assert_allclose(reader.origin, read.mean(axis=0), rtol=1e-4, atol=1e-5)
    centred = read - read.mean(axis=0)
    blocks = centred / np.linalg.norm(centred, axis=-1, keepdims=True)
    found = stage.editor.gallery(tf.constant(vectors.upright))
    np.testing.assert_allclose(found, blocks.reshape(len(blocks), -1), rtol=1e-3, atol=1e-4)
    first = blocks[vectors.labels[:, 0] == 0, 0].mean(axis=0)
    np.testing.assert_allclose(
        reader.dictionary()[0], first / np.linalg.norm(first), rtol=1e-3, atol=1e-4
    )


def test_a_reading_is_the_nearest_dictionary_vector():
    editor = small_editor()
    vectors = tf.constant(flam_stages.vectors().upright[:6])
    blocks, dictionary = editor.blocks(vectors).numpy(), editor.reader.dictionary().numpy()
    logits = editor.logits(vectors).numpy()
    for a, (start, size) in enumerate(zip(SPACE.offsets, SPACE.num_values, strict=True)):
        apart = 1.0 - blocks[:, a] @ dictionary[start : start + size].T
        np.testing.assert_array_equal(
            logits[:, start : start + size].argmax(1), apart.argmin(axis=1)
        )


def test_spoc_is_the_sum_of_the_last_map_at_length_one(rng):
    model = flam_stages.build_model(projection_dim=0)
    images = tf.constant(rng.normal(0.0, 60.0, (3, 40, 40, 3)), tf.float32)
    summed = np.sum(model.backbone.model(images), axis=(1, 2))
    expected = summed / np.linalg.norm(summed, axis=1, keepdims=True)
    found = model.image_features(images)["embedding"]
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-4)


def test_a_feature_that_comes_as_it_is_has_no_first_stage():
    model = FLAM(SPACE, projection_dim=0, pooling="levels", **network())
    assert model.stages == ("embedders", "manipulator") and model.projection is None
    with pytest.raises(ValueError, match="taken as it comes, so there is nothing to train"):
        InstanceStage(model, flam_stages.ItemDataset())


def test_main_directions_are_those_of_a_singular_value_decomposition(rng):
    vectors = (rng.normal(size=(50, 6)) * [5, 1, 3, 0.2, 2, 0.1] + 4.0).astype(np.float32)
    mean, directions = main_directions(np.array_split(vectors, 3), 3)
    np.testing.assert_allclose(mean, vectors.mean(axis=0), rtol=1e-5)
    _, _, expected = np.linalg.svd(vectors - vectors.mean(axis=0), full_matrices=False)
    np.testing.assert_allclose(np.abs(directions.T @ expected[:3].T), np.eye(3), atol=1e-4)
    with pytest.raises(ValueError, match=r"\(projection_dim\) must be between 1 and 6"):
        main_directions([vectors], 7)


def test_a_feature_of_main_directions(rng):
    model = FLAM(SPACE, projection="pca", projection_dim=4, pooling="levels", **network())
    assert model.stages == ("embedders", "manipulator")
    pooled = rng.normal(3.0, 2.0, (40, model.trunk.output_shape[-1])).astype(np.float32)
    model.fit_feature(pooled, part=16)
    standard = (pooled - pooled.mean(axis=0)) / pooled.std(axis=0)
    standard /= np.linalg.norm(standard, axis=1, keepdims=True)
    centred = standard - standard.mean(axis=0)
    _, _, directions = np.linalg.svd(centred, full_matrices=False)
    expected = centred @ directions[:4].T
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    found = model.feature_rows(pooled)
    np.testing.assert_allclose(found @ found.T, expected @ expected.T, atol=1e-3)


def test_which_models_make_the_same_feature():
    model, same = flam_stages.build_model("m"), flam_stages.build_model("cls_concat")
    assert model.shares_feature(same)
    assert not model.shares_feature(flam_stages.build_model("m", projection_dim=DIM + 1))
    same.projection.kernel.assign(same.projection.kernel.value + 0.1)
    assert not model.shares_feature(same)


def test_stages_of_each_variant():
    names = ("cls_concat", "emb_concat", "m")
    stages = {name: flam_stages.build_model(name).stages for name in names}
    assert stages["cls_concat"] == ("instances", "classifiers")
    assert stages["emb_concat"] == ("instances", "embedders")
    assert stages["m"] == ("instances", "embedders", "manipulator")


def test_what_stages_refuse():
    model = flam_stages.build_model("emb_concat")
    with pytest.raises(ValueError, match="'Emb-Concat' edits no features, so it has no manipul"):
        ManipulatorStage(model, model.editor, flam_stages.vectors())
    model = flam_stages.build_model("ranked")
    with pytest.raises(ValueError, match="'FLAM, ranked' trains its generator by a ranking"):
        ManipulatorStage(model, model.editor, flam_stages.vectors())
    unlabelled = flam_stages.vectors(labelled=False)
    with pytest.raises(ValueError, match="stage 'classifiers' learns from labels, but these vect"):
        ClassifierStage(model, model.editor, unlabelled)
    nothing = dataclasses.replace(unlabelled, labels=np.full((64, 3), -1, np.int32))
    with pytest.raises(ValueError, match="no image of the training split has a label"):
        ClassifierStage(model, model.editor, nothing)
    model = flam_stages.build_model(num_instances=3)
    with pytest.raises(ValueError, match="does not say which images show the same item"):
        InstanceStage(model, FakeDataset())


def test_items_on_stored_outputs(tmp_path):
    model = flam_stages.build_model(training="frozen", num_instances=4)
    dataset = flam_stages.ItemDataset()
    outputs = trunk_outputs(model, dataset, "train", tmp_path, flip=True)
    stage = InstanceStage(model, dataset, 16, outputs=outputs)
    batch = next(iter(stage.examples(0, None)))
    assert batch["outputs"].shape == (32, model.trunk.output_shape[-1])
    items = batch["items"].numpy()
    np.testing.assert_array_equal(items[:, 0], items[:, 1])
    assert np.isfinite(stage.loss(batch, tf.constant([0, 1]))[0])


def test_items_with_one_image_are_counted_and_all_of_them_refused():
    class Alone(FakeDataset):
        has_pair = True

        def instance_ids(self, split):
            ids = self.image_ids(split)
            return [ids[0], ids[0], *ids[2:]] if self.has_pair else ids

    dataset = Alone()
    stage = InstanceStage(flam_stages.build_model(num_instances=3), dataset, global_batch_size=4)
    assert len(stage.left_out) == dataset.num_examples("train") - 2
    batch = next(iter(stage.examples(0, None)))
    assert set(np.unique(batch["items"])) == {int(batch["items"][0, 0])}
    dataset.has_pair = False
    with pytest.raises(ValueError, match=r"is in one image, so no pair of images shows the same"):
        InstanceStage(flam_stages.build_model(num_instances=3), dataset)


def train(stage, folder, steps, rate=0.005):
    training.train(
        stage,
        workdir=folder,
        optimizer=training.OptimizerSettings("adam", learning_rate=rate),
        length=training.RunLength(steps, log_every=steps),
        strategy=distribution.get_strategy("one_device"),
    )


def test_a_manipulator_learns_edits_of_its_teachers(tmp_path):
    """Embedders that tell the values apart, then a generator whose edits they read as wanted."""
    teacher = flam_stages.embedders()
    train(teacher, tmp_path / "embedders", 150, 0.01)
    stage = flam_stages.manipulator("m_os_adv")
    for mine, theirs in zip(
        stage.editor.reader.variables, teacher.editor.reader.variables, strict=True
    ):
        mine.assign(theirs)
    stage.editor.start_discriminator()
    stage.matching_weight = 3.0
    reader = [v.numpy() for v in stage.editor.reader.variables]
    batch, seed = next(iter(stage.examples(7, None))), tf.constant([5, 6])
    before = stage.generator_loss(batch, seed)[1]
    train(stage, tmp_path / "manipulator", 250)
    after = stage.generator_loss(batch, seed)[1]
    assert before["edited"] < 0.2 and after["edited"] > 0.6
    assert after["kept"] > 0.9 and after["recovered_cosine"] > 0.9
    for variable, value in zip(stage.editor.reader.variables, reader, strict=True):
        np.testing.assert_array_equal(variable, value)


@pytest.mark.parametrize("name", ["s_adv", "m", "m_adv", "m_os_adv"])
def test_each_variant_has_its_losses(name):
    stage = flam_stages.manipulator(name)
    batch = next(iter(stage.examples(0, None)))
    _, of_discriminator = stage.discriminator_loss(batch, tf.constant([1, 2]))
    _, of_generator = stage.generator_loss(batch, tf.constant([1, 2]))
    assert ("adversarial" in of_discriminator) == ("adversarial" in of_generator) == (name != "m")
    assert {"recovered_cosine", "edited", "kept", "cycle", "matching"} <= set(of_generator)
    assert 0.9 < float(of_generator["recovered_cosine"]) <= 1.0001  # a new generator does little


def test_matching_one_attribute_only_is_a_part_of_matching_all():
    """Same weights and draw: (S) counts the edited block of what (M) counts."""
    numbers = {}
    for name in ("s_adv", "m_adv"):
        stage = flam_stages.manipulator(name)
        batch = next(iter(stage.examples(0, None)))
        numbers[name] = float(stage.generator_loss(batch, tf.constant([1, 2]))[1]["matching"])
    assert 0.0 < numbers["s_adv"] < numbers["m_adv"]


def test_weights_switch_losses_off():
    stage = flam_stages.manipulator()
    batch, seed = next(iter(stage.examples(0, None))), tf.constant([1, 2])
    loss, parts = stage.generator_loss(batch, seed)
    whole = parts["matching"] + parts["cycle"] + parts["adversarial"]
    np.testing.assert_allclose(loss, whole, rtol=1e-5)
    stage.cycle_weight, stage.adversarial_weight, stage.matching_weight = 2.0, 0.0, 3.0
    loss, _ = stage.generator_loss(batch, seed)
    np.testing.assert_allclose(loss, 3 * parts["matching"] + 2 * parts["cycle"], rtol=1e-5)


@pytest.mark.parametrize("metric", ["cosine", "euclidean"])
def test_a_ranking_equals_a_slow_one(metric):
    """Minus the log share of the own positive among all images that do not show the target."""
    stage = flam_stages.ranking(several_edits="at_once")
    stage.editor.metric = metric
    shake(stage.editor)
    batch = next(iter(stage.examples(0, None)))
    _, logged = stage.loss(batch, tf.constant([0, 0]))
    editor, size = stage.editor, flam_stages.BATCH
    query = editor.query(batch["anchor"], batch["manipulation"]).numpy()
    candidates = np.concatenate([batch["positive"], batch["negative"]])
    shown = np.concatenate([batch["positive_combination"], batch["negative_combination"]])
    variance = np.sum(editor.standardization.deviation.numpy() ** 2)
    losses = []
    for row in range(size):
        distances = np.sum((candidates - query[row]) ** 2, axis=1) / variance / 2
        is_other = shown != shown[row]
        is_other[row] = True
        scores = -20.0 * distances
        losses.append(np.log(np.exp(scores[is_other] - scores[row]).sum()))
    np.testing.assert_allclose(logged["ranking"], np.mean(losses), rtol=1e-3)


def test_a_ranking_learns_edits(tmp_path):
    """After it, the nearest of all images shows the target more often."""
    stage = flam_stages.ranking()
    editor, vectors = stage.editor, stage.vectors
    batch, seed = next(iter(stage.examples(9, None))), tf.constant([0, 0])
    reader = [v.numpy() for v in editor.reader.variables]

    def in_order():
        query = editor.query(batch["anchor"], batch["manipulation"]).numpy()
        nearest = (query @ vectors.upright.T).argmax(axis=1)
        wanted = np.where(batch["manipulation"] == -1, batch["values"], batch["manipulation"])
        return np.mean((vectors.labels[nearest] == wanted).all(axis=1))

    before, loss = in_order(), stage.loss(batch, seed)[0]
    train(stage, tmp_path, 200, 0.003)
    assert in_order() > before + 0.3 and stage.loss(batch, seed)[0] < loss
    for variable, value in zip(editor.reader.variables, reader, strict=True):
        np.testing.assert_array_equal(variable, value)


def test_readings_stand_in_for_missing_labels():
    stage = flam_stages.ranking()
    editor, vectors = stage.editor, stage.vectors
    labels = vectors.labels.copy()
    labels[::2, 1] = -1
    found = known_or_read(editor, dataclasses.replace(vectors, labels=labels))
    read = known_or_read(editor, dataclasses.replace(vectors, labels=None))
    np.testing.assert_array_equal(found[1::2], vectors.labels[1::2])
    np.testing.assert_array_equal(found[::2, [0, 2]], vectors.labels[::2][:, [0, 2]])
    np.testing.assert_array_equal(found[::2, 1], read[::2, 1])


def test_mirrored_vectors_take_the_place_of_upright_ones():
    upright = np.zeros((4, 2), np.float32)
    vectors = Vectors(upright, upright + 1.0)
    drawn = training.Images(np.array([0, 2, 3]), np.array([True, False, True]))
    np.testing.assert_array_equal(vectors.load(drawn)["vectors"][:, 0], [1.0, 0.0, 1.0])
    np.testing.assert_array_equal(upright, 0.0)
