import pytest

from fashionsearchnet.data.catalogue.table import read_table
from fashionsearchnet.data.preparation.records import Record


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def read(path, **options):
    return read_table(path, "image", ["colour", "kind"], **options)


def test_read_table(tmp_path):
    path = write(
        tmp_path / "t.csv",
        'kind,image, colour ,price\nshirt,a.jpg,red,1\n\nskirt,"b\n.jpg",NaN,2\n'
        " dress ,c.jpg,,3\nshirt,d.jpg\nshirt,,red,4\n,,,\nshirt,e.jpg,dark red,5",
    )
    records, drops = read(path)
    assert records == [
        Record(2, "a.jpg", ("red", "shirt")),
        Record(4, "b\n.jpg", ("", "skirt")),
        Record(6, "c.jpg", ("", "dress")),
        Record(10, "e.jpg", ("dark red", "shirt")),
    ]
    kinds = [(drop.record.line, drop.kind) for drop in drops]
    assert kinds == [(7, "wrong number of cells"), (8, "no image name")]


def test_missing_cells_can_be_named(tmp_path):
    path = write(tmp_path / "t.csv", "image,colour,kind\na,NA,?\n")
    assert read(path)[0][0].values == ("", "?")
    assert read(path, missing_cells=["?"])[0][0].values == ("NA", "")


@pytest.mark.parametrize(
    ("encoding", "option"),
    [("utf-8", ""), ("utf-8-sig", ""), ("cp1252", "cp1252"), ("utf-16", "utf-16")],
)
def test_encodings(tmp_path, encoding, option):
    path = write(tmp_path / "t.csv", "image;colour;kind\r\na;grün;é\r\n", encoding)
    assert read(path, encoding=option, delimiter=";")[0] == [Record(2, "a", ("grün", "é"))]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("image,colour,kind\na,b,c\nd,gr\xfcn,c".encode("cp1252"), {}, "not UTF-8 at line 3"),
        ("image,colour,kind\na,b,c".encode("utf-16"), {}, "looks like utf-16"),
        (b"image,colour,kind\na,b,c", {"encoding": "utf9"}, "'utf9' is unknown"),
        (b"image,colour,kind\na,b,c", {"encoding": "ascii", "delimiter": ",,"}, "one character"),
        (b"image,color,kind\na,b,c", {}, r"'colour' is missing \(did you mean color\?\).*: image,"),
        (b"image,colour,kind,kind\na,b,c,d", {}, "'kind' occurs twice"),
        (b"image;colour;kind\na;b;c", {}, "Is ',' the right delimiter"),
        (b"", {}, "is empty"),
        (b"image,colour,kind\n", {}, "no usable row"),
        (b'image,colour,kind\n"a,b,c\n' + b"x" * 200_000, {}, "not CSV from line 2"),
    ],
)
def test_unusable_tables_say_why(tmp_path, content, options, message):
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=message):
        read(path, **options)


def test_missing_table(tmp_path):
    with pytest.raises(FileNotFoundError, match="should be a CSV file"):
        read(tmp_path / "none.csv")


def test_column_asked_for_twice(tmp_path):
    path = write(tmp_path / "t.csv", "image,colour\na,b\n")
    with pytest.raises(ValueError, match="asked for twice"):
        read_table(path, "image", ["colour", "colour"])
