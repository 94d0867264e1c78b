"""A data set of vectors: joined, split by id, opened; and what is refused or reported."""

import dataclasses

import numpy as np
import pytest
import small_vectors
from small_vectors import SIZE, write

from fashionsearchnet.data import pipeline
from fashionsearchnet.data.vectors.preparation import prepare, report_text
from fashionsearchnet.networks.image_input import ImageInput, VectorInput

SPLITS = ("query", "gallery", "validation", "train", "unlabelled")


def test_a_data_set_has_the_vectors_and_labels_of_its_files(tmp_path):
    dataset, report = prepare(write(tmp_path), tmp_path / "data")
    found, ids, labels = small_vectors.vectors()
    assert dataset.name == "vectors/shop/1.0.0"
    assert [dataset.num_examples(split) for split in SPLITS] == [10, 20, 10, 60, 20]
    everything = "all"
    assert dataset.image_ids(everything) == dataset.image_ids("+".join(SPLITS))
    assert sorted(dataset.image_ids(everything)) == ids
    place = {name: row for row, name in enumerate(ids)}
    rows = [place[name] for name in dataset.image_ids(everything)]
    np.testing.assert_array_equal(dataset.vectors(everything), found[rows])
    known = dataset.labels("train")
    names = np.array(dataset.space.values[0])[known[:, 0]]
    colours = [small_vectors.COLOURS[labels[place[n]][0]] for n in dataset.image_ids("train")]
    assert names.tolist() == colours
    assert (dataset.labels("unlabelled") == -1).all()
    assert report["labelled"] == 100


def test_a_vector_counts_as_an_image(tmp_path):
    dataset, _ = prepare(write(tmp_path), tmp_path / "data")
    vector_input = dataset.vector_input
    (batch, *_) = dataset.images("gallery", vector_input, batch_size=7)
    np.testing.assert_array_equal(batch, dataset.vectors("gallery")[:7])
    encoded = next(dataset.encoded_images("gallery").as_numpy_iterator())
    np.testing.assert_array_equal(vector_input.decode(encoded, "it"), batch[0])
    assert dataset.image_loader("gallery", vector_input)([3], [True]).shape == (1, SIZE)


def test_splits_are_functions_of_the_id(tmp_path):
    options = write(tmp_path)
    before, _ = prepare(options, tmp_path / "data")
    split_of = {name: split for split in SPLITS for name in before.image_ids(split)}
    write(tmp_path, number=150, labelled=130)
    after, _ = prepare(options, tmp_path / "data", overwrite=True)
    for split in ("query", "gallery", "validation", "train"):
        for name in after.image_ids(split):
            assert split_of.get(name, split) in (split, "unlabelled")


