"""The training scripts of FLAM, from images to what `load_complete_system` opens."""

import keras
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script
from fakes import FakeDataset

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.files import read_json
from fashionsearchnet.networks.backbones import Trunk, build_backbone
from fashionsearchnet.systems import registry

SMALL = ("--image_size=40", "--width=0.05", "--first_stride=2", "--normalization=batch")
SHORT = ("--num_epochs=1", "--batch_size=16")
READER = ("--generator_dim=12",)
OTHER_SPACE = AttributeSpace.from_dict({"shape": ["box", "disc"], "size": ["s", "m", "l"]})


class ItemDataset(FakeDataset):
    """Images with the same labels show the same item."""

    def instance_ids(self, split):
        return ["".join(map(str, row)) for row in self.labels(split)]


class OtherDataset(ItemDataset):
    """The same images under other names."""

    def image_ids(self, split):
        return [f"another-{name}" for name in super().image_ids(split)]


@pytest.fixture(autouse=True)
def data_set(monkeypatch):
    kinds = {"another": OtherDataset}
    monkeypatch.setattr(
        pipeline, "open_dataset", lambda folder, name, *_: kinds.get(name, ItemDataset)()
    )


@pytest.fixture
def frozen(tmp_path):
    """The flags of a pretrained trunk that stays as it is."""
    keras.utils.set_random_seed(5)
    trunk = Trunk(width=0.05, first_stride=2, normalization="batch")
    path = tmp_path / "alexnet.weights.h5"
    build_backbone(trunk, 40).network.save_weights(path)
    return (*SMALL, f"--pretrained_weights={path}", "--trunk_training=frozen")


def call(name, workdir, *arguments):
    with script(f"flam/{name}") as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, f"--workdir={workdir}", *SHORT, *arguments])
        tool.main()


def measure(workdir, classifiers):
    with script("flam/measure_edits") as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, f"--workdir={workdir}", f"--classifiers={classifiers}"])
        tool.main()


def check_measured(flam, classifiers, embedders, capsys):
    """The table of edited features, and what it refuses."""
    measure(flam, classifiers)
    shown = capsys.readouterr().out
    assert "| accuracy | original | edited | others, original | others, after the edit |" in shown
    found = read_json(flam / "evaluation" / "edited_features.json", "figures", "")
    assert found["attributes"] == list(ItemDataset().space.names)
    assert f"| mean difference |  | {found['mean_difference']:+.3f} |" in shown
    with pytest.raises(ValueError, match="which edits no features; give a run of train_manip"):
        measure(classifiers, classifiers)
    with pytest.raises(ValueError, match=r"give a run of train_classifiers\.py"):
        measure(flam, flam)
    with pytest.raises(ValueError, match="needs stage 'manipulator'"):
        measure(embedders, classifiers)


def test_from_a_pretrained_trunk_to_edits(tmp_path, frozen, capsys):
    embedders, flam = tmp_path / "embedders", tmp_path / "flam"
    call("train_embedders", embedders, *frozen, *READER, "--reader_dim=8", "--pca_dim=6")
    call("train_manipulator", flam, f"--init_from={embedders}", "--unlabelled_dataset=another")
    seen = read_json(flam / "training_images.json", "ids", "")
    assert {"train-0", "another-train-0"} <= {*seen}
    before, model = registry.load_system(embedders), registry.load_complete_system(flam)
    classifiers = tmp_path / "classifiers"
    call("train_classifiers", classifiers, *frozen, *READER, "--pca_dim=6")
    check_measured(flam, classifiers, embedders, capsys)
    ranked = tmp_path / "ranked"
    start = (f"--init_from={embedders}", "--variant=ranked", "--several_edits=at_once")
    call("train_manipulator", ranked, *start, "--num_changes=2", "--generator_dim=9")
    editor = registry.load_complete_system(ranked).editor
    assert editor.several_edits == "at_once" and editor.generator.hidden.units == 9
    with pytest.raises(ValueError, match=r"--matching_weight=2\.0 is not for --variant=ranked; it"):
        call("train_manipulator", tmp_path / "other", *start, "--matching_weight=2")
    with pytest.raises(
        ValueError, match=r"--sharpness=2\.0 is not for --variant=m; it is for rank"
    ):
        call("train_manipulator", tmp_path / "other", start[0], "--variant=m", "--sharpness=2")
    assert model.title == "FLAM(M/OS/Adv)" and model.stages == ("embedders", "manipulator")
    images = next(iter(ItemDataset().images("query", model.image_input)))
    feature = model.image_features(images)["embedding"]
    assert feature.shape[1] == 6
    np.testing.assert_array_equal(before.image_features(images)["embedding"], feature)
    np.testing.assert_array_equal(before.editor.blocks(feature), model.editor.blocks(feature))
    with pytest.raises(ValueError, match=r"'embedders' only, but FLAM.* needs stage 'manipulator'"):
        registry.load_complete_system(embedders)


def test_baselines_on_a_learned_feature(tmp_path, frozen, monkeypatch):
    items = tmp_path / "items"
    call("train_instances", items, *frozen, "--projection_dim=7", "--pooling=levels", "--flip")
    start = (f"--init_from={items}", *READER)
    call("train_classifiers", tmp_path / "cls", *start)
    call("train_embedders", tmp_path / "emb", *start, "--variant=emb_concat", "--reader_dim=8")
    for name in ("cls", "emb"):
        model = registry.load_complete_system(tmp_path / name)
        assert model.instance_classifier is None and model.projection.units == 7
        assert model.arguments["trunk"]["training"] == "frozen"
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: ItemDataset(OTHER_SPACE))
    call("train_embedders", tmp_path / "others", *start, "--reader_dim=8")
    assert registry.load_system(tmp_path / "others").space == OTHER_SPACE
    monkeypatch.setattr(pipeline, "open_dataset", lambda *_: ItemDataset())
    with pytest.raises(ValueError, match=r"needs embedders of width 32, but .*run of Emb-Concat"):
        call("train_manipulator", tmp_path / "flam", f"--init_from={tmp_path / 'emb'}")
    with pytest.raises(ValueError, match="has learned a feature only, and no embedder"):
        call("train_manipulator", tmp_path / "flam", f"--init_from={items}")
    with pytest.raises(ValueError, match="--backbone=resnet50 cannot be changed by a stage that"):
        call("train_classifiers", tmp_path / "other", *start, "--backbone=resnet50")
    with pytest.raises(ValueError, match="--pca_dim=5 is about a feature that no stage learns"):
        call("train_classifiers", tmp_path / "other", *start, "--pca_dim=5")
    with pytest.raises(ValueError, match=r"--trunk_rate_multiplier=0\.5 is for a trunk that"):
        call("train_classifiers", tmp_path / "other", *start, "--trunk_rate_multiplier=0.5")
