import pytest

from fashionsearchnet.data.image_headers import ImageProblem
from fashionsearchnet.data.preparation import images


def test_find_file(tmp_path):
    folder = tmp_path / "images"
    (folder / "sub").mkdir(parents=True)
    (tmp_path / "secret.jpg").write_bytes(b"x")
    (folder / "a.jpg").write_bytes(b"x")
    (folder / "sub" / "b.PNG").write_bytes(b"x")
    (folder / "1.5").write_bytes(b"x")
    assert images.find_file(folder, "a.jpg") == folder / "a.jpg"
    assert images.find_file(folder, "a") == folder / "a.jpg"
    assert images.find_file(folder, "sub/../sub/b") == folder / "sub" / "b.PNG"
    assert images.find_file(folder, "1.5") == folder / "1.5"
    for name in ("../secret.jpg", "sub/../../secret", str(folder / "a.jpg"), "a\0.jpg"):
        with pytest.raises(ImageProblem, match="outside the image folder"):
            images.find_file(folder, name)
    for name in ("b.png", "sub", ".", "x" * 5000):
        with pytest.raises(ImageProblem, match="missing file"):
            images.find_file(folder, name)
