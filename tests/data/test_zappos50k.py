"""Zappos50k in CSN's triplet lists, from the files to a run that is measured on them."""

import json
import re

import numpy as np
import pytest
import tensorflow as tf
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import FakeDataset, FakeSystem, script
from small_networks import network
from source_fakes import SIZES, draw_images, prepare_quietly, replace_line, write_lines

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import pipeline
from fashionsearchnet.data.listed_triplets import TRIPLETS_FILE
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.zappos50k import reader
from fashionsearchnet.evaluation import AttributeProtocol, make_plans
from fashionsearchnet.evaluation.listed_triplets import listed_triplet_accuracy
from fashionsearchnet.systems import registry
from fashionsearchnet.systems.agman.model import AGMAN
from fashionsearchnet.systems.fashionsearchnet_v2.model import FashionSearchNetV2
from fashionsearchnet.systems.features import extract_features
from fashionsearchnet.systems.triplet_stage import TripletStage
from fashionsearchnet.training import ListedTripletSampler

IMAGES = [f"Shoes/Oxfords/Brand {i % 2}/{i}.jpg" for i in range(12)]
FIRST = {"train": 0, "val": 4, "test": 8}  # of four images of a split


def lines_of(attribute, split):
    """Three triplets: anchor, far, close."""
    a, b, c, d = range(FIRST[split], FIRST[split] + 4)
    return [f"{a} {b} {c}", f"{d} {a} {b}", f"{c} {d} {a}"][: 3 - attribute % 2]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zappos50k")
    draw_images(folder / "ut-zap50k-images", IMAGES)
    write_lines(folder / "filenames.json", IMAGES)
    for number, attribute in enumerate(reader.ATTRIBUTES):
        for split in FIRST:
            path = folder / "tripletlists" / f"{attribute}_tripletlist_{split}.txt"
            write_lines(path, lines_of(number, split))
    return folder


@pytest.fixture(scope="module")
def data_dir(original, tmp_path_factory):
    folder = tmp_path_factory.mktemp("data")
    prepare_quietly(reader.READER, folder, source_dir=str(original))
    return folder


@pytest.fixture
def dataset(data_dir):
    return pipeline.open_dataset(str(data_dir), "zappos50k/paper")


def read(folder):
    return reader.read(SourceOptions(source_dir=str(folder), **SIZES))


def copied(original, tmp_path):
    """Returns a folder with the same content, whose lists can be spoilt."""
    for name in ("ut-zap50k-images", "filenames.json"):
        (tmp_path / name).symlink_to(original / name)
    for path in (original / "tripletlists").iterdir():
        write_lines(tmp_path / "tripletlists" / path.name, path.read_text().splitlines())
    return tmp_path


def test_prepared_data_set_is_what_the_files_say(dataset):
    assert dataset.space == AttributeSpace.from_dict({name: () for name in reader.ATTRIBUTES})
    assert not dataset.space.has_values and dataset.space.total_values == 0
    sizes = {split: dataset.num_examples(split) for split in pipeline.SPLITS}
    assert sizes == dict.fromkeys(pipeline.SPLITS, 4) and dataset.queries_in_gallery
    assert (dataset.labels("train") == -1).all()
    for split, suffix in (("train", "train"), ("validation", "val"), ("query", "test")):
        ids = np.array(dataset.image_ids(split))
        listed = dataset.listed_triplets(split)
        assert listed.attribute.tolist() == [0, 0, 0, 1, 1, 2, 2, 2, 3, 3]
        named = [ids[part].tolist() for part in (listed.anchor, listed.negative, listed.positive)]
        expected = [
            [IMAGES[int(number)] for number in line.split()]
            for attribute in range(4)
            for line in lines_of(attribute, suffix)
        ]
        assert [list(row) for row in zip(*named, strict=True)] == expected
    with pytest.raises(ValueError, match="triplets of the splits train, validation, query"):
        dataset.listed_triplets("gallery")


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        ("0 1", "line 2 must be three positions of images: anchor, far, close; got '0 1'"),
        ("0 1 12", "line 2: the close image must be an integer between 0 and 11; got '12'"),
        ("0 -1 2", "line 2: the far image must be an integer between 0 and 11; got '-1'"),
        ("x 1 2", "line 2: the anchor image must be an integer between 0 and 11; got 'x'"),
    ],
)
def test_wrong_lines_are_named(original, tmp_path, line, problem):
    copy = copied(original, tmp_path)
    replace_line(copy / "tripletlists" / "closure_tripletlist_val.txt", 1, line)
    with pytest.raises(ValueError, match="closure_tripletlist_val.txt " + re.escape(problem)):
        read(copy)


@pytest.mark.parametrize("line", ["0 1 1", "1 0 1", "1 1 0"])
def test_a_triplet_of_two_images_is_left_out_and_counted(original, tmp_path, line):
    copy = copied(original, tmp_path)
    replace_line(copy / "tripletlists" / "closure_tripletlist_val.txt", 1, line)
    whole, found = (read(folder) for folder in (original, copy))
    number = len(whole.extras[TRIPLETS_FILE]["validation"])
    assert len(found.extras[TRIPLETS_FILE]["validation"]) == number - 1
    note = "1 triplets of the split validation name an image twice; they are left out"
    assert note in found.notes and note not in whole.notes