def test_a_full_disk_is_named_and_the_former_data_set_stays(tmp_path, monkeypatch):
    options = write(tmp_path)
    before, _ = prepare(options, tmp_path / "data")
    write(tmp_path, number=150, labelled=130)

    def save(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(np, "save", save)
        with pytest.raises(OSError, match=r"shop.* \(No space left .*former data set .*unchanged"):
            prepare(options, tmp_path / "data", overwrite=True)
        with pytest.raises(OSError, match="No space left"):
            prepare(options, tmp_path / "other")
    assert not any((tmp_path / "other" / "vectors").iterdir())
    folder = tmp_path / "data" / "vectors" / "shop"
    assert [path.name for path in folder.iterdir()] == ["1.0.0"]
    assert before.num_examples("gallery") == 20
    # A kill between the two renames leaves the data set in `.former`, and its splits are kept.
    (folder / "1.0.0").rename(folder / ".former")
    again, _ = prepare(options, tmp_path / "data", overwrite=True)
    assert set(before.image_ids("query")) <= set(again.image_ids("query"))


def test_dense_splits_have_every_label(tmp_path):
    options = write(tmp_path)
    table = tmp_path / "labels.csv"
    lines = table.read_text().splitlines()
    lines[1:41:2] = [line.rpartition(",")[0] + "," for line in lines[1:41:2]]
    table.write_text("\n".join(lines) + "\n")
    dataset, _ = prepare(dataclasses.replace(options, dense_splits=True), tmp_path / "data")
    assert [dataset.num_examples(split) for split in SPLITS] == [10, 20, 10, 60, 20]
    for split in ("query", "gallery", "validation"):
        assert (dataset.labels(split) >= 0).all()
    assert (dataset.labels("train") < 0).any(axis=1).sum() == 20
    prepare(options, tmp_path / "other")  # the same files without: another data set
    with pytest.raises(ValueError, match="holds other vectors, labels or options"):
        prepare(options, tmp_path / "data")


def test_slices(tmp_path):
    dataset, _ = prepare(write(tmp_path), tmp_path / "data")
    train = dataset.image_ids("train")
    assert dataset.image_ids("train[:20%]") == train[:12]
    assert (
        dataset.image_ids("train[-3:]+query[2:5]") == train[-3:] + dataset.image_ids("query")[2:5]
    )
    for split in ("trian", "train[5]", "train+"):
        with pytest.raises(ValueError, match=r"has no split .*; splits: query, gallery, val"):
            dataset.num_examples(split)


def test_the_pipeline_opens_it_and_names_it(tmp_path):
    prepare(write(tmp_path), tmp_path / "data")
    found = pipeline.open_dataset(tmp_path / "data", "vectors/shop")
    assert found.vector_input is not None and found.vector_input.size == SIZE
    with pytest.raises(FileNotFoundError, match=r"These exist: vectors/shop.*--features=\.\.\."):
        pipeline.open_dataset(tmp_path / "data", "vectors/other")


def test_the_same_again_is_opened_and_another_is_refused(tmp_path):
    options = write(tmp_path)
    _, first = prepare(options, tmp_path / "data")
    assert prepare(options, tmp_path / "data")[1] == first
    with pytest.raises(ValueError, match=r"holds other vectors, labels or options.*--overwrite"):
        prepare(dataclasses.replace(options, min_count=6), tmp_path / "data")


def test_labels_of_ids_without_a_vector_are_counted(tmp_path):
    options = write(tmp_path)
    with open(options.csv, "a") as file:
        file.write("nobody1,red,long\nnobody2,purple,long\n")
    dataset, report = prepare(options, tmp_path / "data")
    assert report["rows without a vector"] == 2
    assert report["values that no vector has"] == {"colour": {"purple": 1}}
    text = report_text(report)
    assert "rows without a vector: 2 (line 102, id nobody1; line 103, id nobody2)" in text
    assert "values that no vector has: colour: purple 1" in text
    assert "purple" not in dataset.space.values[0]


def test_a_rare_value_is_a_missing_label(tmp_path):
    options = write(tmp_path)
    table = (tmp_path / "labels.csv").read_text().replace("item0000,", "item0000,odd", 1)
    (tmp_path / "labels.csv").write_text(table)
    dataset, report = prepare(options, tmp_path / "data")
    (counts,) = report["rare values, now missing"].values()
    assert list(counts.values()) == [1]
    assert dataset.num_examples("+".join(SPLITS)) == 120  # no vector is dropped


def test_the_most_frequent_values_only(tmp_path):
    dataset, report = prepare(dataclasses.replace(write(tmp_path), top_values=2), tmp_path / "data")
    assert [len(values) for values in dataset.space.values] == [2, 2]
    assert list(report["rare values, now missing"]) == ["colour"]


def test_ids_that_are_all_unknown_are_refused(tmp_path):
    options = write(tmp_path)
    (tmp_path / "labels.csv").write_text("id,colour,sleeve\nx1,red,long\nx2,blue,short\n")
    with pytest.raises(
        ValueError, match=r"no id of .*labels.csv .*'x1'.*has a vector.*--id_column"
    ):
        prepare(options, tmp_path / "data")


def test_what_a_model_cannot_see_is_refused(tmp_path):
    dataset, _ = prepare(write(tmp_path), tmp_path / "data")
    mine = dataset.vector_input
    dataset.check_seen_by(mine)
    for seen, message in {
        ImageInput(64): r"sees images, but data set vectors/shop.* holds vectors of 12",
        VectorInput(13, features=mine.features): r"sees vectors of 13 numbers.*vectors of 12",
        VectorInput(SIZE, metric="euclidean", features=mine.features): r"another --metric",
        VectorInput(SIZE, features="0123"): r"features '0123'.*--features_model=0123",
    }.items():
        with pytest.raises(ValueError, match=message):
            dataset.check_seen_by(seen)
