"""The search reports each broken requirement once, with the smallest file that breaks it."""

from pathlib import Path

import pytest

from fuzz.mutations import Search
from tests.support.damaged_files.cases import Case
from tests.support.damaged_files.originals import simulate_originals
from tests.support.pipeline.stored_requirements import BrokenRequirementError


def test_a_broken_requirement_is_reported_once_with_the_smallest_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    requirement = "no file is long"

    def refuse(_: object, case: Case) -> dict[str, int]:
        if len(case.stored) > 300:
            raise BrokenRequirementError(requirement, len(case.stored))
        return {"scored": 1}

    monkeypatch.setattr("fuzz.mutations.process_case", refuse)
    originals = simulate_originals()
    search = Search(None, tmp_path, until=float("inf"))
    search.search_seed(originals, seed=1)
    search.search_seed(originals, seed=2)
    (kept,) = tmp_path.iterdir()
    assert 300 < len(kept.read_bytes()) < 1_000
    assert list(search.outcome.failures) == [requirement]
    assert "seed 1;" in search.outcome.failures[requirement]
    assert search.outcome.counts["files"] > 250
