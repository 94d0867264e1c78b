"""How accuracy grows with the number of training photos: the first question of a shop.

Every point trains all stages of a row on the first photos of the training split, and measures a
gallery that knows its labels. The report of that measurement has the rows without labels too.
"""

import dataclasses
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from fashionsearchnet import files
from fashionsearchnet.evaluation import LabelledGalleryProtocol
from fashionsearchnet.reproduction.plan import Experiment, Step, choose_rows, make_plan

_K = 20
# What the plot shows: the row of the reports, and the style of its line.
_LINES = {
    "labels used": ("system, labels used", "-"),
    "images alone": ("system, images alone", "--"),
    "predicted attributes": ("predicted attributes", ":"),
}
_FACETS = ("generic vectors, filtered", "-.")


@dataclasses.dataclass(frozen=True)
class Point:
    """A row of a recipe, trained on so many photos.

    Attributes:
      title: of its curve.
      color: of its curve, for matplotlib.
      num_images: that it is trained on.
      steps: the commands that train and measure it.
      report: the measurement's, a .json file.
    """

    title: str
    color: str
    num_images: int
    steps: tuple[Step, ...]
    report: Path


def make_point(
    experiment: Experiment, key: str, num_images: int, title: str, evaluation: Sequence[str]
) -> Point:
    """Returns a point of a curve.

    Args:
      experiment: whose `runs_dir` all points share, and whose flagfiles train the row.
      key: of the row in the recipe.
      num_images: the first so many images of 'train'.
      title: of the curve.
      evaluation: further flags of tools/evaluate.py.

    Raises:
      ValueError: if the flagfiles cannot make the row.
    """
    there = dataclasses.replace(
        experiment,
        runs_dir=experiment.runs_dir / str(num_images),
        training=(*experiment.training, f"--train_split=train[:{num_images}]"),
    )
    rows = choose_rows([key], there, "row")
    plan = make_plan(there, rows)
    (run,) = plan.runs
    name = LabelledGalleryProtocol().report_name
    measure = Step(
        f"{num_images}/{key}/labels",
        "evaluate",
        (f"--workdir={run.workdir}", *there.data, "--gallery_labels=1", *evaluation),
        run.workdir / "evaluation",
        (f"{name}.json",),
    )
    trained = tuple(step for step in plan.steps if step.is_training)
    report = measure.folder / measure.outputs[0]
    return Point(title, rows[0].color, num_images, (*trained, measure), report)


def write_learning_curve(points: Sequence[Point], folder: str | os.PathLike[str]) -> list[Path]:
    """Writes `learning_curve.md`, `.json` and `.svg`, and returns the paths.

    What an earlier call wrote there stays, but for points of the same title and size.

    Args:
      points: all measured.
      folder: of the files.

    Raises:
      ValueError: if a report or an earlier `learning_curve.json` is damaged.
    """
    paths = [Path(folder) / f"learning_curve{suffix}" for suffix in (".md", ".json", ".svg")]
    entries = [_entry(point) for point in points]
    if paths[1].is_file():
        known = files.read_json(paths[1], "a learning curve", "Delete it.")
        replaced = {(each["title"], each["num_images"]) for each in entries}
        entries += [each for each in known if (each["title"], each["num_images"]) not in replaced]
    entries.sort(key=lambda each: (each["title"], each["num_images"]))
    files.write_text(paths[0], _table(entries))
    files.write_json(paths[1], entries)
    _draw(entries, paths[2])
    return paths


def _entry(point: Point) -> dict[str, Any]:
    """Returns the mean Top-20 of every row of a point's report, with its interval."""
    cure = "Delete it and run the same command again."
    rows = files.read_json(point.report, "a report of tools/evaluate.py", cure)["rows"]
    behind = ", images alone"
    title = next(r["name"] for r in rows if r["name"].endswith(behind)).removesuffix(behind)
    found = {}
    for row in rows:
        figure = row["top_k"][str(_K)]
        name = row["name"].replace(title, "system")
        found[name] = [figure["mean"], *figure["mean_interval"]]
    return {
        "title": point.title,
        "color": point.color,
        "num_images": point.num_images,
        "top_20": found,
    }


def _table(entries: Sequence[dict[str, Any]]) -> str:
    """Returns the figures as Markdown, a line for each row of the reports."""
    lines = [f"# Mean Top-{_K} by the number of training photos"]
    for title, of_title in _by_title(entries).items():
        sizes = [f"{each['num_images']:,} photos" for each in of_title]
        lines += ["", "| " + " | ".join([title, *sizes]) + " |", "|---|" + "---:|" * len(sizes)]
        for name in dict.fromkeys(name for each in of_title for name in each["top_20"]):
            cells = [_cell(each["top_20"].get(name)) for each in of_title]
            lines.append("| " + " | ".join([name, *cells]) + " |")
    return "\n".join(lines) + "\n"


def _cell(found: Sequence[float] | None) -> str:
    return "-" if found is None else "{:.3f} [{:.3f}, {:.3f}]".format(*found)


def _draw(entries: Sequence[dict[str, Any]], path: Path) -> None:
    """Draws the curves as an SVG file."""
    from matplotlib.figure import Figure  # slow to import, and needed here only

    figure = Figure(figsize=(7.6, 5.2), layout="constrained")
    axes = figure.subplots()
    for title, of_title in _by_title(entries).items():
        sizes = [each["num_images"] for each in of_title]
        for words, (name, style) in _LINES.items():
            values = [each["top_20"][name][0] for each in of_title]
            line = {"color": of_title[0]["color"], "linestyle": style, "label": f"{title}, {words}"}
            axes.plot(sizes, values, marker="o", markersize=3.5, **line)
    name, style = _FACETS
    facets = [each["top_20"][name][0] for each in entries if name in each["top_20"]]
    if facets:  # nothing of them is trained: all points have the same
        axes.axhline(facets[0], color="0.5", linestyle=style, label=name)
    ticks = sorted({each["num_images"] for each in entries})
    axes.set(xscale="log", ylim=(0, 1), xlabel="training photos", ylabel=f"mean Top-{_K}")
    axes.set_xticks(ticks, [f"{size:,}" for size in ticks])
    axes.minorticks_off()
    axes.grid(alpha=0.25)
    axes.spines[["top", "right"]].set_visible(False)
    figure.legend(frameon=False, loc="outside lower center", ncols=2)
    with files.replace_file(path) as temporary:
        figure.savefig(temporary, format="svg", metadata={"Date": None})


def _by_title(entries: Sequence[dict[str, Any]]) -> dict[str, list[dict[str, Any]]]:
    """Returns the entries of each curve, by its title."""
    titles = dict.fromkeys(each["title"] for each in entries)
    return {title: [each for each in entries if each["title"] == title] for title in titles}