def test_a_folder_of_something_else_is_refused(tmp_path):
    write_lines(tmp_path / "filenames.json", IMAGES)
    with pytest.raises(FileNotFoundError, match=r"missing ut-zap50k-images/, .*; found filenames"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("line", "problem"),
    [('["a.jpg", "b.jpg"]', "a plain list, .*line 1 is .*a.jpg"), ("", "plain list.*1 is blank")],
)
def test_a_list_of_images_that_is_none(original, tmp_path, line, problem):
    copy = copied(original, tmp_path)
    (copy / "filenames.json").unlink()
    write_lines(copy / "filenames.json", [line, *IMAGES[1:]])
    with pytest.raises(ValueError, match=problem):
        read(copy)


def test_images_of_two_splits_are_counted(original, tmp_path):
    copy = copied(original, tmp_path)
    replace_line(copy / "tripletlists" / "heel_tripletlist_test.txt", 0, "0 9 10")
    assert "1 images are in triplets to train and in those of the split test" in read(copy).notes


def test_the_sampler_draws_listed_triplets(dataset):
    listed = dataset.listed_triplets("train")
    drawn = ListedTripletSampler(listed).sample(np.random.default_rng(0), 400)
    rows = set(zip(*vars(listed).values(), strict=True))
    found = list(zip(drawn.attribute, drawn.anchor, drawn.positive, drawn.negative, strict=True))
    assert set(found) == rows and drawn.mirrored.shape == (400, 3)


def call(name, *arguments):
    with script(name) as tool, flagsaver.flagsaver():
        flags.FLAGS([tool.__name__, *arguments])
        tool.main()


def train(data_dir, folder):
    small = ("--image_size=40", "--width=0.05", "--first_stride=2", "--normalization=batch")
    call(
        "asenet/train_embedding",
        *("--dataset=zappos50k/paper", f"--data_dir={data_dir}", f"--workdir={folder}"),
        *("--num_epochs=1", "--batch_size=4", "--triplets_per_epoch=8", "--hidden_dim=8", *small),
    )


@pytest.fixture(scope="module")
def run(data_dir, tmp_path_factory):
    """A short run of ASENet_V2."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    train(data_dir, folder)
    return folder


def test_a_run_on_triplets(data_dir, dataset, run, capsys):
    model = registry.load_complete_system(run)
    assert model.tasks == ("attribute",) and not model.has_blocks
    attention = model.attention(tf.zeros([4, *model.image_input.shape]))
    assert attention is not None and attention["logits"].shape == (4, 0)
    features = extract_features(model, dataset, "query")
    assert model.attribute_logits(features) is None
    with pytest.raises(ValueError, match="does not answer the task 'manipulation'"):
        model.gallery_embedding(features)
    capsys.readouterr()
    call("evaluate_triplets", f"--workdir={run}", f"--data_dir={data_dir}", "--num_resamples=20")
    printed = capsys.readouterr().out
    found = json.loads((run / "evaluation" / "query_triplets.json").read_text())
    assert found["numbers"] == [3, 2, 3, 2] and f"{found['mean']:.3f}" in printed
    correct = []
    listed = dataset.listed_triplets("query")
    for attribute, *rows in zip(*vars(listed).values(), strict=True):
        anchor, near, far = model.attribute_embedding(features, int(attribute))[rows]
        correct.append(np.sum((anchor - near) ** 2) < np.sum((anchor - far) ** 2))
    assert found["queries"] == pytest.approx(np.mean(correct))


def test_agman_without_values(dataset):
    model = AGMAN(dataset.space, hidden_dim=8, **network())
    with pytest.raises(ValueError, match=r"drawn by value, but zappos50k/paper.* lists its tripl"):
        TripletStage(model, dataset, negatives_of="values")
    images = tf.random.stateless_normal([2, *model.image_input.shape], [0, 0], 0.0, 60.0)
    features = model.image_features(images)
    assert model.tasks == ("attribute",) and model.attribute_logits(features) is None
    vectors = [model.attribute_embedding(features, a).numpy() for a in range(4)]
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=-1), 1.0, rtol=1e-5)
    with pytest.raises(ValueError, match="edit_ranking is for attributes with values"):
        AGMAN(dataset.space, edit_ranking=True, **network())


def test_searches_and_pictures_of_a_run(data_dir, dataset, run, capsys):
    where = (f"--workdir={run}", f"--data_dir={data_dir}")
    query = f"--query_id={dataset.image_ids('query')[0]}"
    call("search", *where, query, "--like=closure")
    printed = capsys.readouterr().out
    assert "closure: label -  <- alike" in printed and "match" not in printed
    call("explain", *where, query, "--attributes=closure")
    with pytest.raises(ValueError, match=r"has a label of what --like names; choose .*--query_id"):
        call("explain", *where, "--sheet", "--like=closure")


def test_nothing_can_be_edited(data_dir, run, tmp_path):
    source = (f"--init_from={run}", f"--data_dir={data_dir}", "--dataset=zappos50k/paper")
    with pytest.raises(ValueError, match="lists triplets and no values, so nothing can be edited"):
        call("asenet/train_editing", *source, f"--workdir={tmp_path}")


def test_what_needs_values_says_so(dataset):
    with pytest.raises(ValueError, match=r"have no values: .*use asenet or agman"):
        FashionSearchNetV2(dataset.space)
    with pytest.raises(ValueError, match=r"lists triplets; use tools/evaluate_triplets.py"):
        make_plans(dataset, [AttributeProtocol()])


def test_a_data_set_with_values_lists_no_triplets():
    with pytest.raises(ValueError, match=r"lists no triplets.*tools/evaluate.py --task=attribute"):
        listed_triplet_accuracy(FakeSystem(), FakeDataset(), "query")
