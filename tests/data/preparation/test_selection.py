import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.data.darn.reader import Darn
from fashionsearchnet.data.preparation import images
from fashionsearchnet.data.preparation.options import SourceOptions
from fashionsearchnet.data.preparation.reader import Reader, prepare
from fashionsearchnet.data.preparation.records import Record
from fashionsearchnet.data.preparation.source import Source

SPACE = AttributeSpace.from_dict({"colour": ["red", "blue"]})
IMAGES = [f"{i}.jpg" for i in range(30)]


def reader_of(folder, **source):
    """A reader of 30 labelled images and one without a label."""
    records = [Record(line, image, ("red",)) for line, image in enumerate(IMAGES, 1)]
    records.append(Record(31, "unlabelled.jpg", ("",)))
    found = Source(space=SPACE, records=records, images_dir=folder, max_lost=1, **source)
    return Reader(Darn, SourceOptions, lambda options: found)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ({}, "there are 30"),
        ({"fixed_splits": {"train": IMAGES[:9], "gallery": [], "query": []}}, "there are 9"),
    ],
)
def test_too_few_images_are_refused_before_one_is_read(tmp_path, monkeypatch, source, message):
    monkeypatch.setattr(images, "check_images", None)  # must not be needed
    options = SourceOptions(
        source_dir=str(tmp_path), num_queries=5, num_gallery=15, num_validation=10
    )
    with pytest.raises(ValueError, match=rf"the splits need .*{message}\. Ask for smaller splits"):
        prepare(reader_of(tmp_path, **source), options, tmp_path / "data")
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
        SourceOptions(**({"source_dir": "downloads"} | change))
