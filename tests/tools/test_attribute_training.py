"""The training scripts of ASENet and AG-MAN, from images to what `load_system` opens."""

import json

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from fakes import SPACE, FakeDataset

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.systems import registry

SMALL = ("--image_size=40", "--width=0.05", "--first_stride=2", "--normalization=batch")
SHORT = ("--num_epochs=1", "--batch_size=16", "--optimizer=adam", "--learning_rate=0.001")
HEAD = ("--hidden_dim=8", "--triplets_per_epoch=48", *SMALL)


@pytest.fixture(autouse=True)
def data_set(monkeypatch):
    monkeypatch.setattr(pipeline, "open_dataset", lambda folder, name, *_: FakeDataset())


def call(name: str, workdir, *arguments: str) -> None:
    with script(name) as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, f"--workdir={workdir}", *SHORT, *arguments])
        tool.main()


@pytest.mark.parametrize(
    ("system", "variant", "options", "title"),
    [
        ("asenet", "csn", ("--embedding_dim=6", "--negatives_of=values"), "CSN"),
        ("agman", "agman", ("--image_fit=crop", "--loss_weighting=uncertainty"), "AG-MAN"),
    ],
)
def test_vectors_and_then_the_ranking_of_edits(tmp_path, system, variant, options, title):
    first, second = tmp_path / "first", tmp_path / "second"
    call(f"{system}/train_embedding", first, *HEAD, f"--variant={variant}", *options, "--flip")
    model = registry.load_complete_system(first)
    assert model.title == title and (np.abs(model.memory.memory.numpy()) > 0).any()
    lines = (first / "metrics.jsonl").read_text().splitlines()
    assert json.loads(lines[-1])["step"] == 3
    call(f"{system}/train_editing", second, f"--init_from={first}", "--block_dim=4")
    edits = registry.load_complete_system(second)
    images = np.concatenate(list(FakeDataset().images("query", model.image_input)))
    features = edits.image_features(images)
    np.testing.assert_allclose(
        features["embedding"], model.image_features(images)["embedding"], rtol=1e-4, atol=1e-5
    )
    assert edits.gallery_embedding(features).shape == (len(images), 12)
    assert edits.title == f"{title}, edits of ours"
    np.testing.assert_array_equal(edits.memory.memory, model.memory.memory)  # it reads as before
    assert (edits.edit_memory.memory.numpy() != model.memory.memory.numpy()).any()
    logits = edits.attribute_logits(features)
    assert logits is not None
    probabilities = tf.nn.softmax(logits[:, : SPACE.num_values[0]])
    queries, gallery = (
        make(features, 0).numpy() for make in (edits.attribute_query, edits.attribute_embedding)
    )
    agreement = tf.matmul(probabilities, probabilities, transpose_b=True)
    np.testing.assert_allclose(queries @ gallery.T, agreement, atol=1e-5)
    with pytest.raises(ValueError, match="block_dim must be between 1 and"):
        call(f"{system}/train_editing", tmp_path / "wide", f"--init_from={first}", "--block_dim=99")
    with pytest.raises(ValueError, match=f"must be a run of tools/{system}/train_embedding.py"):
        call(f"{system}/train_editing", tmp_path / "third", f"--init_from={second}")


def test_labels_in_place_of_triplets(tmp_path):
    head = [flag for flag in HEAD if "triplets" not in flag]
    call("agman/train_embedding", tmp_path / "run", *head, "--learns_from=values")
    model = registry.load_complete_system(tmp_path / "run")
    assert model.title == "AG-MAN, from values"
    assert not any("branch" in variable.path for variable in model.variables)
    call("agman/train_editing", tmp_path / "edits", f"--init_from={tmp_path / 'run'}")
    edits = registry.load_complete_system(tmp_path / "edits")
    assert edits.title == "AG-MAN, from values, edits of ours"
    np.testing.assert_array_equal(edits.value_memory.memory, model.value_memory.memory)
    with pytest.raises(ValueError, match="is about triplets, and --learns_from=values"):
        call(
            "agman/train_embedding",
            *(tmp_path / "no", *head, "--learns_from=values", "--margin=0.5"),
        )


def test_a_frozen_trunk_sees_each_image_once(tmp_path):
    call("asenet/train_embedding", tmp_path / "runs/run", *HEAD, "--trunk_training=frozen")
    (stored,) = (tmp_path / "runs/trunk_outputs").glob("*.npy")
    assert np.load(stored).shape[0] == FakeDataset().num_examples("train")


def test_some_of_the_values_that_are_not_drawn_are_named(tmp_path, monkeypatch, capsys):
    space = AttributeSpace.from_dict({f"a{i}": [f"v{v}" for v in range(4)] for i in range(4)})
    dataset = FakeDataset(space)
    dataset._labels = {split: labels % 2 for split, labels in dataset._labels.items()}
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: dataset)
    call("asenet/train_embedding", tmp_path / "run", *HEAD)
    (line,) = (line for line in capsys.readouterr().out.splitlines() if "not drawn" in line)
    assert line.count("(0 images)") == 6 and line.endswith(" and 2 more")
