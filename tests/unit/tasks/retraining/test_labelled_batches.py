"""The latest labelled rows are found first, by whole parts up to a limit; test nights apart."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import polars as pl
import pytest
from pydantic import BaseModel
from sqlalchemy import Engine

from expectations.errors import TrainingDataError
from storage.batches import commit_batch
from storage.claims import claim
from storage.lake import run_stage
from storage.model_store import register_model
from storage.scorings import LabelledRows
from tasks.retraining import labelled_batches as gather
from tasks.retraining.labelled_batches import RetrainingRows, find_retraining_rows
from tests.unit.storage.conftest import deliver, example_result

DATABASES = ("sqlite",)
"""Other tests compare the databases."""

NOW = datetime(2026, 11, 21, 6, tzinfo=UTC)
LABELS = ["normal", "anomaly", "normal", "anomaly"]
"""Of a part with four connections."""

Night = Callable[..., str]
Gather = Callable[..., RetrainingRows]


class Rows(BaseModel):
    """The fields of validation's summary that say where the rows are."""

    rows_accepted: int = 0
    rows_quarantined: int = 0
    parts: tuple[dict[str, object], ...]
    quarantine: None = None
    is_rejected: bool = False
    rejection: None = None
    results: tuple[()] = ()
    advisories: tuple[()] = ()
    report: str = ""


def put(lake: Path, batch_id: str, parts: Sequence[Sequence[str]]) -> None:
    """Write a batch into a lake as ingest and validation do, a part for each list of labels."""

    def ingest(out: Path) -> Rows:
        for number, labels in enumerate(parts):
            pl.DataFrame({"class": labels}).write_parquet(out / f"{number}.parquet")
        return Rows(parts=())

    def validate(_: Path) -> Rows:
        return Rows(
            parts=tuple(
                {"path": f"ingest/{number}.parquet", "rows": len(labels)}
                for number, labels in enumerate(parts)
            )
        )

    run_stage(lake / "nsl_kdd" / batch_id, "ingest", {}, Rows, ingest)
    run_stage(lake / "nsl_kdd" / batch_id, "validate", {}, Rows, validate)


@pytest.fixture
def champion(engine: Engine, tmp_path: Path) -> str:
    """Register a model that was fitted on the night of the 1st."""
    folder = tmp_path / "fitted"
    folder.mkdir()
    (folder / "model.txt").write_text("trees")
    return register_model(
        engine,
        tmp_path / "models",
        folder,
        contract="nsl_kdd",
        content_hash="a" * 64,
        rows_trained=4,
        training={"sources": {"1" * 64: "night-1.csv"}},
        metrics={},
        registered_at=NOW,
        registered_by="trainer",
    ).version


@pytest.fixture
def night(engine: Engine, champion: str, tmp_path: Path) -> Night:
    """Score a labelled batch of a night of November, known by a digit; return its id."""

    def score(
        digit: str, day: int | None = None, parts: Sequence[Sequence[str]] = (LABELS,)
    ) -> str:
        batch_id = digit * 64
        day = day or int(digit)
        deliver(
            engine,
            batch_id,
            batch_date=date(2026, 11, day),
            source=Path(f"/inbox/night-{digit}.csv"),
        )
        labelled = LabelledRows(
            rows_labelled_normal=1,
            rows_labelled_attack=1,
            rows_flagged_normal=0,
            rows_flagged_attack=1,
        )
        with claim(engine, tmp_path / "claims" / batch_id, batch_id) as held:
            result = example_result(tmp_path, model_version=champion, labelled=labelled)
            commit_batch(engine, held, result)
        put(tmp_path / "lake", batch_id, parts)
        return batch_id

    return score


@pytest.fixture
def gathered(engine: Engine, champion: str, tmp_path: Path) -> Gather:
    """Find the rows of a retraining in two lakes."""

    def ask(
        files: dict[str, str] | None = None,
        test_nights: int = 1,
        max_rows: int = 1_000,
        refused: Sequence[str] = (),
    ) -> RetrainingRows:
        return find_retraining_rows(
            engine,
            [tmp_path / "training", tmp_path / "lake"],
            "nsl_kdd",
            champion,
            files or {},
            test_nights=test_nights,
            max_rows=max_rows,
            refused=refused,
        )

    return ask


def names(parts: Sequence[Path]) -> list[str]:
    """Name parts by the digit of their batch and their number."""
    return [f"{part.parts[-3][0]}-{part.stem}" for part in parts]


def test_the_latest_nights_are_test_rows_and_all_others_are_fitted_on(
    night: Night, gathered: Gather, tmp_path: Path
) -> None:
    for digit in "1234":
        night(digit)
    night("5", day=4)
    put(tmp_path / "training", "f" * 64, [LABELS])
    found = gathered({"f" * 64: "labelled.csv"}, test_nights=2)
    assert found.test_nights == (date(2026, 11, 4), date(2026, 11, 3))
    assert sorted(names(found.test_parts)) == ["3-0", "4-0", "5-0"]
    assert names(found.fit_parts) == ["2-0", "1-0", "f-0"]
    assert (found.rows_fit, found.rows_test, found.notes) == (12, 12, ())
    assert found.sources == {
        "2" * 64: "night-2.csv",
        "1" * 64: "night-1.csv",
        "f" * 64: "labelled.csv",
    }


def test_a_night_that_the_champion_was_fitted_on_gives_no_test_rows(
    night: Night, gathered: Gather
) -> None:
    night("1")
    found = gathered()
    assert (names(found.fit_parts), found.test_parts, found.test_nights) == (["1-0"], (), ())


