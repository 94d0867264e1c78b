"""Imports go down the list of layers only, so that each part can be understood without the rest."""

import ast
from pathlib import Path

import pytest

import fashionsearchnet

ROOT = Path(fashionsearchnet.__file__).parent

# From the bottom up. A module may import those of its own line and of the lines below it.
LAYERS = [
    ("checks", "choices", "files", "flagfiles"),
    ("attributes",),
    ("networks",),
    ("data",),
    ("index",),
    ("training",),
    ("systems",),
    ("evaluation",),
    ("search",),
    ("export",),
    ("explain",),
    ("serving",),
    ("reproduction",),
    ("benchmarks",),
    ("command",),  # how the scripts in tools/ start
]
LEVELS = {name: level for level, names in enumerate(LAYERS) for name in names}
NUMPY_ONLY = (
    "attributes",
    "checks",
    "choices",
    "files",
    "flagfiles",
    "evaluation/metrics",
    "evaluation/tasks/manipulation/enumeration",
    "evaluation/tasks/manipulation/hits",
    "index/exact",
    "search/judgement",
)
MODULES = sorted(ROOT.rglob("*.py"))


def imported_by(path: Path) -> set[str]:
    """The full names of all modules that a file imports, anywhere in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative imports hide where a name comes from"
            names.add(str(node.module))
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def own_imports(path: Path) -> set[str]:
    """What a file imports of this package, without the package's name."""
    return {
        name.removeprefix("fashionsearchnet.")
        for name in imported_by(path)
        if name.startswith("fashionsearchnet.")
    }


def part_of(path: Path) -> str:
    """The top-level module or package that a file belongs to; '' for the package itself."""
    relative = path.relative_to(ROOT)
    if len(relative.parts) > 1:
        return relative.parts[0]
    return "" if relative.stem == "__init__" else relative.stem


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_imports_go_down_only(path):
    part = part_of(path)
    if not part:
        assert not own_imports(path)
        return
    assert part in LEVELS, f"put {part!r} into LAYERS, where it belongs"
    for name in own_imports(path):
        below = name.split(".")[0]
        assert LEVELS[below] <= LEVELS[part], f"{part} may not import {below}: it is above it"


def test_systems_never_import_each_other():
    packages = {path.name for path in (ROOT / "systems").iterdir() if path.is_dir()}
    for path in (ROOT / "systems").rglob("*.py"):
        relative = path.relative_to(ROOT / "systems")
        for name in own_imports(path):
            if name.startswith("systems.") and len(relative.parts) > 1:
                others = packages - {relative.parts[0]}
                assert name.split(".")[1] not in others, f"{relative} imports {name}"


def test_flags_exist_in_tools_only():
    for path in MODULES:
        if part_of(path) == "command":
            continue  # parses the flags of the scripts in tools/, and defines none
        assert not {n for n in imported_by(path) if n.split(".")[0] == "absl"}, path


@pytest.mark.parametrize("name", NUMPY_ONLY)
def test_the_bottom_needs_no_tensorflow(name):
    heavy = {"tensorflow", "keras", "tensorflow_datasets"}
    path = ROOT / f"{name}.py"
    assert not {n.split(".")[0] for n in imported_by(path)} & heavy


def check_graphs(path: Path) -> None:
    """Raises an AssertionError if a module traces a graph with autograph."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call)]
    graphs = [call for call in calls if ast.unparse(call.func) == "tf.function"]
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    named = [node for node in attributes if ast.unparse(node) == "tf.function"]
    assert len(named) == len(graphs), f"{path}: @tf.function without autograph=False"
    for call in graphs:
        assert "autograph" in {keyword.arg for keyword in call.keywords}, ast.unparse(call)


@pytest.mark.parametrize("path", MODULES, ids=lambda p: str(p.relative_to(ROOT)))
def test_graphs_are_traced_without_autograph(path):
    """It would translate the source of all that a graph calls, seconds at each start."""
    check_graphs(path)


def test_tests_trace_without_autograph_too():
    for path in sorted(Path(__file__).parent.rglob("*.py")):
        if "tf.function" in path.read_text(encoding="utf-8"):
            check_graphs(path)
