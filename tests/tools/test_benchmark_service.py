import pytest
from evaluation_fakes import script


@pytest.fixture(scope="module")
def tool():
    with script("benchmark_service") as module:
        yield module


def rows_of(text: str) -> dict[str, list[str]]:
    """The cells of the table's lines by their first cell."""
    lines = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return {cells[0].strip(): [cell.strip() for cell in cells[1:]] for cells in lines}


def test_times_are_medians_and_ratios(tool, capsys):
    bare = tool.Measured([0.010] * 50 + [0.100], rates=[90.0, 100.0, 110.0])
    asked = tool.Measured([0.015] * 51, rates=[60.0], cpu_seconds=51 * 0.020)
    tool.print_times({"bare": bare, "asked": asked}, "bare")
    rows = rows_of(capsys.readouterr().out)
    assert rows["bare"] == ["10.0", "55.0", "100.0", "1.00", "0.0", "0.00"]
    assert rows["asked"] == ["15.0", "15.0", "60.0", "1.50", "20.0", "1.20"]


def test_stages_are_means_of_the_middle_half_and_add_up(tool, capsys):
    stages = [{"upload": 1.0, "pass": 5.0, "index": 2.0, "total": 9.0}] * 8
    stages[0] = {"pass": 500.0, "total": 900.0}  # an outlier
    found = tool.Measured([1.0, *[0.010] * 7], stages=stages)
    tool.print_stages({"asked": found}, ["asked"])
    cells = rows_of(capsys.readouterr().out)["asked"]
    assert cells == ["1.00", "0.00", "5.00", "0.00", "2.00", "1.00", "1.00"]
    assert sum(map(float, cells)) == pytest.approx(10.0)
