"""`make demo` from end to end, on few pictures and for a few steps."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_demo_runs_from_data_to_search(tmp_path):
    runs = tmp_path / "runs"
    command = [
        sys.executable,
        "tools/demo.py",
        f"--data_dir={tmp_path / 'data'}",
        f"--runs_dir={runs}",
        "--dataset=garments/tiny",
        "--epochs_scale=0.05",
        "--query_id=garments-001000",
        "--set=colour=red",
        "--set=pattern=plain",
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stderr[-2000:]
    for row in ("chance", "unedited query", "predicted attributes", "w/o Rank", "Full"):
        assert row in done.stdout
    for name in ("full/search.png", "full/evaluation/query.md", "full/evaluation/query.png"):
        assert (runs / name).stat().st_size > 1000
