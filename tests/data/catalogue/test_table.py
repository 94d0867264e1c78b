import pytest

from fashionsearchnet.data.catalogue.table import Table, TableColumns, TableFormat, read_table
from fashionsearchnet.data.preparation.records import Record


def write(path, text, encoding="utf-8"):
    path.write_bytes(text.encode(encoding))
    return path


def read(path, attributes=("colour", "kind"), group="", shown=(), **how) -> Table:
    columns = TableColumns(image="image", attributes=attributes, group=group, shown=shown)
    return read_table(path, columns, TableFormat(**how))


def read_text(tmp_path, text, **options):
    return read(write(tmp_path / "t.csv", text), **options)


def colours(table):
    return [record.values[0] for record in table.records]


def test_read_table(tmp_path):
    table = read_text(
        tmp_path,
        'kind,image, colour ,price\nshirt,a.jpg,red,1\n\nskirt,"b\n.jpg",NaN,2\n'
        " dress ,c.jpg,,3\nshirt,d.jpg\nshirt,,red,4\n,,,\nshirt,e.jpg,dark  red,5\na,b,c,d,e\n",
    )
    assert table.num_rows == 7
    assert table.records == [
        Record(2, "a.jpg", ("red", "shirt")),
        Record(4, "b\n.jpg", ("", "skirt")),
        Record(6, "c.jpg", ("", "dress")),
        Record(7, "d.jpg", ("", "shirt")),
        Record(10, "e.jpg", ("dark red", "shirt")),
    ]
    kinds = [(drop.record.line, drop.kind) for drop in table.drops]
    assert kinds == [(8, "no image name"), (11, "wrong number of cells")]
    notes = "; ".join(table.notes)
    assert "2 rows blank (the first: line 3)" in notes and "1 row with fewer cells" in notes


def test_group_and_shown_columns(tmp_path):
    text = 'image,colour,kind,product,title\na,red,shirt,7, "A ""nice"", shirt"\nb,red,shirt,n/a,\n'
    table = read_text(tmp_path, text, group="product", shown=("title", "product"))
    assert table.records == [
        Record(2, "a", ("red", "shirt"), "7", (("title", 'A "nice", shirt'), ("product", "7"))),
        Record(3, "b", ("red", "shirt"), "", (("title", ""), ("product", "n/a"))),
    ]


ROWS = [f"{i}.jpg,{('red', 'blue')[i % 2]},plain" for i in range(60)]


@pytest.mark.parametrize(
    ("first", "last"),
    [
        ('10.jpg,red,"6 inch heel', None),
        ('10.jpg,red,"6 inch heel', '50.jpg,red,8" heel'),
        ('10.jpg,red,"6 inch heel', '50.jpg,red,heel of 8"'),
        ('10.jpg,red,"6 inch heel', '50.jpg,red,"8 inch heel'),
        ('10.jpg,red,"6 inch heel', '11.jpg,blue,heel of 8"'),
        ('10.jpg,red,"6 inch heel"', '50.jpg,red,"a ""quoted"" word"'),
    ],
)
def test_a_quotation_mark_left_open_loses_no_row(tmp_path, first, last):
    lines = list(ROWS)
    for line in filter(None, (first, last)):
        lines[int(line.partition(".")[0])] = line
    table = read_text(tmp_path, "\n".join(["image,colour,note", *lines]), attributes=("colour",))
    assert table.num_rows == len(table.records) == 60 and not table.drops
    assert colours(table) == ["red", "blue"] * 30
    is_open = not first.endswith('"')
    assert any("does not close" in note for note in table.notes) == is_open


def test_an_open_mark_in_a_needed_column_is_reported(tmp_path):
    lines = list(ROWS)
    lines[10] = '10.jpg,"red,plain'
    table = read_text(tmp_path, "\n".join(["image,colour,note", *lines]), attributes=("colour",))
    assert (table.num_rows, len(table.records)) == (60, 59)
    assert [(d.record.line, d.record.image, d.kind) for d in table.drops] == [
        (12, "10.jpg", "open quotation mark")
    ]


def test_a_cell_may_have_line_breaks(tmp_path):
    lines = list(ROWS)
    lines[10] = '10.jpg,red,"Nice,\nand soft, too,\n\nfor winter"'
    table = read_text(tmp_path, "\n".join(["image,colour,note", *lines]), attributes=("colour",))
    assert table.num_rows == len(table.records) == 60
    assert table.notes == ("1 row with a line break in a cell (the first: line 12)",)
    assert table.records[11].line == 16


def test_many_open_marks_are_read_in_a_moment(tmp_path):
    lines = [f'{i}.jpg,red,"{i} inch' for i in range(5_000)]
    table = read_text(tmp_path, "\n".join(["image,colour,note", *lines]), attributes=("colour",))
    assert table.num_rows == len(table.records) == 5_000


def test_a_long_cell(tmp_path):
    text = f"image,colour,kind,text\na,red,shirt,{'x' * 200_000}\n"
    assert read_text(tmp_path, text).records == [Record(2, "a", ("red", "shirt"))]


def test_a_trailing_comma_in_every_row(tmp_path):
    table = read_text(tmp_path, "image,colour,kind\na,red,shirt,\nb,blue,skirt,,\n")
    assert len(table.records) == 2 and "blank cells beyond the header" in table.notes[0]


