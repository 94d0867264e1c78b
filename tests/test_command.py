"""How scripts start and answer mistakes: quietly; one line, exit code 1, no stack trace."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
SCRIPT = """
from fashionsearchnet import command
import os, sys
command.parse_flags()
{imports}
def main():
    {body}

command.run(main)
"""
TENSORFLOW = "import tensorflow as tf"
LOG = "oneDNN custom operations"  # part of what TensorFlow logs at its start


def run_script(body: str, *arguments: str, imports: str = "", **environment: str):
    """The finished process of a script with this `main`."""
    code = [sys.executable, "-c", SCRIPT.format(imports=imports, body=body), *arguments]
    known = {k: v for k, v in os.environ.items() if not k.startswith("TF_")}
    return subprocess.run(
        code, cwd=ROOT, capture_output=True, text=True, timeout=120, env=known | environment
    )


@pytest.mark.parametrize("kind", ["ValueError", "OSError", "FloatingPointError"])
def test_a_users_mistake_is_one_line(kind):
    done = run_script(f"raise {kind}('row 7 of labels.csv: no such image')")
    assert done.returncode == 1
    assert done.stderr == "-c: row 7 of labels.csv: no such image\n"


def test_an_error_of_the_system_is_in_words():
    full = run_script("raise OSError(28, 'no space left for data/shop')")
    assert full.stderr == "-c: no space left for data/shop\n"
    missing = run_script("open('none.csv')")
    assert missing.stderr == "-c: none.csv: No such file or directory\n"


def test_a_reader_that_has_enough_gets_no_message():
    read, write = os.pipe()
    os.close(read)
    code = SCRIPT.format(imports="", body="print('x', flush=True)")
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, stdout=write, stderr=subprocess.PIPE, timeout=120
    )
    os.close(write)
    assert done.returncode == 1 and done.stderr == b""


def test_a_bug_keeps_its_trace():
    done = run_script("raise KeyError('bug')")
    assert done.returncode != 0
    assert "Traceback" in done.stderr


def test_a_word_that_is_no_flag_is_refused():
    done = run_script("raise SystemExit(0)", "garments")
    assert done.returncode == 1
    assert "unexpected argument 'garments'" in done.stderr


def test_an_interrupt_says_how_to_go_on():
    done = run_script("raise KeyboardInterrupt")
    assert done.returncode == 130
    assert "run the same command again" in done.stderr


def test_flagfiles_are_read_where_they_are_included(tmp_path):
    (tmp_path / "outer.flags").write_text("--flagfile=inner.flags\n")
    (tmp_path / "inner.flags").write_text("--verbosity=-1\n")
    body = "from absl import flags; print(flags.FLAGS.verbosity)"
    done = run_script(body, f"--flagfile={tmp_path}/outer.flags")
    assert (done.stdout, done.stderr) == ("-1\n", "")
    (tmp_path / "inner.flags").unlink()
    done = run_script(body, f"--flagfile={tmp_path}/outer.flags")
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert f"{tmp_path}/outer.flags includes --flagfile=inner.flags" in done.stderr


def test_tensorflow_starts_quietly_and_no_other_line_is_lost():
    imports = f"{TENSORFLOW}; print('while it starts', file=sys.stderr)"
    body = "print(tf.constant(1) + len(tf.config.list_physical_devices()))"
    body += "; print('later', file=sys.stderr); os.write(2, b'from C\\n')"
    done = run_script(body, imports=imports)
    assert (done.returncode, done.stderr) == (0, "while it starts\nlater\nfrom C\n")
    assert done.stdout.startswith("tf.Tensor(")


@pytest.mark.parametrize("given", [{}, {"TF_FORCE_GPU_ALLOW_GROWTH": "false"}])
def test_a_process_leaves_memory_of_a_gpu_to_others_unless_told_otherwise(given):
    done = run_script("print(os.environ['TF_FORCE_GPU_ALLOW_GROWTH'])", **given)
    assert done.stdout.strip() == given.get("TF_FORCE_GPU_ALLOW_GROWTH", "true")


def test_its_log_comes_back():
    done = run_script("pass", "--tensorflow_log", imports=TENSORFLOW)
    assert done.returncode == 0 and LOG in done.stderr


# A package that stands in for TensorFlow.
FAKE = """
import os, sys
os.write(2, b"no such library\\n")
print("from Python", file=sys.stderr, flush=True)
{body}
"""


FAKE_CONFIG = """
class config:
    list_physical_devices = lambda kind: [kind] * {has_gpu}
    class experimental:
        enable_tensor_float_32_execution = lambda enabled: print(enabled)
