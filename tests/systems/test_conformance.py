"""The contract of `systems/system.py`, held against every system and variant."""

import inspect
import json
from collections.abc import Callable
from typing import Any
from unittest import mock

import keras
import numpy as np
import pytest
import tensorflow as tf
from fakes import SPACE
from gpu_kernels import without_kernel
from small_networks import network

from fashionsearchnet.attributes import KEEP
from fashionsearchnet.choices import TASKS
from fashionsearchnet.export.signatures import ServedSystem
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.agman.variants import VARIANTS as AGMAN_VARIANTS
from fashionsearchnet.systems.amnet.model import AMNet
from fashionsearchnet.systems.asenet.model import ASENet
from fashionsearchnet.systems.asenet.variants import VARIANTS as ASENET_VARIANTS
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.fashionsearchnet_v2.variants import VARIANTS
from fashionsearchnet.systems.features import attribute_logits
from fashionsearchnet.systems.flam.model import FLAM
from fashionsearchnet.systems.flam.variants import VARIANTS as FLAM_VARIANTS
from fashionsearchnet.systems.gallery_labels import beliefs_of
from fashionsearchnet.systems.system import System

BATCH = 5


def _variant(name: str) -> Callable[[], System]:
    """Returns what builds a small instance of a variant of FashionSearchNet-v2."""
    heads: dict[str, Any] = {"hidden_dims": (10, 6), "representation_dim": 8, "global_dim": 7}
    return lambda: FashionSearchNetV2(SPACE, variant=name, **heads, **network())


def _of_attributes(
    kind: Callable[..., System], variant: str, **arguments: Any
) -> Callable[[], System]:
    """Returns what builds a small instance of a variant of ASENet or AG-MAN."""
    return lambda: kind(SPACE, variant=variant, hidden_dim=8, **arguments, **network())


def _flam(variant: str, **arguments: Any) -> Callable[[], System]:
    """Returns what builds a small instance of a variant of FLAM."""
    sizes: dict[str, Any] = {"projection_dim": 12, "reader_dim": 8, "generator_dim": 10}
    return lambda: FLAM(SPACE, variant=variant, **{**sizes, **arguments}, **network())


# How a small instance of each system and variant is built.
BUILDERS: dict[str, Callable[[], System]] = {
    "amnet": lambda: AMNet(SPACE, feature_dim=12, **network()),
    **{f"agman/{variant}": _of_attributes(AGMAN, variant) for variant in AGMAN_VARIANTS},
    "agman/values": _of_attributes(AGMAN, "agman", learns_from="values"),
    "agman/edits": _of_attributes(AGMAN, "agman", edit_ranking=True, block_dim=4),
    **{
        f"asenet/{variant}": _of_attributes(ASENet, variant, embedding_dim=10)
        for variant in ASENET_VARIANTS
    },
    "asenet/edits": _of_attributes(ASENet, "triplet_net", embedding_dim=10, edit_ranking=True),
    **{f"fashionsearchnet_v2/{variant}": _variant(variant) for variant in VARIANTS},
    **{f"flam/{variant}": _flam(variant) for variant in FLAM_VARIANTS},
    "flam/m_os_adv/features as they come": _flam("m_os_adv", pooling="levels", projection_dim=0),
    "flam/m_os_adv/main directions": _flam("m_os_adv", pooling="levels", projection="pca"),
}


@pytest.fixture(scope="module", params=BUILDERS)
def system(request) -> System:
    """A system whose weights are all at random, its memory included. No test changes it."""
    keras.utils.set_random_seed(0)
    found = BUILDERS[request.param]()
    rng = np.random.default_rng(0)
    for variable in found.variables:
        if "moving_" not in variable.path:
            variable.assign(variable.value + rng.normal(0.0, 0.05, variable.shape))
    return found


@pytest.fixture(scope="module")
def images(system):
    shape = (BATCH, system.image_input.size, system.image_input.size, 3)
    return tf.constant(np.random.default_rng(0).normal(0.0, 60.0, shape), tf.float32)


@pytest.fixture(scope="module")
def features(system, images):
    return system.image_features(images)


@pytest.fixture
def edits(rng):
    manipulation = rng.integers(KEEP, SPACE.num_values, (BATCH, SPACE.num_attributes))
    manipulation[0] = KEEP
    return tf.constant(manipulation, tf.int32)


def test_every_system_is_in_the_table():
    """Variants cannot be missing: the table takes them from VARIANTS."""
    assert {name.split("/")[0] for name in BUILDERS} == set(registry.SYSTEMS)