def test_the_separator_line_of_excel(tmp_path):
    table = read_text(tmp_path, "sep=;\nimage;colour;kind\na;red;shirt\n", delimiter=",")
    assert table.records == [Record(3, "a", ("red", "shirt"))]
    assert "says that ';' is its delimiter" in table.notes[0]


def test_surplus_cells(tmp_path):
    text = "image,colour,title\na,red,a shirt\nb,blue,nice, warm, soft\nc,re,d,soft\n"
    dropped = read_text(tmp_path, text, attributes=("colour",))
    assert [drop.record.image for drop in dropped.drops] == ["b", "c"]
    assert "--ragged=trim" in dropped.drops[0].reason and "--ragged=trim" in dropped.notes[0]
    text = text.replace("a,red", "x,blue,\na,red")
    trimmed = read_text(tmp_path, text, attributes=("colour",), shown=("title",), ragged="trim")
    assert [(r.image, dict(r.columns)["title"]) for r in trimmed.records] == [
        ("x", ""),
        ("a", "a shirt"),
        ("b", "nice, warm, soft"),
    ]
    # Its first comma stands before the last column: no whole row has the colour 're'.
    assert [(d.record.image, d.kind) for d in trimmed.drops] == [("c", "wrong number of cells")]
    # Where the last column is an attribute, nobody knows which comma is too much.
    needed = read_text(tmp_path, text, attributes=("title",), ragged="trim")
    assert len(needed.drops) == 2


def test_missing_words(tmp_path):
    text = "image,colour,kind\n" + "".join(
        f"{i},{word},shirt\n" for i, word in enumerate(["#N/A", "None", "-", "?", "unknown", "red"])
    )
    table = read_text(tmp_path, text)
    assert colours(table) == ["", "", "", "", "", "red"]
    assert "colour: missing by their word: #N/A 1, None 1, - 1, ? 1, unknown 1" in table.notes
    told = read_text(tmp_path, text, missing_cells=("?",))
    assert colours(told) == ["#N/A", "None", "-", "", "unknown", "red"]


def test_values_that_look_alike_are_one(tmp_path):
    words = ["gr\u00fcn", "gru\u0308n", "gr\u00fcn\u200b", " gr\u00fcn\u00a0", "Gr\u00fcn"]
    text = "image,colour,kind\n" + "".join(f"{i},{w},shirt\n" for i, w in enumerate(words))
    table = read_text(tmp_path, text)
    assert colours(table) == ["gr\u00fcn"] * 4 + ["Gr\u00fcn"]
    notes = "; ".join(table.notes)
    assert r"one value from texts that look alike: grün ('gr\xfcn'" in notes
    assert "differ in case only; --fold_case" in notes
    folded = read_text(tmp_path, text, fold_case=True)
    assert colours(folded) == ["gr\u00fcn"] * 5
    assert any(
        "values that differed in case only: Gr\u00fcn is gr\u00fcn" in n for n in folded.notes
    )


def test_several_values_in_a_cell(tmp_path):
    text = "image,colour,kind\na,Black|Red,shirt\nb,Black,shirt\nc,Red,shirt\nd, |Red|,shirt\n"
    assert any("--value_separator='|'" in note for note in read_text(tmp_path, text).notes)
    table = read_text(tmp_path, text, value_separator="|")
    assert colours(table) == ["Black", "Black", "Red", "Red"]
    assert table.notes == (
        "colour: cells with several values, the first of which counts: Black|Red 1",
    )


@pytest.mark.parametrize(
    ("encoding", "option"),
    [("utf-8", ""), ("utf-8-sig", ""), ("cp1252", "cp1252"), ("utf-16", "utf-16")],
)
def test_encodings(tmp_path, encoding, option):
    path = write(tmp_path / "t.csv", "image;colour;kind\r\na;grün;é\r\n", encoding)
    assert read(path, encoding=option, delimiter=";").records == [Record(2, "a", ("grün", "é"))]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("image,colour,kind\na,b,c\nd,gr\xfcn,c".encode("cp1252"), {}, "not UTF-8 at line 3"),
        ("image,colour,kind\na,b,c".encode("utf-16"), {}, "looks like utf-16"),
        (b"image,colour,kind\na,b,c", {"encoding": "utf9"}, "'utf9' is unknown"),
        (b"image,colour,kind\na,b,c", {"encoding": "ascii", "delimiter": ",,"}, "one character"),
        (b"image,color,kind\na,b,c", {}, r"'colour' is missing \(did you mean color\?\).*: image,"),
        (b"image,colour,kind,kind\na,b,c,d", {}, "'kind' occurs twice"),
        (b"file,colour,kind\na,b,c", {}, "'image' is missing.* --image_column, .* --id_column"),
        (b"image;colour;kind\na;b;c", {}, "Is ',' the right delimiter.*--delimiter=';'"),
        (b"image\tcolour\tkind\na\tb\tc", {}, "Try --delimiter=tab"),
        (b"", {}, "is empty"),
        (b"image,colour,kind\n", {}, "no usable row"),
        (b"image,colour,kind\na,b,c,d\n", {}, "no usable row.*number of cells 1.*line 2, 4 cells"),
        (b"PK\x03\x04...", {}, "is an Excel workbook .*Save it as CSV"),
        (b"image,colour,kind\na,b,c", {"ragged": "keep"}, "ragged must be one of drop, trim"),
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
        read(path, attributes=("colour", "colour"))
