"""A sheet that is laid out in inches from its upper left corner, and text that fits into it."""

import bisect
import dataclasses
import functools
import os
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from fashionsearchnet import files
from fashionsearchnet.explain.overlays import enlarge, square_image

MARGIN = 0.2  # inches around a sheet
_DPI = 110
_BELOW_TITLE = 0.1
_LINE_HEIGHT = 1.35  # of the font's size
_SLACK = 0.97  # of a width: on the screen letters sit on whole pixels, which makes lines longer
_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclasses.dataclass(frozen=True)
class Font:
    """How text looks.

    Attributes:
      size: in points.
      color: of matplotlib's names.
      bold: or plain.
    """

    size: float
    color: str = "black"
    bold: bool = False

    @property
    def line_height(self) -> float:
        """From one line to the next, in inches."""
        return _LINE_HEIGHT * self.size / 72

    def width(self, text: str) -> float:
        """Returns the length of a line in inches, but for the kerning."""
        return self.size / 72 * sum(_advance(letter, self.bold) for letter in text)


TITLE, HEADING = Font(14), Font(9, bold=True)
BODY, SMALL = Font(9), Font(7.2, color="0.25")
CAPTION = Font(8, color="0.35")


@dataclasses.dataclass(frozen=True)
class Block:
    """Lines of one font, one below the other."""

    lines: tuple[str, ...]
    font: Font

    @property
    def height(self) -> float:
        """In inches."""
        return len(self.lines) * self.font.line_height


def wrap(text: str, font: Font, width: float, max_lines: int = 1) -> Block:
    """Returns the text in lines that fit, broken between words where there are any.

    Args:
      text: without line breaks.
      font: its font.
      width: of the lines, in inches.
      max_lines: what does not fit into so many is cut, with an ellipsis.
    """
    lines: list[str] = []
    rest = " ".join(text.split())
    while rest and len(lines) < max_lines:
        length = _fitting(rest, font, width)
        if length < len(rest) and len(lines) == max_lines - 1:
            lines.append(rest[: _fitting(rest, font, width, _ELLIPSIS)].rstrip() + _ELLIPSIS)
            break
        if length < len(rest):
            length = _break_before(rest, length)
        lines.append(rest[:length].rstrip())
        rest = rest[length:].lstrip()
    return Block(tuple(lines), font)


def cut_middle(text: str, font: Font, width: float) -> Block:
    """Returns the text in one line, without its middle: file names differ at their end."""
    kept = len(text)
    shown = text
    while font.width(shown) > width * _SLACK and kept > 2:
        kept -= 1
        head = kept // 3
        shown = text[:head] + _ELLIPSIS + text[len(text) - (kept - head) :]
    return Block((shown,), font)


def height_of(blocks: Iterable[Block]) -> float:
    """Returns the height of blocks below each other, in inches."""
    return sum(block.height for block in blocks)