def test_it_says_what_it_is(system):
    assert registry.SYSTEMS[system.name] is type(system)
    assert system.title and system.stages and set(system.tasks) <= set(TASKS) and system.tasks
    assert len(set(system.stages)) == len(system.stages)
    assert system.space is SPACE
    json.dumps(system.arguments)


def test_its_arguments_build_it_again(system):
    again = registry.SYSTEMS[system.name](SPACE, **system.arguments)
    assert again.arguments == system.arguments and again.image_input == system.image_input
    shapes = [(v.path.split("/")[-1], tuple(v.shape)) for v in system.variables]
    assert [(v.path.split("/")[-1], tuple(v.shape)) for v in again.variables] == shapes


def test_it_survives_a_run_folder(system, features, images, tmp_path):
    registry.save_system(tmp_path, system, system.stages[-1], "fake/1.0.0")
    found = registry.load_complete_system(tmp_path).image_features(images)
    assert found.keys() == features.keys()
    for key, value in features.items():
        np.testing.assert_array_equal(found[key], value, err_msg=key)


def test_features_are_the_same_in_a_graph_of_unknown_batch_size(system, images):
    size = system.image_input.size
    signature = [tf.TensorSpec([None, size, size, 3], tf.float32)]
    compiled = tf.function(system.image_features, input_signature=signature, autograph=False)
    for rows in (slice(0, BATCH), slice(2, 3)):
        eager = system.image_features(images[rows])
        for key, value in compiled(images[rows]).items():
            np.testing.assert_allclose(value, eager[key], rtol=1e-4, atol=1e-4, err_msg=key)
            assert len(value) == rows.stop - rows.start and len(value.shape) < 4, key


def test_vectors_of_each_task(system, features, images, edits):
    found = {
        "manipulation": lambda: [
            system.query_embedding(features, edits),
            system.gallery_embedding(features, edits),
            system.encode_query(images, edits),
            system.encode_gallery(images),
        ],
        "attribute": lambda: [
            make(features_or_images, attribute)
            for attribute in range(SPACE.num_attributes)
            for make, features_or_images in (
                (system.attribute_embedding, features),
                (system.attribute_query, features),
                (system.encode_attribute, images),
            )
        ],
        "instance": lambda: [system.instance_embedding(features), system.encode_instance(images)],
    }
    assert set(found) == set(TASKS)
    for task, vectors in found.items():
        if task not in system.tasks:
            with pytest.raises(ValueError, match=f"does not answer the task '{task}'.*it answers"):
                vectors()
            with pytest.raises(ValueError, match=f"does not answer the task '{task}'"):
                system.check_answers(task)
            continue
        system.check_answers(task)
        for vector in vectors():
            assert vector.dtype == tf.float32 and vector.shape[0] == BATCH
            assert len(vector.shape) == 2 and np.isfinite(vector).all()


def test_alike_in_some_attributes(system, features):
    """The nearest have the largest weighted sum of cosines."""
    weights = tf.constant([2.0, 0.0, 0.5])
    if "attribute" not in system.tasks:
        with pytest.raises(ValueError, match="does not answer the task 'attribute'"):
            system.alike_query(features, weights)
        with pytest.raises(ValueError, match="does not answer the task 'attribute'"):
            system.alike_embedding(features)
        return
    query = system.alike_query(features, weights).numpy()
    gallery = system.alike_embedding(features).numpy()
    distances = np.square(query[:1] - gallery).sum(axis=1)
    cosines = np.zeros(BATCH)
    for attribute, weight in enumerate(weights.numpy()):
        asked = system.attribute_query(features, attribute).numpy()[0]
        vectors = system.attribute_embedding(features, attribute).numpy()
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        cosines += weight * (vectors @ asked) / np.linalg.norm(asked)
    expected = distances[0] - 2.0 * (cosines - cosines[0])
    np.testing.assert_allclose(distances, expected, rtol=1e-3, atol=1e-4)


def test_the_gallery_depends_on_the_edit_only_where_it_says_so(system, features, edits):
    if "manipulation" not in system.tasks:
        return
    plain = system.gallery_embedding(features).numpy()
    edited = system.gallery_embedding(features, edits).numpy()
    assert (edited != plain).any() == system.gallery_depends_on_edit


