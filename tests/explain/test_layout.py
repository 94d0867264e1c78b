import pytest

from fashionsearchnet.explain import layout

LONG = ("red", "Perfume and Body Mist of $12^", "horizontal-stripes-and-dots", "x" * 60)


@pytest.mark.parametrize("width", [0.5, 1.0, 2.5])
@pytest.mark.parametrize("text", [*LONG, "", "a  b\nc", "\N{CHECK MARK} " + "y" * 50])
def test_wrapped_lines_fit_and_keep_the_text(text, width):
    whole = layout.wrap(text, layout.BODY, width, 99)
    assert all(layout.BODY.width(line) <= width for line in whole.lines)
    assert "".join(whole.lines).replace(" ", "") == "".join(text.split())
    cut = layout.wrap(text, layout.BODY, width, 2)
    assert all(layout.BODY.width(line) <= width for line in cut.lines)
    assert cut.lines[:1] == whole.lines[:1] and len(cut.lines) == min(2, len(whole.lines))
    if len(whole.lines) > 2:
        assert cut.lines[-1].endswith("\N{HORIZONTAL ELLIPSIS}")
    assert cut.height == pytest.approx(len(cut.lines) * layout.BODY.line_height)


def test_words_are_kept_whole_where_they_can_be():
    width = layout.BODY.width("category sweater, not t-")
    assert layout.wrap("category sweater, not t-shirt", layout.BODY, width, 2).lines == (
        "category sweater, not",
        "t-shirt",
    )
    width = layout.BODY.width("> vertical-stri")
    assert layout.wrap("> vertical-stripes", layout.BODY, width, 2).lines == (
        "> vertical-",
        "stripes",
    )


def test_a_name_is_cut_in_its_middle():
    name = "folder/of/many/images/photo_0123.jpg"
    (shown,) = layout.cut_middle(name, layout.SMALL, 1.0).lines
    head, tail = shown.split("\N{HORIZONTAL ELLIPSIS}")
    assert name.startswith(head) and name.endswith(tail) and tail.endswith("0123.jpg")
    assert layout.SMALL.width(shown) <= 1.0
    assert layout.cut_middle("a.jpg", layout.SMALL, 1.0).lines == ("a.jpg",)
