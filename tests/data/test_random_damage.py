"""Random damages of tables and images: nothing is lost in silence, nothing ends in a traceback.

`make test` tries a few of each. 10,000 of each:

  DAMAGES=10000 .venv/bin/python -m pytest tests/data/test_random_damage.py
"""

import io
import os

import cv2
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from fashionsearchnet.data import image_files
from fashionsearchnet.data.catalogue.rows import split_rows
from fashionsearchnet.data.catalogue.table import TableColumns, TableFormat, read_table
from fashionsearchnet.data.image_files import ImageLimits
from fashionsearchnet.data.image_headers import ImageProblem

SETTINGS = settings(
    max_examples=int(os.environ.get("DAMAGES", "60")),
    deadline=None,
    database=None,
    derandomize="DAMAGES" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
COLUMNS = TableColumns(image="image", attributes=("colour",), group="product", shown=("title",))
HEADER = "image,colour,product,title"
LIMITS = ImageLimits(min_side=4, max_pixels=10_000, max_side=64)

TITLES = st.sampled_from(
    ["plain", "", "a nice shirt", '"warm, soft"', '"6"" heel"', "8' heel", "grün", '"a"', "100 %"]
)
LINES = st.lists(
    st.tuples(st.sampled_from(["red", "blue", ""]), st.integers(0, 9), TITLES),
    min_size=3,
    max_size=30,
).map(lambda rows: [f"{i:04}.jpg,{c},{p},{t}" for i, (c, p, t) in enumerate(rows)])
# (line, position in it, characters taken out, characters put in)
DAMAGE = st.tuples(
    st.integers(0, 10_000),
    st.integers(0, 10_000),
    st.integers(0, 3),
    st.text(st.sampled_from('",;\t x"9é"\0\u200b'), max_size=3),
)


def damage(line, at, removed, inserted):
    at %= len(line) + 1
    return line[:at] + inserted + line[at + removed :]


def read(path, text, **how):
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read_table(path, COLUMNS, TableFormat(**how))


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return tmp_path_factory.mktemp("damage") / "table.csv"


@SETTINGS
@given(LINES, st.lists(DAMAGE, min_size=1, max_size=4), st.sampled_from(["drop", "trim"]))
def test_no_row_of_a_damaged_table_is_lost(path, lines, damages, ragged):
    """Every line is a record or is reported; the lines without a damage are what they were."""
    damaged = list(lines)
    for line, *change in damages:
        damaged[line % len(lines)] = damage(damaged[line % len(lines)], *change)
    clean = {record.line: record for record in read(path, "\n".join([HEADER, *lines])).records}
    try:
        table = read(path, "\n".join([HEADER, *damaged]), ragged=ragged)
    except ValueError as error:
        assert "no usable row" in str(error)
        return
    assert len(table.records) + len(table.drops) == table.num_rows
    found = [*(r.line for r in table.records), *(d.record.line for d in table.drops)]
    assert len(set(found)) == len(found)
    blank = {i for i, line in enumerate(damaged, 2) if not line.replace(",", "").strip()}
    assert {*range(2, len(lines) + 2)} - blank <= {*found}
    records = {record.line: record for record in table.records}
    for i, (line, before) in enumerate(zip(damaged, lines, strict=True), 2):
        if line == before:
            assert records[i] == clean[i]


@SETTINGS
@given(
    LINES,
    st.lists(
        st.tuples(st.integers(0, 100_000), st.integers(0, 20), st.binary(max_size=6)), max_size=4
    ),
)
def test_a_table_with_damaged_bytes_is_read_or_refused(path, lines, damages):
    data = "\r\n".join([HEADER, *lines]).encode()
    for at, removed, inserted in damages:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    try:
        table = read(path, data)
    except ValueError as error:
        assert str(path) in str(error)
        return
    assert len(table.records) + len(table.drops) == table.num_rows
    lines_of_rows = sum(row.num_lines for row in split_rows(data.decode(), ",", "image"))
    text = data.decode().replace("\r\n", "\n").replace("\r", "\n").removesuffix("\n")
    first = next(i for i, line in enumerate(text.split("\n")) if line.strip())
    assert lines_of_rows + first == len(text.split("\n"))


def encoded():
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (20, 24, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    files = []
    for encoding in ("JPEG", "PNG", "WEBP", "BMP"):
        file = io.BytesIO()
        more = {} if encoding == "BMP" else {"exif": exif}
        Image.fromarray(image).save(file, encoding, **more)
        files.append(file.getvalue())
    files.append(cv2.imencode(".png", np.dstack([image, image[..., 0]]))[1].tobytes())
    return files


@SETTINGS
@given(
    st.sampled_from(encoded()),
    st.lists(
        st.tuples(st.integers(0, 5_000), st.integers(0, 60), st.binary(max_size=8)), max_size=4
    ),
    st.integers(0, 5_000),
)
def test_a_damaged_image_is_read_or_has_a_problem(data, damages, cut):
    for at, removed, inserted in damages:
        at %= len(data) + 1
        data = data[:at] + inserted + data[at + removed :]
    data = data[: cut % (2 * len(data) + 1)]
    try:
        stored, change = image_files.normalize_image(data, LIMITS)
    except ImageProblem as problem:
        assert problem.kind and str(problem).startswith(problem.kind)
        return
    assert isinstance(change, str)
    shown = tf.io.decode_image(stored, channels=3, expand_animations=False).numpy()
    assert shown.ndim == 3 and max(shown.shape[:2]) <= LIMITS.max_side
