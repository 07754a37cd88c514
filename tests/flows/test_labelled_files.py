"""Which labelled files are refused, and which notes are printed about the others."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

from expectations.errors import UsageError
from flows.retrain import accept_files
from flows.settings import load_settings
from flows.training_files import list_labelled
from storage.database import connect
from storage.queries import model_rows
from tasks.intake.label_words import LabelReading
from tasks.simulation.simulate import simulate_night
from tasks.validation import accept

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

pytestmark = pytest.mark.usefixtures("pandas_validation")


@pytest.fixture
def frame(tmp_path: Path) -> pl.DataFrame:
    """A night of labelled traffic."""
    simulate_night(tmp_path / "n.csv", rows=1_200, seed=4, night=date(2026, 11, 1), labelled=True)
    return pl.read_csv(tmp_path / "n.csv")


@pytest.mark.usefixtures("prefect_server", "settled")
def test_labels_that_are_not_clear_are_refused_by_training_and_evaluation(
    home: Path, frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "capital.csv"
    frame.with_columns(pl.col("class").replace("normal", "benign")).write_csv(file)
    rows = (frame["class"] == "normal").sum()
    for command in ("train", "evaluate"):
        ended = noctule(command, file)
        assert ended.code == 3
        assert command == "evaluate" or "Cannot train on capital.csv: " in ended.err
        assert f"unclear labels in {rows:,} rows: class 'benign'" in ended.err
    engine = connect(None, home)
    assert len(model_rows(engine)) == 1
    engine.dispose()


@pytest.mark.usefixtures("prefect_server", "home")
def test_the_one_file_without_labels_is_named(
    frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    frame.write_csv(tmp_path / "labelled.csv")
    frame.drop("class", "attack").write_csv(tmp_path / "bare.csv")
    ended = noctule("train", tmp_path / "labelled.csv", tmp_path / "bare.csv")
    assert ended.code == 3
    assert "Cannot train on bare.csv: it has no column 'class' or 'attack'" in ended.err


def test_an_evaluation_on_what_the_model_was_trained_on_says_so(
    home: Path, noctule: "Callable[..., Ended]"
) -> None:
    assert "was trained on these rows: its figures are too good" in (
        noctule("evaluate", home / "labelled.csv").out
    )


@pytest.mark.usefixtures("prefect_server", "quick", "home")
def test_what_is_unusual_in_a_labelled_file_is_reported_by_training_and_evaluation(
    frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "new.csv"
    is_new = pl.col("attack") == frame.filter(pl.col("class") == "anomaly")["attack"][0]
    frame.with_columns(
        attack=pl.when(is_new).then(pl.lit("unheard_of")).otherwise("attack")
    ).write_csv(file)
    said = f"attack: {frame.select(is_new.sum()).item()} rows, such as 'unheard_of'; expected"
    trained = noctule("train", file)
    assert trained.code == 0
    assert f"reported: new.csv: {said}" in trained.out
    shown, told = noctule("evaluate", file), json.loads(noctule("evaluate", file, "--json").out)
    assert f"reported: {said}" in shown.out
    assert any(advisory.startswith(said) for advisory in told["advisories"])
    assert "unheard_of" in told["recall_by_attack"]


@pytest.mark.usefixtures("prefect_server", "quick")
def test_labels_are_read_from_the_column_and_in_the_words_that_the_user_names(
    home: Path, frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "outcome.csv"
    outcome = (pl.col("class") == "anomaly").cast(pl.Int64).alias("Outcome")
    frame.with_columns(outcome).drop("class", "attack").write_csv(file)
    refused = noctule("train", file)
    assert refused.code == 3
    assert "Column 'Outcome' looks like a label: it holds '0' in" in refused.err
    pair = noctule("train", file, "--label", "outcome")
    assert pair.code == 3
    assert "Say with --normal VALUE which of them means normal" in pair.err
    asked = ("--label", "outcome", "--normal", "0", "--json")
    told = json.loads(noctule("train", file, *asked).out)
    rows = (frame["class"] == "anomaly").sum()
    assert told["fit"]["classes"] == {"normal": 1_200 - rows, "attack": rows}
    judged = json.loads(noctule("evaluate", file, *asked).out)
    assert (judged["rows"], judged["rows_unlabelled"]) == (1_200, 0)
    assert any(f"{rows} rows attack" in one for one in judged["advisories"])
    engine = connect(None, home)
    (version,) = (
        one for one in model_rows(engine) if one["model_version"] == told["model_version"]
    )
    engine.dispose()
    (read,) = version["training"]["labels"].values()
    assert read == {"column": "Outcome", "normal": ["0"]}


@pytest.mark.usefixtures("prefect_server", "quick", "home")
def test_attack_names_in_the_label_column_give_the_model_that_the_attack_column_gives(
    frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    frame.drop("class").write_csv(tmp_path / "attack.csv")
    frame.drop("class").rename({"attack": "class"}).write_csv(tmp_path / "class.csv")
    by_attack, by_label = (
        json.loads(noctule("train", tmp_path / name, "--json").out)
        for name in ("attack.csv", "class.csv")
    )
    assert by_attack["model_version"] == by_label["model_version"]
    assert not any("class" in advisory for advisory in by_label["advisories"])


@pytest.mark.usefixtures("home")
def test_every_connection_is_taken_for_normal_only_if_that_is_asked_for(
    frame: pl.DataFrame, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "quiet.csv"
    frame.drop("class", "attack").write_csv(file)
    refused = noctule("train", file)
    assert refused.code == 3
    assert "add --unlabelled" in refused.err
    frame.write_csv(file)
    labelled = noctule("train", file, "--unlabelled")
    assert labelled.code == 3
    assert "with --unlabelled: it says by 'class' and 'attack' which of its" in labelled.err
    assert noctule("train", file, "--unlabelled", "--normal", "x").code == 2
    assert noctule("train", file, "--label", "nothing").code == 2


def test_a_retraining_takes_files_of_the_training_folder_by_the_same_rules(
    home: Path, frame: pl.DataFrame, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_SETTLE_S", "0")
    for stage in ("ingest", "validate"):
        monkeypatch.setattr(f"flows.retrain.{stage}_task", getattr(accept, stage))
    folder = home / "training"
    folder.mkdir()
    frame.drop("attack").rename({"class": "Label"}).write_csv(folder / "a.csv")
    frame.head(900).write_csv(folder / "b.csv")
    (folder / "c.csv.part").touch()

    def take(asked: LabelReading) -> tuple[dict[str, str], list[str]]:
        settings = load_settings()
        return accept_files(settings, "nsl_kdd", list_labelled(settings, None), asked)

    files, refused = take(LabelReading())
    assert list(files.values()) == ["b.csv"]
    left, unnamed = refused
    assert left == "left out: c.csv.part (its name says it is temporary)"
    assert unnamed.startswith("Cannot retrain on a.csv: it has no column 'class' or 'attack'")
    assert "add --label Label" in unnamed
    assert "--unlabelled" not in unnamed
    files, refused = take(LabelReading(column="label"))
    assert sorted(files.values()) == ["a.csv", "b.csv"]
    assert refused == [left]
    with pytest.raises(UsageError, match="no file has such a column"):
        take(LabelReading(column="verdict"))