"""


def fake_tensorflow(folder: Path, body: str) -> dict[str, str]:
    """The environment of a script whose TensorFlow runs `body` when it is imported."""
    (folder / "tensorflow.py").write_text(FAKE.format(body=body))
    return {"PYTHONPATH": f"{folder}:{ROOT}"}


def import_fake(folder: Path, body: str, **environment: str):
    """The finished process of a script on a machine with a GPU that imports this TensorFlow."""
    imports = f"command._GPU_FILES = ({str(folder)!r},); {TENSORFLOW}"
    return run_script("pass", imports=imports, **fake_tensorflow(folder, body), **environment)


def test_the_environment_brings_the_log_back_too(tmp_path):
    done = import_fake(tmp_path, FAKE_CONFIG.format(has_gpu=1), TF_CPP_MIN_LOG_LEVEL="0")
    assert done.stderr == "no such library\nfrom Python\n"


def test_child_processes_show_it_too(tmp_path):
    code = "'from fashionsearchnet import command; command.parse_flags(); import tensorflow'"
    body = f"import subprocess; subprocess.run([sys.executable, '-c', {code}])"
    fake = fake_tensorflow(tmp_path, FAKE_CONFIG.format(has_gpu=1))
    assert run_script(body, **fake).stderr == "from Python\n"
    shown = run_script(body, "--tensorflow_log", **fake).stderr
    assert shown == "no such library\nfrom Python\n"


@pytest.mark.parametrize(
    ("crash", "status"),
    [("os.abort()", -6), ("os.kill(os.getpid(), 9)", -9), ("raise ImportError('broken')", 1)],
)
def test_a_crash_at_the_start_shows_its_text(crash, status, tmp_path):
    done = import_fake(tmp_path, crash)
    assert done.returncode == status
    assert "no such library" in done.stderr and "from Python" in done.stderr
    assert ("ImportError: broken" in done.stderr) == (status == 1)


@pytest.mark.parametrize(("visible", "has_gpu", "says"), [("0", 0, 1), ("0", 1, 0), ("-1", 0, 0)])
def test_a_gpu_that_cannot_be_used_is_named(visible, has_gpu, says, tmp_path):
    body = FAKE_CONFIG.format(has_gpu=has_gpu)
    done = import_fake(tmp_path, body, CUDA_VISIBLE_DEVICES=visible)
    lines = done.stderr.splitlines()
    assert lines[0] == "from Python" and len(lines) == 1 + says
    assert done.stdout == "False\n"  # float32 products are whole
    assert not says or "TensorFlow cannot use it and runs on the CPU" in lines[1]


def test_an_import_in_main_is_quiet_too(tmp_path):
    fake = fake_tensorflow(tmp_path, FAKE_CONFIG.format(has_gpu=1))
    done = run_script(f"{TENSORFLOW}; print(tf.__name__)", **fake)
    assert (done.returncode, done.stderr) == (0, "from Python\n")
    assert done.stdout.endswith("tensorflow\n")


def test_garbage_is_not_searched_for_while_it_is_imported(tmp_path):
    """Nor among what the import made, later."""
    body = FAKE_CONFIG.format(has_gpu=1) + "\nimport gc; print(gc.isenabled())"
    later = "print(gc.isenabled(), gc.get_freeze_count() > 1000)"
    done = run_script(f"import gc; {TENSORFLOW}; {later}", **fake_tensorflow(tmp_path, body))
    assert done.stdout == "False\nFalse\nTrue True\n"


def test_a_script_of_a_system_finds_what_all_share(tmp_path):
    script = tmp_path / "tools" / "system" / "train.py"
    script.parent.mkdir(parents=True)
    script.write_text("from fashionsearchnet import command\nimport shared\nprint(shared.x)")
    (tmp_path / "tools" / "shared.py").write_text("x = 3")
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, cwd=tmp_path)
    assert (done.stdout, done.stderr) == ("3\n", "")
