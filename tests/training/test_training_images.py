import subprocess
import sys

import numpy as np
import pytest
from fakes import SPACE

from fashionsearchnet.attributes import AttributeSpace
from fashionsearchnet.training import runs, training_images


def test_queries_that_a_run_was_trained_on_are_refused(tmp_path):
    training_images.check_unseen(tmp_path, ["a"], "query", "shop")  # an older run does not know
    training_images.store(tmp_path / "first", ["a", "b"])
    training_images.store(tmp_path / "second", ["b", "é"], tmp_path / "first")
    training_images.check_unseen(tmp_path / "second", ["c", "d"], "query", "shop")
    with pytest.raises(ValueError, match=r"2 of the 3 queries of split 'query' of shop .* 'a'"):
        training_images.check_unseen(tmp_path / "second", ["c", "a", "é"], "query", "shop")


def test_hints_say_what_there_is_too_little_of():
    rng = np.random.default_rng(0)
    space = AttributeSpace.from_dict({"colour": ["red", "blue"], "kind": ["a", "b"]})
    labels = rng.integers(0, 2, (2000, 2))
    assert training_images.hints(labels, space, 64) == []
    labels[:, 1] = 0
    labels[:5, 1], labels[5:9, 1] = 1, -1
    (hint,) = training_images.hints(labels, space, 64)
    assert "kind: 1 of 2 values have fewer than 20 images to train on: b 5." in hint
    labels[:5, 1] = -1
    (hint,) = training_images.hints(labels, space, 64)
    assert "b 0." in hint and hint.endswith("Edits to a value without any know nothing of it.")
    few, batch, *_ = training_images.hints(labels[:40], space, 64)
    assert "40 images to train on are few" in few
    assert "--batch_size=64 is more than the 40 images" in batch


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    runs.start_run(tmp_path, space=SPACE, flags="--seed=1\n", seed=1)
    runs.start_run(tmp_path, space=SPACE, flags="--seed=1\n", seed=1)  # the same process may
    # Another process holds the lock as `start_run` does there, without seconds for TensorFlow.
    code = "import sys; from fashionsearchnet import files\nwith files.hold_lock(*sys.argv[1:]): "
    call = [sys.executable, "-c", code + "print(flush=True), sys.stdin.read()"]
    done = subprocess.run([*call, tmp_path / ".lock", "trains"], capture_output=True, text=True)
    assert "BlockingIOError: another process trains" in done.stderr
    other = tmp_path / "other"
    with subprocess.Popen(
        [*call, other / ".lock", "trains"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdout is not None and holder.stdout.readline()
        with pytest.raises(BlockingIOError, match=r"another process trains in .*other"):
            runs.start_run(other, space=SPACE, flags="", seed=0)
        holder.communicate()
