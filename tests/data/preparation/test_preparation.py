import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data import image_files
from fashionsearchnet.data.catalogue.table import Row
from fashionsearchnet.data.darn.builder import Darn
from fashionsearchnet.data.published import preparation
from fashionsearchnet.data.published.preparation import PublishedDataset, PublishedOptions, Source

SPACE = AttributeSpace.from_dict({"colour": ["red", "blue"]})
IMAGES = [f"{i}.jpg" for i in range(30)]


def dataset_of(folder, **source):
    """A data set of 30 labelled images and one without a label."""
    rows = [Row(line, image, ("red",)) for line, image in enumerate(IMAGES, 1)]
    rows.append(Row(31, "unlabelled.jpg", ("",)))
    found = Source(space=SPACE, rows=rows, images_dir=folder, max_lost=1, **source)
    return PublishedDataset(Darn, PublishedOptions, lambda options: found, 31, 1, 2)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "there are 30"),
        ({"fixed_splits": {"train": IMAGES[:9], "gallery": [], "query": []}}, "there are 9"),
    ],
)
def test_too_few_images_are_told_before_one_is_read(tmp_path, monkeypatch, source, message):
    monkeypatch.setattr(image_files, "find_file", None)  # must not be needed
    options = PublishedOptions(
        source_dir=str(tmp_path), num_queries=5, num_gallery=15, num_validation=10
    )
    with pytest.raises(ValueError, match=rf"the splits need .*{message}\. Ask for smaller splits"):
        preparation.prepare(dataset_of(tmp_path, **source), options, tmp_path / "data")
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"split_seed": -1}, "split_seed must be between 0 and 4294967295; got -1"),
        ({"num_gallery": 0}, "num_gallery must be at least 1"),
        ({"name": "../x"}, "must begin with a letter"),
    ],
)
def test_options_that_cannot_be_met(change, message):
    with pytest.raises(ValueError, match=message):
        PublishedOptions(**({"source_dir": "downloads"} | change))