def test_labels_of_the_gallery(system, features, edits):
    """A system has blocks that its gallery vectors are made of, or says that it has none."""
    values, blend = np.maximum(edits, 0), tf.fill([SPACE.num_attributes], 0.5)
    beliefs = tf.constant(beliefs_of(SPACE, values))
    if not system.has_blocks:
        for member in (
            lambda: system.gallery_blocks(features),
            system.prototypes,
            lambda: system.merge_blocks(features["embedding"]),
            lambda: system.labelled_embedding(features["embedding"], beliefs, blend),
        ):
            with pytest.raises(ValueError, match="cannot use the labels of a gallery"):
                member()
        return
    blocks, prototypes = system.gallery_blocks(features), system.prototypes()
    assert blocks.shape[:2] == (BATCH, SPACE.num_attributes) and blocks.dtype == tf.float32
    assert prototypes.shape == (SPACE.total_values, blocks.shape[2])
    plain = system.gallery_embedding(features, edits)
    np.testing.assert_array_equal(system.merge_blocks(blocks, edits), plain)
    np.testing.assert_array_equal(system.merge_blocks(blocks), system.gallery_embedding(features))
    for unused in ((tf.zeros_like(beliefs), blend), (beliefs, tf.zeros_like(blend))):
        found = system.labelled_embedding(blocks, *unused, edits)
        np.testing.assert_array_equal(found, plain)
    # The label alone: what the prototypes of the values give, and what an edit puts into a query.
    flat = values + np.array(SPACE.offsets)
    alone = system.labelled_embedding(blocks, beliefs, tf.ones_like(blend))
    np.testing.assert_allclose(
        alone, system.merge_blocks(tf.gather(prototypes, flat)), rtol=1e-4, atol=1e-4
    )
    assert system.labelled_embedding(blocks, beliefs, blend).shape == plain.shape


def test_what_it_reads(system, features):
    logits = system.attribute_logits(features)
    if logits is not None:
        assert logits.shape == (BATCH, SPACE.total_values) and logits.dtype == tf.float32
    arrays = attribute_logits(system, {name: value.numpy() for name, value in features.items()})
    assert (arrays is None) == (logits is None)


def test_where_it_looks(system, features, images):
    attention = system.attention(images)
    found, beside = system.features_and_attention(images)
    for key, value in features.items():
        np.testing.assert_array_equal(found[key], value)
    if not system.has_attention:
        assert attention is None and beside is None and system.map_geometry is None
        return
    assert attention is not None and beside is not None
    number = SPACE.num_attributes
    assert attention["maps"].shape[:2] == (BATCH, number) and len(attention["maps"].shape) == 4
    assert attention["boxes"].shape == (BATCH, number, 4)
    assert attention["logits"].shape == (BATCH, SPACE.total_values)
    assert system.map_geometry is None or system.map_geometry.image_size == system.image_input.size
    for key, value in attention.items():
        np.testing.assert_array_equal(beside[key], value)


def test_an_export_stays_on_the_gpu(system):
    """The network is traced once here; in an export, every signature has a copy of it."""
    served = ServedSystem(system, "float32")
    found = {}

    @tf.function(autograph=False, input_signature=[tf.TensorSpec([None], tf.string)])
    def network_alone(image_bytes):
        images = served._load(image_bytes)
        with served.stored_weights():
            features = system.image_features(images)
        with (
            mock.patch.object(served, "_load", return_value=images),
            mock.patch.object(type(system), "image_features", return_value=features),
        ):
            for name, signature in served.signatures().items():
                found[name] = without_kernel(signature.get_concrete_function())
        return features

    found["network"] = without_kernel(network_alone.get_concrete_function())
    assert len(found) > 6 and not any(found.values()), found


def test_the_contract_has_no_other_members():
    """Whoever adds a public member to a system's contract adds its test here."""
    own = {name for name in vars(System) if not name.startswith("_")}
    tested = {
        *("title", "stages", "gallery_depends_on_edit", "map_geometry", "has_attention"),
        *("image_features", "query_embedding", "gallery_embedding", "attribute_embedding"),
        *("attribute_query", "alike_query", "alike_embedding", "instance_embedding"),
        *("attribute_logits", "attention", "features_and_attention"),
        *("encode_query", "encode_gallery", "encode_attribute", "encode_instance"),
        *(
            "needs_values",
            "has_blocks",
            "gallery_blocks",
            "prototypes",
            "merge_blocks",
            "labelled_embedding",
        ),
        *("call", "check_answers", "in_float32"),
    }
    assert own == tested
    assert all(
        inspect.getdoc(vars(System)[name])
        for name in own - {"has_attention", "has_blocks", "needs_values", "call"}
    )
