"""The whole of FashionSearchNet-v2 in five to eight minutes on 2 cores: `make demo`.

Renders garments, trains all stages of the variant `full`, measures it beside `w/o Rank` and
chance, and runs one search. Each step is a command of tools/ that you can run yourself; the
demo prints it first. You can stop it; run it again to resume.
"""

import shlex
import subprocess
import sys
import time
from pathlib import Path

from absl import flags

from fashionsearchnet import command

FLAGS = flags.FLAGS
flags.DEFINE_string("data_dir", "data", "Folder of the prepared data sets.")
flags.DEFINE_string("runs_dir", "runs/demo", "Folder of the demo's runs.")
flags.DEFINE_string("dataset", "garments/small", "Data set of the demo.")
flags.DEFINE_float("epochs_scale", 1.0, "Multiplies every stage's epochs; small for a smoke test.")

flags.DEFINE_string("query_id", "garments-008001", "Image of the query split to search for.")
flags.DEFINE_multi_string("set", ["neckline=v-neck"], "Edit of the search; repeatable.")

if __name__ == "__main__":
    command.parse_flags()  # --help and wrong flags end here

from fashionsearchnet.flagfiles import read_flagfile

ROOT = Path(__file__).parents[1]
SYSTEM = "fashionsearchnet_v2"


def commands(runs: Path) -> list[list[str]]:
    """Returns the commands of the demo, each a script of tools/ with its arguments."""
    data = [f"--data_dir={FLAGS.data_dir}", f"--dataset={FLAGS.dataset}"]

    def stage(name: str, workdir: str, *extra: str) -> list[str]:
        path = ROOT / "flags" / "demo" / SYSTEM / f"{name}.flags"
        epochs = float(read_flagfile(path)["num_epochs"]) * FLAGS.epochs_scale
        return [
            f"{SYSTEM}/train_{name}",
            f"--flagfile={path}",
            *data,
            f"--workdir={runs / workdir}",
            f"--num_epochs={epochs:g}",
            *extra,
        ]

    start, full = f"--init_from={runs / 'localization'}", runs / "full"
    return [
        ["prepare_data", *data],
        stage("localization", "localization"),
        stage("representations", "without_rank", start, "--variant=without_rank"),
        stage("representations", "rank_l", start, "--variant=rank_l"),
        stage("global", "full", f"--init_from={runs / 'rank_l'}"),
        ["evaluate", f"--workdir={runs / 'without_rank'}", *data],
        [
            "evaluate",
            f"--workdir={full}",
            *data,
            f"--beside={runs / 'without_rank' / 'evaluation' / 'query.npz'}",
        ],
        [
            "search",
            f"--workdir={full}",
            *data,
            f"--query_id={FLAGS.query_id}",
            *(f"--set={edit}" for edit in FLAGS.set),
            f"--output={full / 'search.png'}",
        ],
    ]


def main() -> None:
    start = time.monotonic()
    runs = Path(FLAGS.runs_dir)
    for script, *arguments in commands(runs):
        line = [sys.executable, str(ROOT / "tools" / f"{script}.py"), *arguments]
        print(f"\n$ python tools/{script}.py {shlex.join(arguments)}", flush=True)
        if status := subprocess.run(line).returncode:
            sys.exit(status)
    minutes = (time.monotonic() - start) / 60
    print(
        f"\nDone in {minutes:.1f} minutes. The table again: {runs}/full/evaluation/query.md\n"
        f"Pictures: {runs}/full/search.png (the search), "
        f"{runs}/full/evaluation/query.png (accuracy over K)\n"
        "Next: search for something else with the last command, or use your own catalogue "
        "(README.md)."
    )


if __name__ == "__main__":
    command.run(main)
