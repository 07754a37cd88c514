"""A study that takes seconds: ``noctule study`` on a small night, with few methods.

Belongs here: the run and what it wrote. Does not belong here: what its report must say.
"""

import contextlib
import io
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from functools import partial
from pathlib import Path

import pytest

from tests.support.trained_homes import use_home


@dataclass(frozen=True)
class StudyRun:
    """One ``noctule study --json`` of a small labelled night and an unlabelled one."""

    file: Path
    data: Path
    page: Path
    printed: str
    """Standard output."""


def run_small_study(folder: Path) -> StudyRun:
    """Study a night with two classifiers on two selections.

    Args:
        folder: an empty folder.
    """
    from flows.cli import main
    from tasks.simulation.simulate import simulate_night
    from tasks.study.study import study_rows

    file, beside, out = folder / "night.csv", folder / "other.csv", folder / "reports" / "new"
    for path, is_labelled in ((file, True), (beside, False)):
        simulate_night(path, rows=1_500, seed=3, night=date(2026, 11, 9), labelled=is_labelled)
    few = partial(
        study_rows, selections=("none", "forest"), classifiers=("lightgbm", "random_forest")
    )
    asked = ("study", file, "--out", out, "--beside", beside, "--jobs", 2, "--json")
    with small_networks() as patch, io.StringIO() as output:
        use_home(patch, folder / "home")
        patch.setattr("flows.cli.study.study_rows", few)
        patch.setattr(sys, "argv", ["noctule", *map(str, asked)])
        with contextlib.redirect_stdout(output), pytest.raises(SystemExit) as ended:
            main()
        assert ended.value.code in {None, 0}, output.getvalue()
        return StudyRun(file, out / "night-study.json", out / "night-study.html", output.getvalue())


@contextlib.contextmanager
def small_networks() -> Iterator[pytest.MonkeyPatch]:
    """Train small networks and embed few rows, so that a study of a small file takes seconds."""
    from tasks.study import overview, reconstruction

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(overview, "SAMPLE_ROWS", 150)
        for name in ("DEFAULT", "AS_DESCRIBED"):
            options = getattr(reconstruction, name)
            patch.setattr(reconstruction, name, options.model_copy(update={"epochs": 8}))
        yield patch
