"""tools/benchmark_attributes.py: a row for each system, a ratio for each number of attributes."""

from absl import flags
from absl.testing import flagsaver
from evaluation_fakes import script


def test_a_table_of_ratios(monkeypatch, capsys):
    with script("benchmark_attributes") as tool, flagsaver.flagsaver():
        monkeypatch.setattr(tool, "_SYSTEMS", {"CSN": tool._SYSTEMS["CSN"]})
        flags.FLAGS(["benchmark", "--numbers=1,3", "--image_size=32", "--rounds=1"])
        tool.main()
    header, _, row = capsys.readouterr().out.strip().splitlines()
    assert "1 attributes | 3 attributes" in header
    name, *ratios = [cell.strip() for cell in row.strip("|").split("|")]
    assert name == "CSN" and all(float(ratio) > 0.0 for ratio in ratios) and len(ratios) == 2
