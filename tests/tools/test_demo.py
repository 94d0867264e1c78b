"""`make demo` from end to end, on few pictures and for a few steps."""

import subprocess
import sys
import types
from pathlib import Path

import pytest
from absl import flags
from evaluation_fakes import script

from fashionsearchnet.flagfiles import expand_flagfiles

TOOLS = Path(__file__).parents[2] / "tools"


def demo_commands(*arguments: str, status: int = 0) -> list[list[str]]:
    """The command lines that the demo runs in turn; each ends with `status`."""
    ran: list[list[str]] = []

    def record(line: list[str]) -> subprocess.CompletedProcess:
        ran.append(line)
        return subprocess.CompletedProcess(line, status)

    with script("demo") as demo:
        demo.subprocess = types.SimpleNamespace(run=record)
        flags.FLAGS(["demo.py", *arguments])
        if status:
            with pytest.raises(SystemExit) as ended:
                demo.main()
            assert ended.value.code == status
        else:
            demo.main()
    return ran


def run_here(line: list[str]) -> None:
    """Runs a command line in this process, which has imported TensorFlow already."""
    python, path, *arguments = line
    assert python == sys.executable
    with script(str(Path(path).relative_to(TOOLS).with_suffix(""))) as tool:
        flags.FLAGS(expand_flagfiles([path, *arguments]))
        tool.main()


def test_the_demo_runs_from_data_to_search(tmp_path, capsys):
    runs = tmp_path / "runs"
    first, *others = demo_commands(
        f"--data_dir={tmp_path / 'data'}",
        f"--runs_dir={runs}",
        "--dataset=garments/tiny",
        "--epochs_scale=0.05",
        "--query_id=garments-001000",
        "--set=colour=red",
        "--set=pattern=plain",
    )
    done = subprocess.run(first, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-2000:]
    for line in others:
        run_here(line)
    told = capsys.readouterr().out
    for row in ("chance", "unedited query", "predicted attributes", "w/o Rank", "Full"):
        assert row in told
    for name in ("full/search.png", "full/evaluation/query.md", "full/evaluation/query.png"):
        assert (runs / name).stat().st_size > 1000
        assert str(runs / name) in told


def test_a_step_that_fails_ends_the_demo_with_its_status(capsys):
    (line,) = demo_commands(status=3)
    assert line[1] == str(TOOLS / "prepare_data.py")
    assert "Done in" not in capsys.readouterr().out
