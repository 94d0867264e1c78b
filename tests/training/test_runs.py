import json

import pytest

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.training import runs


def begin(workdir):
    """Leaves what the first checkpoint of a run leaves."""
    (workdir / "checkpoints").mkdir()
    (workdir / "checkpoints" / "ckpt-1.index").touch()


def test_a_run_tells_what_made_it(space, tmp_path):
    workdir = runs.start_run(tmp_path / "a" / "run", space=space, flags="--width=0.5\n", seed=7)
    assert workdir == tmp_path / "a" / "run"
    assert (workdir / "flags.txt").read_text() == "--width=0.5\n"
    assert AttributeSpace.load(workdir / "attribute_space.json") == space
    versions = json.loads((workdir / "versions.json").read_text())
    assert versions["seed"] == 7
    assert {"python", "machine", "tensorflow", "keras", "numpy"} <= versions.keys()


def test_a_run_is_reopened_on_the_same_attributes_only(space, tmp_path):
    runs.start_run(tmp_path, space=space, flags="--log_every=1\n", seed=1)
    begin(tmp_path)
    runs.start_run(tmp_path, space=space, flags="--log_every=2\n", seed=2)
    assert (tmp_path / "flags.txt").read_text() == "--log_every=2\n"
    other = AttributeSpace.from_dict({**space.to_dict(), "fit": ["slim", "wide"]})
    with pytest.raises(ValueError, match="'fit' is only in the data set"):
        runs.start_run(tmp_path, space=other, flags="--log_every=3\n", seed=3)
    assert (tmp_path / "flags.txt").read_text() == "--log_every=2\n"
    assert AttributeSpace.load(tmp_path / "attribute_space.json") == space


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ("--log_every=5", "--log_every=9"),
        ("--checkpoint_every=500", "--checkpoint_every=100"),
        ("--steps_per_call=1", "--steps_per_call=20"),
        ("--cache=none", "--cache=decoded\n--cache_dir=/fast/disk"),
        ("--trunk_outputs=/old/disk", ""),
        ("--data_dir=data", "--data_dir=/moved/data"),
    ],
)
def test_a_run_goes_on_with_flags_that_do_not_change_it(before, now, tmp_path, space):
    runs.start_run(tmp_path, space=space, flags=f"--seed=1\n{before}\n", seed=1)
    begin(tmp_path)
    runs.start_run(tmp_path, space=space, flags=f"--seed=1\n{now}\n", seed=1)
    assert (tmp_path / "flags.txt").read_text() == f"--seed=1\n{now}\n"


@pytest.mark.parametrize("flag", ["precision", "deterministic", "jit_compile", "batch_size"])
def test_a_flag_that_changes_the_rounding_belongs_to_the_run(flag, tmp_path, space):
    runs.start_run(tmp_path, space=space, flags=f"--{flag}=1\n", seed=1)
    begin(tmp_path)
    with pytest.raises(ValueError, match=f"--{flag} is 1 there, 2 now"):
        runs.start_run(tmp_path, space=space, flags=f"--{flag}=2\n", seed=1)


def test_a_run_goes_on_where_it_was_moved_to_together_with_its_start(tmp_path, space):
    def flags_in(folder):
        return f"--init_from={folder}/rank_l\n--workdir={folder}/full\n--num_epochs=2.0\n"

    runs.start_run(tmp_path, space=space, flags=flags_in("runs"), seed=1)
    begin(tmp_path)
    runs.start_run(tmp_path, space=space, flags=flags_in("/moved/runs"), seed=1)
    other = flags_in("/moved/runs").replace("/rank_l", "/others/rank_l")
    with pytest.raises(ValueError, match="--init_from is /moved/runs/rank_l there"):
        runs.start_run(tmp_path, space=space, flags=other, seed=1)


@pytest.mark.parametrize(("before", "now"), [("--flip\n", ""), ("", "--flip\n")])
def test_a_flag_that_one_side_lacks_is_another_setting(before, now, tmp_path, space):
    runs.start_run(tmp_path, space=space, flags=before, seed=1)
    begin(tmp_path)
    with pytest.raises(ValueError, match=r"--flip is .*not given"):
        runs.start_run(tmp_path, space=space, flags=now, seed=1)


def test_a_run_with_other_settings_is_refused_and_keeps_its_flags(tmp_path, space):
    runs.start_run(tmp_path, space=space, flags="--variant=rank\n", seed=0)
    begin(tmp_path)
    with pytest.raises(ValueError, match=r"--variant is rank there, full now\. Use its flags"):
        runs.start_run(tmp_path, space=space, flags="--variant=full\n", seed=0)
    assert (tmp_path / "flags.txt").read_text() == "--variant=rank\n"


def test_a_start_that_failed_does_not_bind_the_folder(tmp_path, space):
    runs.start_run(tmp_path, space=space, flags="--variant=rank\n", seed=0)
    other = AttributeSpace.from_dict({"fit": ["slim", "wide"]})
    runs.start_run(tmp_path, space=other, flags="--variant=full\n", seed=0)
    assert (tmp_path / "flags.txt").read_text() == "--variant=full\n"
    assert AttributeSpace.load(tmp_path / "attribute_space.json") == other


def test_a_run_whose_start_was_trained_again_does_not_go_on(tmp_path, space):
    runs.start_run(tmp_path, space=space, flags="--seed=1\n", seed=1, starts_from="first")
    runs.start_run(tmp_path, space=space, flags="--seed=1\n", seed=1, starts_from="second")
    begin(tmp_path)  # with the second
    runs.start_run(tmp_path, space=space, flags="--seed=1\n", seed=1, starts_from="second")
    with pytest.raises(ValueError, match=r"began with other weights than --init_from has now"):
        runs.start_run(tmp_path, space=space, flags="--seed=1\n", seed=1, starts_from="third")
    (tmp_path / "versions.json").write_text('{"seed": 1}')  # as older versions wrote it
    runs.start_run(tmp_path, space=space, flags="--seed=1\n", seed=1, starts_from="third")
