"""A shadow scores a stored batch; the batch is unchanged, even where the shadow fails."""

import json
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
from sqlalchemy import Engine

from flows import batch, shadow
from flows.cli.database import check_all
from flows.settings import load_settings
from storage.database import connect
from storage.model_store import champion, register_model
from storage.queries import batch_rows, shadow_rows
from storage.schema import prediction, scoring
from tasks.reporting.outcomes import FileOutcome
from tasks.scoring import stage
from tasks.simulation.simulate import simulate_night
from tests.flows.conftest import without_prefect
from tests.unit.storage.conftest import read_table

if TYPE_CHECKING:
    from tests.flows.conftest import Ended, Server

pytestmark = pytest.mark.usefixtures("pandas_validation")

NIGHT = date(2026, 11, 20)


@pytest.fixture
def engine(home: Path) -> Iterator[Engine]:
    """Reach the home's database."""
    engine = connect(None, home)
    yield engine
    engine.dispose()


@pytest.fixture
def challenger(home: Path, engine: Engine, monkeypatch: pytest.MonkeyPatch) -> str:
    """Register the champion's own files as a challenger too, and let it score beside."""
    known = champion(engine, "nsl_kdd")
    made = register_model(
        engine,
        home / "models",
        home / "models" / known.version,
        contract="nsl_kdd",
        content_hash="b" * 64,
        rows_trained=1,
        training={},
        metrics={},
        registered_at=known.registered_at,
        registered_by="noctule train",
    )
    monkeypatch.setenv("NOCTULE_SHADOW", made.version)
    return made.version


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """Write a file of 1,000 connections."""
    path = tmp_path / f"night-{NIGHT}.csv"
    simulate_night(path, rows=1_000, seed=2, night=NIGHT)
    return path


def score(file: Path) -> FileOutcome:
    """Run the flow of a file here and now."""
    with without_prefect():
        outcome = batch.score_file.fn(file, NIGHT).data
    assert isinstance(outcome, FileOutcome)
    return outcome


def of_shadow(outcome: FileOutcome) -> str:
    """Return what is said of the shadow."""
    (note,) = [note for note in outcome.advisories if note.startswith("shadow ")]
    return note


def raising(error: BaseException) -> Callable[..., None]:
    """Break off instead of doing anything."""

    def break_off(*_: object) -> None:
        raise error

    return break_off


def assert_alone(engine: Engine) -> None:
    """The batch is stored as its champion scored it, and nothing of the shadow is."""
    (stored,) = batch_rows(engine)
    assert (stored["status"], stored["rows_scored"]) == ("scored", 1_000)
    assert shadow_rows(engine) == []
    assert [row["purpose"] for row in read_table(engine, scoring)] == ["live"]
    assert len(read_table(engine, prediction)) == 1_000
    assert {finding.subject for finding in check_all(load_settings())} <= {"outbox", "run 1"}


