"""Retraining: a worse, a flattering and a failing challenger are refused, a better one promoted."""

import getpass
import gzip
import json
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from expectations.errors import TrainingDataError
from flows import retrain
from flows.settings import Settings
from storage.database import connect
from storage.queries import batch_rows, decision_rows, history_rows, shadow_rows
from tasks.retraining import challengers as challenge
from tasks.retraining.labelled_batches import RetrainingRows
from tasks.simulation.simulate import simulate_night
from tasks.task import task
from tasks.training.options import TrainingOptions
from tests.support.killed_fits import fit_or_die

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.prefect_servers import Server

FLATTERING, WORSE = "random_forest+pca_error", "decision_tree+pca_error"
FAILING, BETTER = "adaboost+mahalanobis", "lightgbm+mahalanobis"


@pytest.fixture
def weak(
    home: Path,
    noctule: "Callable[..., Ended]",
    settled: None,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    """Make a weak model champion, with a labelled night and a file in the training folder."""
    assert settled is None
    monkeypatch.setattr(challenge, "_fit", fit_or_die)
    (home / "training").mkdir()
    shutil.move(home / "labelled.csv", home / "training" / "labelled.csv")
    asked = ("--classifier", "logistic_regression", "--one-class", "mahalanobis", "--json")
    told = json.loads(noctule("train", home / "training" / "labelled.csv", *asked).out)
    assert noctule("promote", told["model_version"], "--reason", "for the test").code == 0
    night = home / "night-2026-11-09.csv"
    simulate_night(night, rows=2_000, seed=7, night=date(2026, 11, 9), labelled=True)
    assert noctule("run", night).code == 0
    version: str = told["model_version"]
    return version


def spoil_training(home: Path) -> None:
    """Put files that cannot be used beside the one that can."""
    folder = home / "training"
    text = (folder / "labelled.csv").read_bytes()
    (folder / "cut.csv.gz").write_bytes(gzip.compress(text)[:-100])
    (folder / "other.csv").write_text("a,b\n1,2\n")
    (folder / "unclear.csv").write_bytes(text.replace(b",normal,", b",7,", 1))


@pytest.fixture
def stored(home: Path) -> Iterator[Callable[[Callable[..., Any]], Any]]:
    """Ask the home's database."""
    engine = connect(None, home)
    yield lambda ask, **asked: ask(engine, **asked)
    engine.dispose()


def test_what_is_better_is_promoted_and_nothing_else(  # noqa: PLR0915 - one story, dear to set up
    weak: str,
    home: Path,
    noctule: "Callable[..., Ended]",
    server: "Server",
    stored: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    spoil_training(home)
    monkeypatch.setenv("NOCTULE_CHALLENGERS", f"{FLATTERING},{WORSE},{FAILING}")
    ended = noctule("retrain", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["champion_now"] == told["champion_before"] == weak
    assert told["message"].startswith(f"{weak} stays champion")
    assert told["message"].endswith("1 fit failed")
    assert (told["rows_fit"], told["judged_nights"]) == (6_000, ["2026-11-09"])
    cut, other, unclear = told["notes"]
    assert "cut.csv.gz: its compressed content is cut short" in cut
    assert "other.csv: no contract knows it" in other
    assert unclear.startswith("Cannot retrain on unclear.csv: unclear labels in 1 row")
    assert told["rows_judged"] + told["rows_seen"] == 2_000
    decided = {one["recipe"]: one for one in told["decisions"]}
    own = "logistic_regression+mahalanobis"
    assert {name: one["decision"] for name, one in decided.items()} == {
        own: "refused", FLATTERING: "refused", WORSE: "refused", FAILING: "failed",
    }  # fmt: skip
    assert decided[own]["reason"] == "the same rows and recipe give the champion again"
    assert "its process was killed" in decided[FAILING]["reason"]
    split, held_out = (
        next(one for one in decided[FLATTERING]["verdict"]["comparisons"] if one["source"] == name)
        for name in ("random_split", "held_out_families")
    )
    assert split["gain"]["low"] > 0.002, "it looks better"
    assert held_out["gain"]["low"] < 0.002, "and is not"

    rows = stored(decision_rows)
    assert {(one["recipe"], one["decision"]) for one in rows} == {
        (name, one["decision"]) for name, one in decided.items()
    }
    assert all(one["champion"] == weak for one in rows)
    (evidence,) = [one["evidence"] for one in rows if one["recipe"] == WORSE]
    assert {one["source"] for one in evidence["comparisons"]} == {
        "held_out_families", "random_split", "labelled_batches",
    }  # fmt: skip
    assert stored(history_rows)[0]["model_version"] == weak

    bad = decided[WORSE]["model_version"]
    assert noctule("promote", bad, "--reason", "a mistake").code == 0
    monkeypatch.setenv("NOCTULE_CHALLENGERS", BETTER)
    told = json.loads(noctule("retrain", "--json").out)
    (better,) = [one for one in told["decisions"] if one["recipe"] == BETTER]
    assert better["decision"] == "promoted", better["reason"]
    assert told["champion_now"] == better["model_version"]
    change = stored(history_rows)[0]
    assert (change["model_version"], change["previous_model_version"]) == (
        better["model_version"], bad,
    )  # fmt: skip
    assert (change["promoted_by"], change["reason"]) == ("noctule retrain", better["reason"])
    run = server.latest("retrain")
    assert run["state"]["message"] == told["message"]
    artifact = server.artifacts(run["id"])["retraining"]
    assert artifact["data"].startswith("# Retraining\n")
    assert f"| {BETTER} | {better['model_version']} | **promoted** |" in artifact["data"]
    assert "- gain: passed, it finds more on" in artifact["data"]

    monkeypatch.setenv("NOCTULE_SHADOW", better["model_version"])
    assert noctule("rollback", "--reason", "to see").out == f"{bad} scores again from now on\n"
    assert stored(history_rows)[0]["kind"] == "rollback"

    night = home / "night-2026-11-10.csv"
    simulate_night(night, rows=1_500, seed=8, night=date(2026, 11, 10), labelled=True)
    ended = noctule("run", night)
    assert ended.code == 0, ended.err
    assert f"shadow {better['model_version']} flagged" in ended.out
    shown = json.loads(server.artifacts(server.latest("nightly")["id"])["champions"]["data"])
    assert [(one["kind"], one["model_version"], one["promoted_by"]) for one in shown[:3]] == [
        ("rollback", bad, getpass.getuser()),
        ("promote", better["model_version"], "noctule retrain"),
        ("promote", bad, getpass.getuser()),
    ]
    assert [one["reason"] for one in shown[:3]] == ["to see", better["reason"], "a mistake"]
    assert shown[0]["live_until"] is None
    (compared,) = stored(shadow_rows)
    assert (compared["model_version"], compared["shadow_version"]) == (
        bad, better["model_version"],
    )  # fmt: skip
    assert compared["recall_of_shadow"] > compared["recall"]
    live = stored(batch_rows)[0]
    assert (live["model_version"], live["rows_flagged"]) == (bad, compared["rows_flagged"])
    assert live["rows_labelled_normal"] + live["rows_labelled_attack"] == 1_500

    weights = home / "models" / better["model_version"] / "classifier.txt"
    weights.write_text(weights.read_text().replace("tree", "bush", 1))
    simulate_night(night, rows=1_500, seed=9, night=date(2026, 11, 10), labelled=True)
    ended = noctule("run", night)
    assert ended.code == 0, "a shadow that is damaged fails no night"
    assert f"shadow {better['model_version']} did not score: Refused model" in ended.out
    assert noctule("thresholds").code == noctule("shadow", "--csv").code == 0
    shown = noctule("thresholds", "--json").out
    preview = json.loads(shown)
    assert preview["model_version"] == bad
    (default,) = [one for one in preview["settings"] if one["setting"] == "default"]
    its_own = [one for one in stored(batch_rows) if one["model_version"] == bad]
    flagged = {"2026-11-10": sum(one["rows_flagged"] for one in its_own)}
    assert default["alerts"] == flagged
    assert 0 <= default["false_positive_rate"] < 0.1


@pytest.mark.usefixtures("settled")
def test_without_anything_labelled_the_champion_stays(
    home: Path, noctule: "Callable[..., Ended]", stored: Callable[..., Any]
) -> None:
    before = stored(history_rows)
    ended = noctule("retrain")
    assert ended.code == 3
    assert "Cannot retrain: no labelled connections could be found to fit on" in ended.err
    assert "labelled.csv is no longer complete in the lake" in ended.err
    assert stored(history_rows) == before
    assert stored(decision_rows) == []


@pytest.mark.usefixtures("settled")
def test_a_damaged_champion_is_refused_before_anything_is_fitted(
    home: Path, noctule: "Callable[..., Ended]", stored: Callable[..., Any]
) -> None:
    (champion,) = (home / "models").iterdir()
    (champion / "tails.json").write_text("{}")
    ended = noctule("retrain")
    assert "Refused model" in ended.err
    assert ended.code == 2
    assert len(stored(history_rows)) == 1


@pytest.mark.usefixtures("settled")
def test_traffic_without_labels_is_trained_on_as_normal_and_that_is_said(
    home: Path, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    file = home / "night-2026-11-11.csv"
    simulate_night(file, rows=1_200, seed=5, night=date(2026, 11, 11))
    ended = noctule("train", file, "--unlabelled", "--one-class", "mahalanobis", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["fit"]["classes"] == {"unlabelled": 1_200}
    assert told["fit"]["metrics"]["known"] is None
    assert "all 1,200 were treated as normal" in told["advisories"][0]
    version = told["model_version"]
    assert noctule("promote", version, "--reason", "no labels at all").code == 0
    monkeypatch.setenv("NOCTULE_OPERATING_POINT", "low_alert")
    monkeypatch.setenv("NOCTULE_ALERT_BUDGET", "20")
    night = home / "night-2026-11-12.csv"
    simulate_night(night, rows=1_200, seed=6, night=date(2026, 11, 12), labelled=True)
    (outcome,) = json.loads(noctule("run", night, "--json").out)["files"]
    assert outcome["rows_scored"] == 1_200
    ended = noctule("replay-check", outcome["batch_id"])
    assert "every score and flag equals the stored one, bit for bit" in ended.out
    flagged = json.loads(noctule("flagged", "--json").out)
    assert {one["attack_category"] for one in flagged} <= {None}
    evaluated = json.loads(noctule("evaluate", night, "--model", version, "--json").out)
    assert set(evaluated["operating_points"]) == {"default", "low_alert"}
    assert evaluated["calibration"] is None
    assert noctule("models").code == 0
    assert noctule("db", "check").code == 0


@pytest.mark.usefixtures("prefect_server")
def test_the_next_fit_begins_as_soon_as_one_ends_and_no_more_go_on_at_once_than_are_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    going: set[str] = set()
    most_at_once: list[int] = []
    has_begun = {name: threading.Event() for name in "abcd"}

    def fit_challenger(
        recipe: str, parts: object, contract: str, options: object, out: Path, line: object
    ) -> None:
        assert out.is_dir()
        going.add(recipe)
        most_at_once.append(len(going))
        has_begun[recipe].set()
        if recipe == "a":
            assert has_begun["d"].wait(30), "the first goes on until the last has begun"
        going.discard(recipe)
        raise TrainingDataError(recipe)

    monkeypatch.setattr(retrain, "fit_challenger_task", task(fit_challenger, name="fit"))
    monkeypatch.setattr(retrain, "count_cores", lambda: 8)
    gathered = RetrainingRows(
        fit_parts=(), sources={}, test_parts=(), test_nights=(), rows_fit=0, rows_test=0, notes=()
    )
    recipes = dict.fromkeys("abcd", TrainingOptions())
    challenged = retrain.fit_all(Settings(retrain_jobs=2), "nsl_kdd", recipes, gathered, tmp_path)
    assert [(one.recipe, one.failure) for one in challenged] == [(name, name) for name in "abcd"]
    assert max(most_at_once) == 2


@pytest.mark.parametrize(
    ("jobs", "threads", "cores", "at_once"),
    [(2, 1, 8, 2), (4, 1, 3, 3), (4, 4, 8, 2), (2, 4, 2, 1)],
)
def test_as_many_fits_go_on_at_once_as_are_asked_for_and_there_are_cores_for(
    jobs: int, threads: int, cores: int, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(retrain, "count_cores", lambda: cores)
    assert retrain.count_at_once(Settings(retrain_jobs=jobs, threads=threads)) == at_once


def test_the_cores_are_those_that_this_process_may_use() -> None:
    assert retrain.count_cores() == len(os.sched_getaffinity(0))
