"""The direction of imports: flows -> tasks -> storage -> expectations, and never the other way."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

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
