import numpy as np
import pytest
from absl import flags
from evaluation_fakes import script

from fashionsearchnet.index import ivf

SMALL = ("--num_queries=6", "--rounds=1", "--k=5", "--num_blocks=2", "--threads=1")


@pytest.fixture
def tool(monkeypatch):
    with script("benchmark_index") as module:
        flags.FLAGS.unparse_flags()
        monkeypatch.setattr(module, "apart", lambda function, *arguments: function(*arguments))
        yield module


def rows_of(text):
    """The cells of the lines of all tables."""
    lines = [line for line in text.splitlines() if line.startswith("|")]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_a_row_for_each_engine_and_storage(tool, capsys, monkeypatch):
    monkeypatch.setattr(ivf, "MIN_ITEMS", 1000)
    flags.FLAGS(["x", *SMALL, "--num_vectors=1000", "--block_dims=8"])
    tool.main()
    told = capsys.readouterr().out
    assert "1,000 vectors of 16 numbers, 6 queries" in told
    rows = {tuple(row[:2]): row for row in rows_of(told)}
    for case in (("flat", "float32"), ("flat", "float16"), ("ivf", "float32"), ("ivf", "pq")):
        assert float(rows[case][9]) > 0.9
        assert len(rows[case]) == 12 and all(rows[case])
    assert rows["flat", "float32"][9] == "1.000"
    assert rows["the same results", "float32"][4] == "100.00%"


def test_all_lengths_have_the_same_points(tool, tmp_path):
    made = []
    for block_dim in (48, 96):
        tool.write_clusters(tmp_path / "v.npy", 200, 2, block_dim)
        made.append(np.load(tmp_path / "v.npy"))
        assert made[-1].shape == (200, 2 * block_dim) and made[-1].dtype == np.float32
    near = [np.linalg.norm(v[:, None] - v, axis=-1).argsort(axis=1)[:, 1] for v in made]
    assert (near[0] == near[1]).mean() > 0.3  # by chance .005


def test_given_vectors(tool, tmp_path, capsys, rng):
    path = tmp_path / "v.npy"
    np.save(path, rng.normal(size=(300, 8)).astype("f4"))
    flags.FLAGS(["x", *SMALL, f"--vectors={path}"])
    tool.main()
    told = capsys.readouterr().out
    assert (
        "294 vectors of 8 numbers" in told and "Below 20,000 items the engine ivf is flat" in told
    )
    for wrong, message in (
        (np.zeros((300, 8)), r"must hold float32 \[items, dim\]; it holds float64 \(300, 8\)"),
        (np.zeros(300, np.float32), r"it holds float32 \(300,\)"),
        (np.zeros((300, 7), np.float32), r"over 12 vectors of --num_blocks=2 equal blocks"),
        (np.zeros((12, 8), np.float32), r"over 12 vectors of --num_blocks=2 equal blocks"),
    ):
        np.save(path, wrong)
        with pytest.raises(ValueError, match=message):
            tool.main()
