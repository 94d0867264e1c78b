import json
import time
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path

import pytest
import tensorflow as tf
from absl import flags
from evaluation_fakes import script
from fakes import SPACE, FakeDataset

from fashionsearchnet.benchmarks import device_checks
from fashionsearchnet.data.preprocess import Pixels
from fashionsearchnet.flagfiles import read_flagfile

ROOT = Path(__file__).parents[2]
TINY = ("--image_size=40", "--first_stride=2", "--width=0.05", "--batch_size=6", "--minutes=0.01")


class ItemDataset(FakeDataset):
    """Images with the same labels show the same item."""

    def instance_ids(self, split):
        return ["".join(map(str, row)) for row in self.labels(split)]


@pytest.fixture
def tool(monkeypatch):
    with script("benchmark") as module:
        flags.FLAGS(["benchmark", *TINY, "--num_images=50"])
        monkeypatch.setattr(module.parts, "NUM_VALUES", (3, 2))
        monkeypatch.setattr(module.pipeline, "open_dataset", lambda *_: ItemDataset())
        monkeypatch.setattr(module, "apart", lambda function, *arguments: function(*arguments))
        yield module


def test_what_it_writes(tool, tmp_path, monkeypatch):
    checks = [("boxes against OpenCV", "all 3 the same")]
    monkeypatch.setattr(device_checks, "check_all", lambda *_: iter(checks))
    output = tmp_path / "benchmark.md"
    flags.FLAGS(["benchmark", *TINY, "--parts=extraction,stage3", f"--output={output}"])
    flags.FLAGS["minutes"].value = 10
    monkeypatch.setattr(tool, "_TIMED_SHARE", 0.0)
    tool.main()
    text = output.read_text()
    assert "| part | arithmetic |" in text and "| boxes against OpenCV | all 3 the same |" in text
    written = json.loads(output.with_suffix(".json").read_text())
    assert written["devices"] and "tensorflow" in written["versions"]
    extraction, stage3 = written["parts"]
    assert extraction["part"] == "extraction" and extraction["arithmetic"] == "float32"
    assert min(extraction[key] for key in ("per_second", "over_trunk", "of_peak")) > 0
    assert stage3["unit"] == "triplets" and "over_trunk" not in stage3
    figures = written["figures"]
    assert figures["images"] == 54  # whole batches, the 48 images of the gallery more than once
    assert figures["regions_ms_per_image"] > 0 and figures["pipeline_images_per_second"] > 0


def test_what_does_not_fit_is_named(tool):
    columns = tool.arithmetics("cpu")
    rows = [tool.row(one) for one in tool.measure_all("cpu", columns, end=0.0)]
    assert len(rows) == 7 and {row[2] for row in rows} == {"no time left"}


def test_what_fails_is_named_and_the_rest_still_counts(tool, monkeypatch, capsys):
    flags.FLAGS(["benchmark", *TINY, "--parts=stage1,stage3"])

    def too_large(setting):
        raise tf.errors.ResourceExhaustedError(None, None, "out of memory\nby much")

    monkeypatch.setitem(tool.parts.PARTS, "stage1", too_large)
    monkeypatch.setattr(tool, "_TIMED_SHARE", 0.0)
    (column,) = tool.arithmetics("cpu")
    first, second = tool.measure_column("cpu", column, time.monotonic() + 60)
    assert first == {"part": "stage1", "arithmetic": "float32", "missing": "failed: out of memory"}
    assert second["unit"] == "triplets" and second["per_second"] > 0
    assert capsys.readouterr().out.startswith("stage1 | float32 | failed: out of memory |")


def test_a_column_whose_process_dies_is_named(tool, monkeypatch):
    def die(*_):
        raise BrokenProcessPool

    monkeypatch.setattr(tool, "apart", die)
    flags.FLAGS(["benchmark", *TINY, "--parts=stage1"])
    found = tool.measure_all("cpu", tool.arithmetics("cpu"), end=time.monotonic() + 1.0)
    assert [one["missing"] for one in found] == ["failed: its process died"]


def test_images_that_need_no_resizing_are_extracted_too(tool, monkeypatch):
    class Whole(ItemDataset):
        def images(self, split, image_input, *, batch_size=64):
            place = tf.constant([0, 0, image_input.size, image_input.size])
            images = super().images(split, image_input, batch_size=batch_size)
            return images.map(
                lambda batch: Pixels(
                    tf.cast(batch, tf.uint8), tf.tile(place[None], [tf.shape(batch)[0], 1])
                )
            )

    found = tool.measure_many(Whole(), end=0.0)
    assert found["images"] == 6


def test_arithmetic(tool):
    flags.FLAGS(["benchmark", "--arithmetic=mixed_bfloat16+xla,float32+deterministic"])
    first, last = tool.arithmetics("gpu")
    assert (first.precision, first.jit_compile, first.deterministic) == (
        *("mixed_bfloat16", True),
        False,
    )
    assert (last.jit_compile, last.deterministic) == (False, True)
    assert len(tool._ON_GPU) == len([tool.Arithmetic.of(text) for text in tool._ON_GPU])
    flags.FLAGS(["benchmark", "--arithmetic=float32+fast"])
    with pytest.raises(ValueError, match="must be one of xla, deterministic"):
        tool.arithmetics("gpu")


def test_the_network_is_that_of_the_papers_flagfile(tool):
    flagfile = ROOT / "flags/shopping100k/fashionsearchnet_v2/localization.flags"
    paper = read_flagfile(flagfile)
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["benchmark"])
    for name in ("image_size", "width", "first_stride"):
        assert flags.FLAGS[name].value == float(paper[name])
    setting = tool.setting_of_flags(FakeDataset(), False)
    assert setting.network["trunk"].normalization == paper["normalization"]
    assert setting.labels(5).shape == (5, 12)


def test_bad_flags_are_refused(tool, tmp_path):
    with pytest.raises(flags.IllegalFlagValueError, match="--minutes=0"):
        flags.FLAGS(["benchmark", "--minutes=0"])
    flags.FLAGS(["benchmark", "--device=gpu"])
    with pytest.raises(ValueError, match="finds no GPU"):
        tool.main()
    flags.FLAGS(["benchmark", "--device=cpu", f"--output={tmp_path}/table.txt"])
    with pytest.raises(ValueError, match=r"--output must end in \.md"):
        tool.main()
    assert SPACE.num_attributes == 3
