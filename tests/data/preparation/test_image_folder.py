import unicodedata

import pytest

from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation.image_folder import ImageFolder


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"x")
    for name in ("a.jpg", "sub/b.PNG", "1.5", "c.WEBP", "Shirt.jpg", "d.jpg", "D.jpg", "0042.jpg"):
        (folder / name).write_bytes(b"x")
    (folder / unicodedata.normalize("NFD", "gr\u00fcn.jpg")).write_bytes(b"x")
    return folder


def test_find(folder):
    names = {
        "a.jpg": "a.jpg",
        "a": "a.jpg",
        "sub/../sub/b": "sub/b.PNG",
        "SUB/B.png": "sub/b.PNG",
        "1.5": "1.5",
        "c": "c.WEBP",
        "c.webp": "c.WEBP",
        "shirt.JPG": "Shirt.jpg",
        "d.jpg": "d.jpg",
        "d": "d.jpg",
        "gr\u00fcn.jpg": "gru\u0308n.jpg",
        str(folder / "a.jpg"): "a.jpg",
        "sub\\b.PNG": "sub/b.PNG",
        ".\\SUB\\b": "sub/b.PNG",
        "e\\f.jpg": "e\\f.jpg",
    }
    (folder / "e\\f.jpg").write_bytes(b"x")
    images = ImageFolder(folder)
    for name, file in names.items():
        assert images.find(name) == folder / file
    for name in ("../secret.jpg", "sub/../../secret", str(folder.parent / "secret.jpg"), "a\0.jpg"):
        with pytest.raises(ImageProblem, match="outside the image folder"):
            images.find(name)
    for name in ("b.png", "sub", ".", "x" * 5000, "d.JPG", "none/a.jpg"):
        with pytest.raises(ImageProblem, match="missing file"):
            images.find(name)
    with pytest.raises(ImageProblem, match="is an address: fetch the images first"):
        images.find("https://shop.example/a.jpg")


def test_a_link_to_nothing_is_not_said_to_be_in_another_place(folder):
    (folder / "link.jpg").symlink_to(folder / "none.jpg")
    images = ImageFolder(folder)
    with pytest.raises(ImageProblem, match="missing file"):
        images.find("link.jpg")
    assert images.explain_missing(["link.jpg"]) == []


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("42.0", "1 missing names are numbers with '.0', such as 42.0 for the file 0042.jpg"),
        ("42", "lack zeros at their start, or have too many, such as 42 for the file 0042.jpg"),
        (
            "photos/a.jpg",
            "are those of files in another place, such as photos/a.jpg for a.jpg",
        ),
        ("C:\\photos\\b", r"for sub/b.PNG. Choose --images_dir"),
    ],
)
def test_missing_names_have_a_cause(folder, name, message):
    images = ImageFolder(folder)
    with pytest.raises(ImageProblem, match="missing file"):
        images.find(name)
    (cause,) = images.explain_missing([name, "nowhere.jpg"])
    assert message in cause
