"""The inputs that a stage's receipt depends on, and the refusals that reject the content."""

import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import date
from importlib.metadata import version
from pathlib import Path
from shutil import copytree, ignore_patterns

import polars as pl
import pytest

from expectations.contract import Form
from tasks import fingerprint
from tasks.fingerprint import ROOT, code_fingerprint
from tasks.intake.content import SourceChangedError, SourceUnavailableError, hash_content
from tasks.intake.ingest import IngestSummary
from tasks.intake.stage import FileJob
from tasks.scoring.stage import BatchJob, score_key
from tasks.simulation.simulate import simulate_night
from tasks.validation.accept import Refusal, ingest, ingest_key, validate, validate_key
from tests.support.sources import NSL_KDD

MakeConnections = Callable[..., pl.DataFrame]


@pytest.fixture
def source(tmp_path: Path, make_connections: MakeConnections) -> Path:
    path = tmp_path / "night.csv"
    make_connections(6, seed=1).select(NSL_KDD.feature_names).write_csv(path)
    return path


@pytest.fixture
def job(tmp_path: Path, source: Path) -> BatchJob:
    return BatchJob(
        source=source,
        batch_id=hash_content(source).sha256,
        contract="nsl_kdd",
        folder=tmp_path / "batch",
        chunk_rows=4,
        max_quarantine_ratio=0.5,
        model_version="nsl_kdd-1",
        model_folder=tmp_path,
        operating_point="default",
        explain_top=5,
        max_quarantined_rows=100,
        drift_sample_rows=2_000,
        threads=1,
        seed=1,
    )


def keys(job: BatchJob) -> list[dict[str, str]]:
    return [ingest_key(job), validate_key(job), score_key(job)]


@pytest.mark.parametrize(
    ("change", "redone"),
    [
        ({"batch_id": "0" * 64}, [True, True, True]),
        ({"chunk_rows": 3}, [True, True, True]),
        ({"max_quarantine_ratio": 0.1}, [False, True, True]),
        ({"model_version": "nsl_kdd-2"}, [False, False, True]),
        ({"operating_point": "low_alert"}, [False, False, True]),
        ({"explain_top": 6}, [False, False, False]),
    ],
)
def test_a_stage_is_redone_when_it_or_a_stage_before_it_changes(
    job: BatchJob, change: dict[str, object], redone: list[bool]
) -> None:
    changed = keys(job.model_copy(update=change))
    assert [before != after for before, after in zip(keys(job), changed, strict=True)] == redone


def test_the_code_and_the_contract_are_part_of_every_key(job: BatchJob) -> None:
    assert all(key["ingest code"] == code_fingerprint("intake") for key in keys(job))
    assert all(key["contract"] == NSL_KDD.fingerprint for key in keys(job))


def test_a_value_in_the_middle_of_a_long_list_changes_the_contract() -> None:
    rule = NSL_KDD.row_rules[0]
    services = [f"service_{number}" for number in range(100)]
    one = replace(rule, holds=f"service IN ({', '.join(map(repr, services))})")
    services[50] = "another"
    other = replace(rule, holds=f"service IN ({', '.join(map(repr, services))})")
    assert replace(NSL_KDD, row_rules=(one,)).fingerprint != (
        replace(NSL_KDD, row_rules=(other,)).fingerprint
    )


def test_a_fingerprint_is_the_same_in_every_process() -> None:
    program = (
        "from tests.support.sources import NSL_KDD; from tasks.fingerprint import code_fingerprint;"
        "print(NSL_KDD.fingerprint, code_fingerprint('scoring'))"
    )
    told = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert told.stdout.split() == [NSL_KDD.fingerprint, code_fingerprint("scoring")]