def test_a_shadow_scores_after_the_batch_is_stored_and_is_stored_beside_it(
    engine: Engine, source: Path, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[Any] = []

    def look(*arguments: Any) -> Any:  # noqa: ANN401 - the stage's own
        seen.extend(row["status"] for row in batch_rows(engine))
        return compare(*arguments)

    compare = stage.compare_scores
    monkeypatch.setattr(stage, "compare_scores", look)
    outcome = score(source)
    assert seen == ["scored"]
    (row,) = shadow_rows(engine)
    assert (row["shadow_version"], row["rows_compared"]) == (challenger, 1_000)
    flagged = outcome.rows_flagged
    assert row["rows_flagged"] == row["rows_flagged_by_both"] == flagged, "it is the same model"
    assert of_shadow(outcome).startswith(f"shadow {challenger} flagged {flagged} connections, ")
    assert {finding.subject for finding in check_all(load_settings())} == {"outbox"}


@pytest.mark.parametrize(
    ("error", "says"),
    [
        (MemoryError(), "MemoryError"),
        (RuntimeError("LightGBM fell over\nat line 7"), "RuntimeError: LightGBM fell over"),
        (pl.exceptions.PanicException("capacity overflow"), "PanicException: capacity overflow"),
    ],
)
def test_a_shadow_that_breaks_off_fails_no_night(
    engine: Engine,
    source: Path,
    challenger: str,
    monkeypatch: pytest.MonkeyPatch,
    error: BaseException,
    says: str,
) -> None:
    monkeypatch.setattr(stage, "compare_scores", raising(error))
    outcome = score(source)
    assert (outcome.status, outcome.exit_code) == ("scored", 0)
    assert of_shadow(outcome) == f"shadow {challenger} did not score: {says}"
    assert_alone(engine)


def without_numbers(scores: pl.DataFrame) -> pl.DataFrame:
    """Have no number where a score is due."""
    return scores.with_columns(pl.lit(float("nan")).alias("anomaly_score"))


def without_rows(scores: pl.DataFrame) -> pl.DataFrame:
    """Have lost some rows."""
    return scores.head(10)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (without_numbers, "IntegrityError: (sqlite3.IntegrityError) NOT NULL constraint failed: "),
        (without_rows, "Cannot store the scoring: its summary counts 1,000 scored rows, but its "),
    ],
)
def test_a_shadow_that_cannot_be_stored_fails_no_night(
    engine: Engine,
    source: Path,
    challenger: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    spoil: Callable[[pl.DataFrame], pl.DataFrame],
    says: str,
) -> None:
    def spoiled(*arguments: Any) -> Any:  # noqa: ANN401 - the stage's own
        made = shade(*arguments)
        (part,) = made.scored.parts
        scores = pl.read_parquet(arguments[0].folder / part)
        spoil(scores).write_parquet(tmp_path / "spoiled.parquet")
        scored = made.scored.model_copy(update={"parts": (str(tmp_path / "spoiled.parquet"),)})
        return made.model_copy(update={"scored": scored})

    shade = shadow.score_shadow_task.fn
    monkeypatch.setattr(shadow.score_shadow_task, "fn", spoiled)
    outcome = score(source)
    assert (outcome.status, outcome.exit_code) == ("scored", 0)
    assert of_shadow(outcome).startswith(f"shadow {challenger} did not score: {says}")
    assert "\n" not in of_shadow(outcome), "below it is the statement"
    assert_alone(engine)


def test_a_run_that_is_killed_while_the_shadow_scores_has_stored_its_batch(
    engine: Engine, source: Path, challenger: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(stage, "compare_scores", raising(KeyboardInterrupt()))
        with pytest.raises(KeyboardInterrupt):
            score(source)
    assert_alone(engine)
    assert score(source).status == "known"
    assert_alone(engine)


@pytest.mark.usefixtures("settled")
def test_the_run_of_a_night_whose_shadow_fails_is_completed(
    engine: Engine,
    source: Path,
    challenger: str,
    noctule: "Callable[..., Ended]",
    server: "Server",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    error = pl.exceptions.PanicException("capacity overflow")
    monkeypatch.setattr(stage, "compare_scores", raising(error))
    ended = noctule("run", source, "--json")
    assert (ended.code, ended.err) == (0, "")
    (file,) = json.loads(ended.out)["files"]
    note = f"shadow {challenger} did not score: PanicException: capacity overflow"
    assert note in file["advisories"]
    run = server.latest("batch")
    assert run["state"]["type"] == "COMPLETED"
    assert note in server.artifacts(run["id"])["batch"]["data"]
    assert_alone(engine)


@pytest.mark.usefixtures("settled")
def test_a_shadow_that_nobody_knows_is_told_of_once_before_the_night_and_of_each_file(
    engine: Engine,
    source: Path,
    noctule: "Callable[..., Ended]",
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NOCTULE_SHADOW", "nsl_kdd-0")
    ended = noctule("run", source)
    why = "Cannot load model nsl_kdd-0: the database does not know it. `noctule models` lists"
    assert ended.code == 0
    assert ended.err.startswith(f"noctule: no shadow will score (NOCTULE_SHADOW): {why}")
    assert len(ended.err.splitlines()) == 1
    assert f"{source.name}: shadow nsl_kdd-0 did not score: {why}" in ended.out
    assert_alone(engine)
