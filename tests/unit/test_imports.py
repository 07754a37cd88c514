"""The direction of imports: flows -> tasks -> storage -> expectations, and from room to room."""

import ast
import subprocess
import sys
from collections.abc import Iterable
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tasks import ROOMS

ROOT = Path(__file__).parents[2]
ORDER = ["expectations", "storage", "tasks", "flows"]
HEAVY = ["evidently", "great_expectations", "jax", "keras", "lightgbm", "pandas", "polars",
         "prefect", "sklearn", "sqlalchemy", "onnxruntime"]  # fmt: skip


def imported_packages(source: str) -> set[str]:
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            names |= {alias.name.partition(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            names.add((node.module or "").partition(".")[0])
    return names


@pytest.mark.parametrize("package", ORDER)
def test_a_package_imports_only_those_below_it(package: str) -> None:
    above = set(ORDER[ORDER.index(package) + 1 :]) | {"tests", "benchmarks", "fuzz"}
    modules = list((ROOT / package).rglob("*.py"))
    assert modules
    wrong = {
        module.relative_to(ROOT).as_posix(): sorted(arrows)
        for module in modules
        if (arrows := imported_packages(module.read_text()) & above)
    }
    assert wrong == {}


def test_an_arrow_the_other_way_would_be_seen() -> None:
    assert imported_packages("def f():\n    from flows.cli import main\n") == {"flows"}


def imported_modules(source: str, known: Iterable[str]) -> set[str]:
    """Return the known modules that a source imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ImportFrom) and node.module:
            inner = {f"{node.module}.{alias.name}" for alias in node.names}.intersection(known)
            names |= inner or {node.module}
    return names.intersection(known)


def room_of(module: str) -> str:
    """Name a module's room, or the module where it stands beside the rooms."""
    return module.split(".")[1]


def wrong_arrows(arrows: dict[str, set[str]]) -> list[str]:
    """List the imports of a room from a higher one."""
    return [
        f"{module} -> {other}"
        for module, others in arrows.items()
        for other in sorted(others)
        if ROOMS.index(room_of(other)) > ROOMS.index(room_of(module))
    ]


@pytest.fixture(scope="module")
def arrows() -> dict[str, set[str]]:
    """For each module of ``tasks``, those that it imports."""
    paths = {
        ".".join(path.relative_to(ROOT).with_suffix("").parts): path
        for path in sorted((ROOT / "tasks").rglob("*.py"))
        if path.name != "__init__.py"
    }
    return {name: imported_modules(path.read_text(), paths) for name, path in paths.items()}


def test_a_room_imports_only_those_below_it(arrows: dict[str, set[str]]) -> None:
    assert {room_of(module) for module in arrows} == set(ROOMS)
    assert wrong_arrows(arrows) == []


def test_an_arrow_from_a_low_room_to_a_higher_one_would_be_seen() -> None:
    known = ["tasks.intake.lines", "tasks.scoring.score"]
    source = "if TYPE_CHECKING:\n    from tasks.scoring.score import ScoreSummary\n"
    found = imported_modules(source, known)
    assert wrong_arrows({"tasks.intake.lines": found}) == [
        "tasks.intake.lines -> tasks.scoring.score"
    ]


@pytest.mark.parametrize("room", ROOMS)
def test_no_module_of_a_room_imports_one_that_imports_it(
    arrows: dict[str, set[str]], room: str
) -> None:
    within = {
        module: {other for other in others if room_of(other) == room}
        for module, others in arrows.items()
        if room_of(module) == room
    }
    try:
        TopologicalSorter(within).prepare()
    except CycleError as error:
        pytest.fail(" -> ".join(error.args[1]))


def test_no_flow_imports_the_command_line() -> None:
    modules = list((ROOT / "flows").glob("*.py"))
    assert [one.name for one in modules if "flows.cli" in importing_lines(one)] == []


def importing_lines(module: Path) -> str:
    return "\n".join(line for line in module.read_text().splitlines() if "import " in line)


def test_a_night_imports_no_retraining() -> None:
    program = "import flows.nightly, sys; print([m for m in sys.modules if 'retraining' in m])"
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert shown.stdout.splitlines()[-1] == "[]"


def test_the_command_line_imports_nothing_heavy() -> None:
    program = (
        "import sys\n"
        "from flows.cli import main\n"
        "sys.argv = ['noctule', '--help']\n"
        "try:\n    main()\nexcept SystemExit:\n    pass\n"
        f"print('heavy:', sorted(set({HEAVY!r}) & set(sys.modules)))\n"
    )
    shown = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True, cwd=ROOT
    )
    assert "Usage" in shown.stdout
    assert shown.stdout.splitlines()[-1] == "heavy: []"
