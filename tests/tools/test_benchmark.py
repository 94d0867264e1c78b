import json
from pathlib import Path
from types import SimpleNamespace

import pytest
import tensorflow as tf
from absl import flags
from evaluation_fakes import script
from fakes import FakeDataset

from fashionsearchnet.flagfiles import read_flagfile
from fashionsearchnet.networks.image_input import ImageInput

ROOT = Path(__file__).parents[2]
TINY = ("--image_size=40", "--first_stride=2", "--width=0.05", "--batch_size=4", "--rounds=1")


@pytest.fixture
def tool(monkeypatch):
    with script("benchmark") as module:
        flags.FLAGS(["benchmark", *TINY, "--num_images=50"])
        monkeypatch.setattr(module, "_NUM_VALUES", (3, 2))
        yield module


def test_what_it_writes(tool, tmp_path, monkeypatch):
    monkeypatch.setattr(tool.pipeline, "open_dataset", lambda *_: FakeDataset())
    flags.FLAGS(["benchmark", f"--output={tmp_path / 'benchmark.json'}"])
    tool.main()
    written = json.loads((tmp_path / "benchmark.json").read_text())
    assert written["devices"] and "tensorflow" in written["versions"]
    figures = written["figures"]
    assert figures.keys() == {
        *("trunk_images_per_second", "extraction_images_per_second", "extraction_over_trunk"),
        *("regions_ms_per_image", "opencv_ms_per_image", "regions_over_opencv", "same_boxes"),
        *("trunk_training_images_per_second", "stage2_images_per_second", "stage2_over_trunk"),
        *("pipeline_images_per_second", "pipeline_over_stage2"),
        *("images", "seconds", "many_over_extraction"),
    }
    assert min(figures.values()) > 0
    assert figures["same_boxes"] == 1.0
    assert figures["images"] == 52  # whole batches, the 48 images of the gallery more than once


def test_the_network_is_that_of_the_papers_flagfile(tool):
    flagfile = ROOT / "flags/shopping100k/fashionsearchnet_v2/localization.flags"
    paper = read_flagfile(flagfile)
    flags.FLAGS.unparse_flags()
    flags.FLAGS(["benchmark"])
    for name in ("image_size", "width", "first_stride"):
        assert flags.FLAGS[name].value == float(paper[name])
    flags.FLAGS(["benchmark", *TINY])
    assert tool.build_model().arguments["trunk"]["normalization"] == paper["normalization"]


def test_the_first_batch_of_many_is_not_timed(tool, monkeypatch):
    events = []

    def encode(images):
        events.append("batch")
        return tf.zeros([len(images), 1])

    def read_clock():
        events.append("clock")
        return len(events)

    monkeypatch.setattr(tool, "gallery_encoder", lambda model: encode)
    monkeypatch.setattr(tool, "time", SimpleNamespace(perf_counter=read_clock))
    flags.FLAGS(["benchmark", "--num_images=8"])
    model = SimpleNamespace(image_input=ImageInput(40, mean=(127.0,) * 3))
    assert tool.measure_many(FakeDataset(), model)["images"] == 8
    assert events == ["batch", "clock", "batch", "batch", "clock"]


def test_the_graph_is_traced_once_for_batches_of_any_size(tool):
    encode = tool.gallery_encoder(tool.build_model())
    for size in (4, 3):
        assert len(encode(tf.zeros([size, 40, 40, 3]))) == size
    assert encode.experimental_get_tracing_count() == 1


def test_bad_flags_are_refused(tool, tmp_path, monkeypatch):
    with pytest.raises(flags.IllegalFlagValueError, match="--rounds=0"):
        flags.FLAGS(["benchmark", "--rounds=0"])
    flags.FLAGS(["benchmark", f"--data_dir={tmp_path}"])
    with pytest.raises(FileNotFoundError, match=r"prepare_data.py --dataset=garments/large"):
        tool.main()
    monkeypatch.setattr(tool.pipeline, "open_dataset", lambda *_: FakeDataset())
    flags.FLAGS(["benchmark", "--image_size=30"])
    with pytest.raises(ValueError, match="image_size must be at least 39"):
        tool.main()
