"""``noctule replay-check``: a stored batch is scored again, and every score must be what it was."""

import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pytest
import sqlalchemy as sa

from storage.database import connect, write
from storage.schema import prediction
from tasks.simulation.simulate import simulate_night
from tests.support.trained_homes import move_to_postgres

if TYPE_CHECKING:
    from tests.flows.conftest import Ended, Kept

pytestmark = pytest.mark.usefixtures("pandas_validation")


Batch = dict[str, Any]


def score(noctule: "Callable[..., Ended]", home: Path, **options: Any) -> Batch:  # noqa: ANN401 - the simulation's
    """Run a night in parts of a thousand rows."""
    night = home / "night-2026-11-09.csv"
    simulate_night(night, rows=2_500, seed=3, night=date(2026, 11, 9), **options)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("NOCTULE_CHUNK_ROWS", "1000")
        ended = noctule("run", night, "--json")
    assert ended.code == 0, ended.err
    (file,) = json.loads(ended.out)["files"]
    assert isinstance(file, dict)
    return file


@pytest.fixture
def batch(kept: "Kept", home: Path, noctule: "Callable[..., Ended]", settled: None) -> Batch:
    """Score a night in which some lines are malformed; its home is the test's."""
    assert settled is None
    return kept.make("bad", home, lambda: score(noctule, home, scenario="bad_rows"))


@pytest.fixture
def sound(kept: "Kept", home: Path, noctule: "Callable[..., Ended]", settled: None) -> Batch:
    """Score a labelled night, all of which is accepted as it was read."""
    assert settled is None
    return kept.make("sound", home, lambda: score(noctule, home, labelled=True))


@pytest.fixture
def batch_on_postgres(
    home: Path,
    noctule: "Callable[..., Ended]",
    settled: None,
    postgres_url: str,
    monkeypatch: pytest.MonkeyPatch,
) -> Batch:
    assert settled is None
    monkeypatch.setenv("NOCTULE_DATABASE_URL", postgres_url)
    move_to_postgres(home, postgres_url).dispose()
    return score(noctule, home, scenario="bad_rows")


@pytest.mark.parametrize("made", ["batch", "batch_on_postgres"])
def test_every_score_is_repeated_bit_for_bit(
    noctule: "Callable[..., Ended]", request: pytest.FixtureRequest, made: str
) -> None:
    batch = request.getfixturevalue(made)
    found = noctule("replay-check", batch["batch_id"], "--json")
    assert found.code == 0, found.err
    told = json.loads(found.out)
    assert (told["is_exact"], told["rows_differing"], told["differences"]) == (True, 0, [])
    assert told["rows"] == batch["rows_scored"]
    shown = noctule("replay-check", batch["batch_id"][:10])
    assert shown.code == 0
    assert shown.out == (
        f"batch {batch['batch_id'][:12]}, {batch['rows_scored']:,} rows by"
        f" {told['model_version']}: every score and flag equals the stored one, bit for bit\n"
    )


def test_a_score_that_differs_in_its_last_bit_is_found(
    home: Path, noctule: "Callable[..., Ended]", batch: Batch
) -> None:
    engine = connect(None, home)
    numbers = sa.select(prediction.c.row_number).order_by(prediction.c.row_number)
    with write(engine) as connection:
        kept = connection.scalars(numbers).all()
        first, moved, gone = kept[0], kept[-2], kept[-1]
        score = connection.scalar(
            sa.select(prediction.c.anomaly_score).where(prediction.c.row_number == first)
        )
        assert score is not None
        of_first = sa.update(prediction).where(prediction.c.row_number == first)
        connection.execute(of_first.values(anomaly_score=score * (1 + 2**-52)))
        flips = sa.update(prediction).where(prediction.c.row_number == kept[1])
        connection.execute(flips.values(is_flagged=~prediction.c.is_flagged))
        connection.execute(sa.delete(prediction).where(prediction.c.row_number == gone))
        of_moved = sa.update(prediction).where(prediction.c.row_number == moved)
        connection.execute(of_moved.values(row_number=1_000_000))
    engine.dispose()
    found = noctule("replay-check", batch["batch_id"], "--json")
    assert found.code == 2
    told = json.loads(found.out)
    assert (told["is_exact"], told["rows_differing"]) == (False, 5)
    assert (told["rows_not_stored"], told["rows_not_accepted"]) == (2, 1)
    differences = [(one["row_number"], one["column"]) for one in told["differences"]]
    assert differences == [
        (first, "anomaly_score"),
        (kept[1], "is_flagged"),
        (moved, "classifier_score"),
        (gone, "classifier_score"),
    ]
    assert told["differences"][2]["stored"] is None
    assert 0 < told["largest_difference"] < 1e-12
    shown = noctule("replay-check", batch["batch_id"])
    assert shown.code == 2
    lacking = "2 rows are not stored; 1 stored row is missing from the lake"
    assert re.search(rf": 2 rows differ, by up to \S+; {lacking}$", shown.out.strip())


