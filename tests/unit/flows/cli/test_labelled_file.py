"""A labelled file is refused as early as its fault can be seen."""

from datetime import date
from pathlib import Path

import polars as pl
import pytest

from expectations.errors import TrainingDataError, UsageError
from flows.cli.labelled_file import accept_labelled, plan_labelled
from flows.cli.study import run_study
from flows.settings import load_settings
from tasks.intake.label_words import LabelReading
from tasks.simulation.simulate import simulate_night

NOTHING_ASKED = LabelReading()


@pytest.fixture
def labelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Simulate a labelled file that may be parsed, and make its validation an error."""

    def refuse(*_: object) -> None:
        pytest.fail("the rows were validated")

    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "home"))
    monkeypatch.setattr("tasks.validation.accept.validate_batch", refuse)
    file = tmp_path / "labelled.csv"
    simulate_night(file, rows=1_000, seed=3, night=date(2026, 11, 9), labelled=True)
    return file


def test_an_unclear_label_after_the_first_rows_is_refused_before_validation(
    tmp_path: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.intake.first_rows.FIRST_RECORDS", 100)
    asked = LabelReading(column="class", normal=("normal",))
    unclear = pl.read_csv(labelled).with_columns(
        pl.when(pl.int_range(pl.len()) < 999).then("class").otherwise(pl.lit("-")).alias("class")
    )
    unclear.write_parquet(file := tmp_path / "labelled.parquet")
    job = plan_labelled(load_settings(), file, tmp_path / "work", asked, "evaluate")
    with pytest.raises(TrainingDataError, match="unclear labels in 1 row"):
        accept_labelled(job, "evaluate")


def test_a_folder_that_cannot_be_written_is_refused_before_the_file_is_read_whole(
    tmp_path: Path, labelled: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.validation.accept.ingest_file", lambda *_: pytest.fail("was read"))
    in_the_way = tmp_path / "report"
    in_the_way.write_text("")
    with pytest.raises(UsageError, match="it is a file"):
        run_study(load_settings(), labelled, in_the_way, None, 1, NOTHING_ASKED)