class Sheet:
    """A picture in the making; all lengths are in inches from its upper left corner.

    Attributes:
      width: of the sheet.
      height: of the sheet.
      top: where its content starts, below the title.
    """

    def __init__(
        self, width: float, content_height: float, title: str = "", note: str = ""
    ) -> None:
        """Writes the title above the content and the note below it.

        Args:
          width: of the sheet.
          content_height: what the content takes between title and note.
          title: one or two lines.
          note: up to eight lines.
        """
        from matplotlib.figure import Figure  # slow to import, and not needed by a service

        heading = wrap(title, TITLE, width - 2 * MARGIN, 2)
        caption = wrap(note, CAPTION, width - 2 * MARGIN, 8)
        self.top = MARGIN + heading.height + _BELOW_TITLE
        bottom = self.top + content_height
        self.width, self.height = width, bottom + caption.height + MARGIN
        self._figure: Any = Figure(figsize=(self.width, self.height), dpi=_DPI)
        self.text([heading], MARGIN, MARGIN)
        self.text([caption], MARGIN, bottom)

    def text(self, blocks: Sequence[Block], left: float, top: float) -> float:
        """Writes blocks below each other; returns where the next would start."""
        for block in blocks:
            font = block.font
            for line in block.lines:
                self._figure.text(
                    left / self.width,
                    1 - top / self.height,
                    line,
                    va="top",
                    fontsize=font.size,
                    color=font.color,
                    fontweight="bold" if font.bold else "normal",
                    parse_math=False,
                )
                top += font.line_height
        return top

    def picture(
        self,
        image: np.ndarray,
        left: float,
        top: float,
        side: float,
        frame: str = "0.6",
        frame_width: float = 0.8,
    ) -> None:
        """Draws a picture uint8 `[height, width, 3]`, in the middle of a white square.

        Args:
          image: RGB.
          left: of the square.
          top: of the square.
          side: of the square.
          frame: colour of the line around the square.
          frame_width: of that line, in points.
        """
        axes = self._axes(left, top, side, side)
        axes.imshow(enlarge(square_image(image)), extent=(0, 1, 1, 0), interpolation="antialiased")
        for spine in axes.spines.values():
            spine.set(color=frame, linewidth=frame_width)

    def box(
        self,
        box: Sequence[float],
        left: float,
        top: float,
        size: tuple[float, float],
        color: str,
        dashed: bool = False,
        background: str = "none",
    ) -> None:
        """Draws a frame inside an area, light on a dark edge, so that it shows on any picture.

        Args:
          box: ymin, xmin, ymax, xmax in 0..1 of the area.
          left: of the area.
          top: of the area.
          size: width and height of the area.
          color: of the line.
          dashed: or solid.
          background: colour of the area.
        """
        from matplotlib.patches import Rectangle

        axes = self._axes(left, top, *size)
        axes.set(xlim=(0, 1), ylim=(1, 0), facecolor=background)
        axes.spines[:].set_visible(False)
        ymin, xmin, ymax, xmax = np.clip(box, 0.012, 0.988)  # at the rim half would be outside
        for width, edge in ((2.6, "black"), (1.3, color)):
            line = "-" if not dashed or edge == "black" else (0, (3, 1.5))
            axes.add_patch(
                Rectangle(
                    (xmin, ymin),
                    xmax - xmin,
                    ymax - ymin,
                    fill=False,
                    edgecolor=edge,
                    linewidth=width,
                    linestyle=line,
                    joinstyle="miter",
                )
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes the sheet as a PNG file.

        Raises:
          OSError: if it cannot be written.
        """
        with files.replace_file(path) as temporary:
            self._figure.savefig(temporary, format="png")

    def _axes(self, left: float, top: float, width: float, height: float) -> Any:
        bottom = self.height - top - height
        area = [left / self.width, bottom / self.height, width / self.width, height / self.height]
        return self._figure.add_axes(area, xticks=[], yticks=[])


@functools.lru_cache(maxsize=4096)
def _advance(letter: str, bold: bool) -> float:
    """Returns the advance of a letter in units of the font's size."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    properties = FontProperties(size=1, weight="bold" if bold else "normal")
    # Between two bars, since a width alone is that of the ink, which a space has none of.
    widths = [
        text_to_path.get_text_width_height_descent(text, properties, ismath=False)[0]
        for text in (f"|{letter}|", "||")
    ]
    return widths[0] - widths[1]


def _fitting(text: str, font: Font, width: float, end: str = "") -> int:
    """Counts the characters of the text that fit, with `end` after them; at least 1."""
    longest = width * _SLACK
    lengths = range(1, len(text) + 1)
    return max(1, bisect.bisect_right(lengths, longest, key=lambda n: font.width(text[:n] + end)))


def _break_before(text: str, length: int) -> int:
    """Returns the place up to `length` where the text is best broken, else `length`."""
    if text[length] == " ":
        return length
    after_space = text.rfind(" ", 0, length) + 1
    if after_space > length / 3:
        return after_space
    # A tick or an arrow alone would make a poor line: break the long word behind it.
    return 1 + max(text.rfind("-", 0, length), text.rfind("/", 0, length)) or length
