"""Shows that two checkouts of this repository give the same results, bit for bit.

    python tests/same_results.py record --checkout=. --out=/tmp/now
    python tests/same_results.py compare /tmp/before /tmp/now

`record` runs the scripts of a checkout: it renders `garments/tiny`, trains every stage of every
variant of FashionSearchNet-v2 and of AMNet for a few epochs, and evaluates each. `compare` holds
weights, stored features and the rank of every manipulation of two such recordings against each
other. It is no test for pytest: it compares two versions of the code and takes ten minutes on 2
cores.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

NETWORK = (
    "--image_size=48",
    "--width=0.15",
    "--first_stride=2",
    "--normalization=batch",
    "--momentum=0.9",
    "--weight_decay=5e-4",
    "--schedule=cosine",
    "--warmup_steps=5",
)
HEADS = ("--hidden_dims=32,32", "--representation_dim=16", "--momentum=0.9", "--flip")
SECOND = ("without_rank", "rank", "rank_l", "full_ff", "full_normalized_triplets")
THIRD = {
    "rank_lg": ("rank_l",),
    "full": ("rank_l", "--memory_rate_multiplier=100"),
    "full_ff": ("full_ff",),
    "full_edit_weights": ("rank_l",),
    "full_normalized": ("rank_l",),
    "full_normalized_triplets": ("full_normalized_triplets",),
    "ours": ("rank_l", "--ranking_loss=softmax", "--learning_rate=0.05"),
    "ours_3_changes": ("rank_l", "--ranking_loss=softmax", "--num_changes=3", "--variant=ours"),
    "full_unedited": ("rank_l", "--negatives=unedited", "--variant=full"),
}


class Checkout:
    """A checkout whose scripts are run on a data set of its own rendering."""

    def __init__(self, root: Path, out: Path):
        self._root, self._out = root.resolve(), out.resolve()
        self._data = ("--data_dir=" + str(self._out / "data"), "--dataset=garments/tiny")

    def run(self, script: str, *arguments: str) -> None:
        """Runs a script of a system's folder or, as in older checkouts, of tools/ itself."""
        system, _, name = script.rpartition("/")
        prefix = "amnet_" if system == "amnet" else ""
        old = name.replace("train_", f"train_{prefix}")
        paths = (self._root / "tools" / f"{each}.py" for each in (script, old))
        path = next(path for path in paths if path.exists())
        command = [sys.executable, str(path), *self._data, *arguments]
        environment = {**os.environ, "PYTHONPATH": str(self._root)}
        print("$", script, *arguments, flush=True)
        subprocess.run(command, cwd=self._root, env=environment, check=True, capture_output=True)

    def train(self, script: str, name: str, start: str, *arguments: str) -> None:
        """Trains one stage into the folder `name`."""
        if (self._out / name / "model.json").exists():
            return
        init = (f"--init_from={self._out / start}",) if start else ()
        self.run(script, f"--workdir={self._out / name}", *init, *arguments)

    def evaluate(self, name: str) -> None:
        """Writes the rank of every manipulation."""
        if not (self._out / name / "evaluation" / "query.npz").exists():
            self.run("evaluate", f"--workdir={self._out / name}")


def record(root: Path, out: Path) -> None:
    """Trains and evaluates everything."""
    checkout = Checkout(root, out)
    checkout.run("prepare_data")
    checkout.train(
        "fashionsearchnet_v2/train_localization",
        "localization",
        "",
        "--num_epochs=4",
        "--flip",
        *NETWORK,
    )
    for variant in SECOND:
        flags = (f"--variant={variant}", "--num_epochs=3", *HEADS)
        checkout.train(
            "fashionsearchnet_v2/train_representations",
            f"{variant}_representations",
            "localization",
            *flags,
        )
    for variant in ("without_rank", "rank", "rank_l"):
        checkout.evaluate(f"{variant}_representations")
    for name, (start, *changes) in THIRD.items():
        chosen = [] if any(f.startswith("--variant") for f in changes) else [f"--variant={name}"]
        common = ("--num_epochs=3", "--momentum=0.9", "--global_dim=32", *chosen)
        checkout.train(
            "fashionsearchnet_v2/train_global", name, f"{start}_representations", *common, *changes
        )
        checkout.evaluate(name)
    first = ("--num_epochs=4", "--feature_dim=48", *NETWORK)
    checkout.train("amnet/train_classification", "amnet_classification", "", *first)
    second = ("--num_epochs=2", "--gradient_clip_norm=5", "--momentum=0.9")
    checkout.train("amnet/train_manipulation", "amnet", "amnet_classification", *second)
    checkout.evaluate("amnet")


def arrays_of(folder: Path) -> dict[str, np.ndarray]:
    """Returns all weights, stored features and ranks below a folder by name."""
    found: dict[str, np.ndarray] = {}
    for path in sorted(folder.rglob("model.weights.h5")):
        with h5py.File(path) as file:

            def take(name: str, item: object, run: str = path.parent.name) -> None:
                if isinstance(item, h5py.Dataset):
                    found[f"{run}: {name}"] = item[()]

            file.visititems(take)
    for path in sorted(folder.rglob("*.npy")):
        found[str(path.relative_to(folder))] = np.load(path)
    for path in sorted(folder.rglob("evaluation/*.npz")):
        with np.load(path) as content:
            for key in ("query", "group", "edits", "ranks", "ndcg"):
                found[f"{path.relative_to(folder)}: {key}"] = content[key]
    return found


def compare(before: Path, now: Path) -> int:
    """Prints what differs and returns the number of arrays that do."""
    old, new = arrays_of(before), arrays_of(now)
    differing = sorted(old.keys() ^ new.keys())
    for name in sorted(old.keys() & new.keys()):
        same = old[name].shape == new[name].shape and old[name].tobytes() == new[name].tobytes()
        if not same:
            differing.append(name)
    for name in differing:
        print(f"differs: {name}")
    print(f"{len(old)} arrays before, {len(new)} now, {len(differing)} differ")
    return len(differing)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(dest="command", required=True)
    recording = commands.add_parser("record")
    recording.add_argument("--checkout", type=Path, default=Path())
    recording.add_argument("--out", type=Path, required=True)
    comparing = commands.add_parser("compare")
    comparing.add_argument("before", type=Path)
    comparing.add_argument("now", type=Path)
    given = parser.parse_args()
    if given.command == "record":
        record(given.checkout, given.out)
    else:
        sys.exit(bool(compare(given.before, given.now)))


if __name__ == "__main__":
    main()
