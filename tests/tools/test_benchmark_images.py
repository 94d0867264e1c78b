"""tools/benchmark_images.py: a row for the trunk and one for each way to compute pixels."""

import cv2
import numpy as np
import pytest
from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script

PLAN = ["--backbone=alexnet", "--image_size=96", "--batch_size=2", "--batches=1", "--rounds=1"]


def test_the_table(tmp_path, capsys, rng):
    image = rng.integers(0, 256, (400, 300, 3)).astype(np.uint8)
    cv2.imwrite(str(tmp_path / "one.jpg"), image)
    with script("benchmark_images") as tool, flagsaver.flagsaver():
        flags.FLAGS(["benchmark", f"--images_dir={tmp_path}", *PLAN])
        tool.main()
        (tmp_path / "one.jpg").unlink()
        with pytest.raises(ValueError, match="must hold JPEG files; it has none"):
            tool.main()
    lines = capsys.readouterr().out.splitlines()[2:]
    rows = [line.strip("| ").split("|") for line in lines if line.startswith("|")]
    assert [row[0].strip() for row in rows] == ["bare trunk", "exact", "rounded", "fast"]
    mean = [float(row[7]) for row in rows[1:]]
    assert mean[0] == 0 < mean[1] <= 0.5 < mean[2]