@pytest.mark.parametrize("library", ["numpy", "scipy", "pandas", "polars", "lightgbm", "evidently"])
def test_another_version_of_a_library_redoes_every_stage(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = code_fingerprint.__wrapped__("intake")
    monkeypatch.setattr(
        fingerprint, "version", lambda name: "0" if name == library else version(name)
    )
    assert code_fingerprint.__wrapped__("intake") != before


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Copy the sources."""
    folder = tmp_path_factory.mktemp("sources")
    for package in ("expectations", "storage", "tasks"):
        copytree(ROOT / package, folder / package, ignore=ignore_patterns("__pycache__"))
    return folder


@pytest.mark.parametrize(
    ("changed", "redone"),
    [
        ("study/page.html", set()),
        ("study/page.py", set()),
        ("reporting/markdown.py", set()),
        ("training/fit.py", set()),
        ("drift/psi.py", {"drift"}),
        ("scoring/explain.py", {"scoring", "drift"}),
        ("detectors/model.py", {"scoring", "drift"}),
        ("validation/page.html", {"validation"}),
        ("pages/base.html", {"validation"}),
        ("validation/validate.py", {"validation", "scoring", "drift"}),
        ("wording.py", {"intake", "validation", "scoring", "drift"}),
        ("../expectations/rules.py", {"intake", "validation", "scoring", "drift"}),
    ],
)
def test_a_change_of_code_redoes_the_stages_that_import_it(
    changed: str, redone: set[str], copy: Path
) -> None:
    file = copy / "tasks" / changed
    before = file.read_text()
    file.write_text(f"{before}\n")
    rooms = ("intake", "validation", "scoring", "drift")
    now = {room: code_fingerprint.__wrapped__(room, root=copy) for room in rooms}
    file.write_text(before)
    assert {room for room in rooms if now[room] != code_fingerprint(room)} == redone


@pytest.mark.parametrize(
    "change",
    [
        {"labels": replace(NSL_KDD.labels, normal=("benign",))},
        {"labels": replace(NSL_KDD.labels, families={})},
        {"form": Form()},
        {"profile": ()},
    ],
)
def test_every_part_of_the_declaration_is_in_its_fingerprint(change: dict[str, object]) -> None:
    assert replace(NSL_KDD, **change).fingerprint != NSL_KDD.fingerprint


def test_validation_is_redone_with_the_parts_it_was_made_from(job: BatchJob) -> None:
    simulate_night(job.source, rows=1_000, seed=1, night=date(2026, 11, 19))
    header, first, *rest = job.source.read_text().splitlines(keepends=True)
    spoilt = first.replace("tcp", "sctp").replace("udp", "sctp").replace("icmp", "sctp")
    job.source.write_text("".join([header, spoilt, *rest]))
    for chunk_rows in (900, 800):  # both give two parts, of the same names
        again = job.model_copy(
            update={"chunk_rows": chunk_rows, "batch_id": hash_content(job.source).sha256}
        )
        ingested = ingest(again, None)
        assert isinstance(ingested, IngestSummary)
        validated = validate(again, ingested)
        assert not isinstance(validated, Refusal)
        parts = [pl.read_parquet(again.folder / part.path) for part in validated.parts]
        assert pl.concat(parts)["row_number"].to_list() == list(range(2, 1_001))


def test_a_missing_file_does_not_reject_its_content(job: FileJob) -> None:
    job.source.unlink()
    with pytest.raises(SourceUnavailableError, match="no such file"):
        ingest(job, None)


def test_a_file_that_replaced_another_is_not_refused_in_its_name(job: FileJob) -> None:
    job.source.write_text("a,b\n1,2\n")
    with pytest.raises(SourceChangedError, match="run it again"):
        ingest(job, None)


def test_a_file_of_another_shape_is_refused_with_its_rows_counted(job: FileJob) -> None:
    job.source.write_text("duration,service,flag\n0,http,SF\n0,http,SF\n")
    content = hash_content(job.source).sha256
    refused = ingest(job.model_copy(update={"batch_id": content}), None)
    assert isinstance(refused, Refusal)
    assert "missing: protocol_type" in refused.reason
    assert refused.rows.rows_read == 2


def test_a_refused_parquet_file_has_its_rows_counted(job: FileJob) -> None:
    pl.DataFrame({"duration": [1, 2, 3]}).write_parquet(job.source)
    content = hash_content(job.source).sha256
    refused = ingest(job.model_copy(update={"batch_id": content}), None)
    assert isinstance(refused, Refusal)
    assert refused.rows.rows_read == 3