def test_what_cannot_be_checked_is_refused_in_words(
    home: Path, noctule: "Callable[..., Ended]", batch: Batch
) -> None:
    unknown = noctule("replay-check", "beef")
    assert unknown.code == 2
    assert "No batch has an id that begins with 'beef'" in unknown.err
    empty = home / "empty.csv"
    empty.write_bytes((home / "night-2026-11-09.csv").read_bytes().split(b"\n")[0] + b"\n")
    refused = json.loads(noctule("run", empty, "--json").out)["files"][0]
    unscored = noctule("replay-check", refused["batch_id"])
    assert unscored.code == 2
    assert "it has no scores" in unscored.err
    folder = home / "lake" / "nsl_kdd" / batch["batch_id"] / "validate"
    part = next(folder.glob("*.parquet"))
    part.write_bytes(part.read_bytes()[:-1] + b"x")
    altered = noctule("replay-check", batch["batch_id"])
    assert altered.code == 2
    assert f"{part.name} was altered" in altered.err
    shutil.rmtree(folder)
    gone = noctule("replay-check", batch["batch_id"])
    assert gone.code == 2
    assert "it is missing. Restore the batch's folder from a backup" in gone.err


def lose(folder: Path) -> str:
    shutil.rmtree(folder)
    return f"Cannot read the files of the stage ingest in {folder}: it is missing."


def shorten(folder: Path) -> str:
    part = folder / "connections-00001.parquet"
    pl.read_parquet(part).head(100).write_parquet(part)
    return f"Cannot read the files of the stage ingest in {folder}: {part.name} was altered since"


@pytest.mark.parametrize("damage", [lose, shorten])
def test_a_batch_whose_parsed_rows_are_damaged_is_refused_by_all_who_read_them(
    home: Path, noctule: "Callable[..., Ended]", sound: Batch, damage: Callable[[Path], str]
) -> None:
    rates = json.loads(noctule("thresholds", "--json").out)["settings"]
    assert all(one["false_positive_rate"] is not None for one in rates)
    folder = home / "lake" / "nsl_kdd" / sound["batch_id"] / "ingest"
    said = damage(folder)

    checked = noctule("replay-check", sound["batch_id"])
    assert checked.code == 2
    assert checked.err.startswith(f"noctule: {said}")
    assert "Restore the batch's folder from a backup" in checked.err

    preview = noctule("thresholds", "--json")
    assert preview.code == 0
    assert preview.err.startswith(f"labels not counted: {said}")
    without = json.loads(preview.out)["settings"]
    assert [one["alerts"] for one in without] == [one["alerts"] for one in rates]
    assert {one["false_positive_rate"] for one in without} == {None}

    found = noctule("db", "check", "--json")
    assert found.code == 2
    (error,) = json.loads(found.out)["findings"]
    assert (error["severity"], error["subject"]) == ("error", str(folder))

    shutil.rmtree(folder.parent)  # as a user may do on purpose
    preview = noctule("thresholds")
    assert (preview.code, preview.err) == (0, "")
    assert noctule("db", "check").code == 0