@pytest.mark.parametrize(
    ("max_rows", "fit", "said"),
    [
        (1_000, ["2-0", "2-1", "2-2", "1-0", "f-0"], ()),
        (20, ["2-0", "2-1", "2-2", "1-0", "f-0"], ()),
        (
            19,
            ["2-0", "2-1", "2-2", "1-0"],
            ("labelled.csv: 4 rows are beyond NOCTULE_RETRAIN_MAX_ROWS",),
        ),
        (
            12,
            ["2-0", "2-1", "2-2"],
            ("2 more files are beyond NOCTULE_RETRAIN_MAX_ROWS",),
        ),
        (
            9,
            ["2-0", "2-1"],
            (
                "night-2.csv: 4 rows are beyond NOCTULE_RETRAIN_MAX_ROWS",
                "2 more files are beyond NOCTULE_RETRAIN_MAX_ROWS",
            ),
        ),
    ],
)
def test_whole_parts_are_taken_up_to_the_limit_and_the_rest_is_noted(
    night: Night,
    gathered: Gather,
    tmp_path: Path,
    max_rows: int,
    fit: list[str],
    said: tuple[str, ...],
) -> None:
    night("1")
    night("2", parts=[LABELS] * 3)
    put(tmp_path / "training", "f" * 64, [LABELS])
    found = gathered({"f" * 64: "labelled.csv"}, test_nights=0, max_rows=max_rows)
    assert names(found.fit_parts) == fit
    assert found.rows_fit == 4 * len(fit) <= max_rows
    assert found.notes == said
    assert [key[0] for key in found.sources] == list(dict.fromkeys(name[0] for name in fit))


def test_the_limit_holds_for_test_rows_and_nights_beyond_it_are_fitted_on(
    night: Night, gathered: Gather
) -> None:
    night("2")
    night("3")
    night("4", parts=[LABELS, LABELS])
    found = gathered(test_nights=2, max_rows=8)
    assert found.test_nights == (date(2026, 11, 4),)
    assert (names(found.test_parts), names(found.fit_parts)) == (["4-0", "4-1"], ["3-0", "2-0"])


def test_files_beyond_the_limit_are_not_read(
    night: Night, gathered: Gather, monkeypatch: pytest.MonkeyPatch
) -> None:
    for digit in "12345":
        night(digit)
    looked_at = []
    read = gather.read_accepted

    def watch(folder: Path, summary: type[BaseModel]) -> BaseModel:
        looked_at.append(folder.name[0])
        return read(folder, summary)

    monkeypatch.setattr(gather, "read_accepted", watch)
    found = gathered(test_nights=0, max_rows=8)
    assert names(found.fit_parts) == ["5-0", "4-0"]
    assert set(looked_at) == {"5", "4"}


def test_a_file_with_parts_above_the_limit_is_left_out_and_the_setting_is_named(
    night: Night, gathered: Gather
) -> None:
    night("1", parts=[LABELS[:3]])
    night("2")
    found = gathered(test_nights=0, max_rows=3)
    assert names(found.fit_parts) == ["1-0"]
    (note,) = found.notes
    assert note == (
        "night-2.csv comes in parts of 4 rows, more than NOCTULE_RETRAIN_MAX_ROWS, 3: set that"
        " higher, or NOCTULE_CHUNK_ROWS lower before such a file is read"
    )
    with pytest.raises(TrainingDataError, match="NOCTULE_CHUNK_ROWS lower"):
        gathered(test_nights=0, max_rows=2)


@pytest.mark.parametrize("damage", ["absent", "damaged"])
def test_an_incomplete_batch_is_noted_and_the_others_are_taken(
    night: Night, gathered: Gather, tmp_path: Path, damage: str
) -> None:
    for digit in "234":
        folder = tmp_path / "lake" / "nsl_kdd" / night(digit)
        if digit != "3":
            (folder if damage == "absent" else folder / "ingest").rename(tmp_path / f"gone-{digit}")
    night("1")
    found = gathered()
    assert found.test_nights == (date(2026, 11, 3),), "the latest usable one"
    assert (names(found.test_parts), names(found.fit_parts)) == (["3-0"], ["1-0"])
    assert found.notes == (
        "night-4.csv is no longer complete in the lake",
        "night-2.csv is no longer complete in the lake",
    )


def test_a_file_with_unclear_labels_stops_no_other(
    night: Night, gathered: Gather, tmp_path: Path
) -> None:
    night("2")
    night("4", parts=[LABELS, [*LABELS[:3], "benign"]])
    night("3")
    put(tmp_path / "training", "f" * 64, [["benign"]])
    found = gathered({"f" * 64: "labelled.csv"})
    assert (names(found.test_parts), names(found.fit_parts)) == (["3-0"], ["2-0"])
    unclear = "is left out: unclear labels in 1 row: class "
    assert found.notes[0].startswith(f"night-4.csv {unclear}'benign' in 1 row.")
    assert found.notes[1].startswith(f"labelled.csv {unclear}'benign' in 1 row.")
    assert not any("nothing was stored" in note for note in found.notes)


def test_where_no_file_can_be_used_the_message_says_why_for_each(
    gathered: Gather, tmp_path: Path
) -> None:
    put(tmp_path / "training", "f" * 64, [["benign"]])
    with pytest.raises(TrainingDataError) as refused:
        gathered({"f" * 64: "labelled.csv"}, refused=["Cannot read other.csv: it is empty."])
    message = str(refused.value)
    assert message.startswith("Cannot retrain: no labelled connections could be found to fit on (")
    for note in ("Cannot read other.csv", "labelled.csv is left out", "night-1.csv is no longer"):
        assert note in message
