"""Training from labelled files to a registered version, and which files are refused."""

import json
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import sqlalchemy as sa
from prefect.states import raise_state_exception

from expectations.errors import UsageError
from flows.cli.serve import warn_without_champion
from flows.settings import load_settings
from flows.train import train
from flows.training_files import list_labelled
from storage.claims import lock_folder
from storage.database import connect
from storage.queries import history_rows, model_rows
from storage.schema import run
from tasks.simulation.simulate import simulate_night

if TYPE_CHECKING:
    from tests.flows.conftest import Ended
    from tests.support.prefect_servers import Server

pytestmark = pytest.mark.usefixtures("pandas_validation")


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """A folder with a night of labelled traffic."""
    folder = tmp_path / "labelled"
    folder.mkdir()
    file = folder / "night.csv"
    simulate_night(file, rows=1_200, seed=4, night=date(2026, 11, 1), labelled=True)
    return folder


@pytest.mark.usefixtures("quick", "home")
def test_a_second_model_is_a_challenger_until_it_is_promoted(
    home: Path,
    labelled: Path,
    prefect_server: str,
    noctule: "Callable[..., Ended]",
    server: "Server",
) -> None:
    ended = noctule("train", labelled / "night.csv", "--select", "forest", "--top-k", 12, "--json")
    assert ended.code == 0
    told = json.loads(ended.out)
    assert told["is_champion"] is False
    assert told["fit"]["rows"] == 1_200
    assert told["fit"]["classes"] == {"normal": 1_200 - told["fit"]["classes"]["attack"],
                                      "attack": told["fit"]["classes"]["attack"]}  # fmt: skip
    engine = connect(None, home)
    version, champion = model_rows(engine)
    (change,) = history_rows(engine)
    with engine.connect() as connection:
        flow_run_id = connection.scalar(sa.select(run.c.flow_run_id).where(run.c.kind == "train"))
    engine.dispose()
    assert version["model_version"] == told["model_version"] != champion["model_version"]
    assert (version["is_champion"], champion["is_champion"]) == (False, True)
    assert change["model_version"] == champion["model_version"]
    assert version["training"]["options"]["selection"] == "forest"
    assert version["training"]["options"]["top_k"] == 12
    assert list(version["training"]["sources"].values()) == ["night.csv"]
    recorded = server.flow_run(flow_run_id)
    assert recorded["state"]["message"] == f"{told['model_version']} is a challenger"
    (summary,) = server.artifacts(flow_run_id).values()
    assert summary["data"].startswith(f"# {told['model_version']}\n")


@pytest.mark.parametrize("selection", [(), ("--select", "none")])
@pytest.mark.parametrize("top_k", [12, 50])
def test_a_number_of_columns_is_refused_where_none_are_selected(
    home: Path, noctule: "Callable[..., Ended]", selection: tuple[str, ...], top_k: int
) -> None:
    ended = noctule("train", home / "labelled.csv", *selection, "--top-k", top_k)
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == (
        f"noctule: Cannot use --top-k {top_k} with --select none: it is the number of columns "
        "that --select forest, rfe, pca or autoencoder gives. Add one of these, or leave out"
        " --top-k\n"
    )


@pytest.mark.usefixtures("home", "prefect_server")
def test_a_scheduled_training_is_refused_likewise() -> None:
    state = train(top_k=12, return_state=True)
    assert state.is_failed()
    with pytest.raises(UsageError, match="top_k=12 and selection='none'"):
        raise_state_exception(state)


@pytest.mark.usefixtures("quick", "prefect_server")
def test_the_same_file_is_the_same_version_again(
    home: Path, noctule: "Callable[..., Ended]"
) -> None:
    engine = connect(None, home)
    (champion,) = model_rows(engine)
    told = json.loads(noctule("train", home / "labelled.csv", "--json").out)
    assert (told["model_version"], told["is_champion"]) == (champion["model_version"], True)
    assert len(model_rows(engine)) == len(history_rows(engine)) == 1
    engine.dispose()


@pytest.mark.usefixtures("settled")
def test_one_file_that_is_refused_stops_the_training(
    home: Path, labelled: Path, noctule: "Callable[..., Ended]"
) -> None:
    (labelled / "empty.csv").touch()
    ended = noctule("train", labelled)
    assert ended.code == 3
    assert f"Cannot read {labelled / 'empty.csv'}: it is empty" in ended.err
    assert train([labelled], return_state=True).is_failed()
    engine = connect(None, home)
    assert len(model_rows(engine)) == 1, "nothing was trained on the others without it"
    with engine.connect() as connection:
        (state,) = connection.scalars(sa.select(run.c.state).where(run.c.kind == "train"))
    engine.dispose()
    assert state == "failed"


@pytest.mark.usefixtures("settled")
def test_a_folder_without_files_is_a_mistake_of_the_user(
    tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    (tmp_path / "nothing").mkdir()
    ended = noctule("train", tmp_path / "nothing")
    assert ended.code == 2
    assert str(tmp_path / "nothing") in ended.err


@pytest.mark.usefixtures("settled")
def test_a_training_from_the_ui_without_files_fails_and_says_where_they_belong(home: Path) -> None:
    state = train(return_state=True)
    assert state.is_failed()
    assert f"there is no file in {home / 'training'}" in (state.message or "")


@pytest.mark.usefixtures("home", "prefect_server")
def test_what_is_left_for_next_time_is_named_with_its_reason(
    home: Path, labelled: Path, noctule: "Callable[..., Ended]"
) -> None:
    (labelled / "more.csv.part").touch()
    said = (
        f"no file in {labelled} can be used now; left out: more.csv.part (its name says it is"
        " temporary), night.csv (modified less than 60 s ago: it may still be growing)"
    )
    ended = noctule("train", labelled)
    assert (ended.code, ended.out) == (2, "")
    assert said in ended.err
    state = train([labelled], return_state=True)
    assert state.is_failed()
    assert said in (state.message or "")


@pytest.mark.parametrize("place", ["nowhere", "file"])
def test_a_training_folder_that_is_none_is_a_mistake_of_the_user(
    home: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    (home / "file").touch()
    monkeypatch.setenv("NOCTULE_TRAINING", str(home / place))
    with pytest.raises(UsageError, match=r"it is not a folder.* correct NOCTULE_TRAINING"):
        list_labelled(load_settings(), None)


def test_the_default_training_folder_is_made(home: Path) -> None:
    assert list_labelled(load_settings(), None).by_contract == {}
    assert (home / "training").is_dir()


def test_a_service_without_a_model_says_what_to_do(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    warn_without_champion(load_settings())
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("NOCTULE_HOME", str(tmp_path / "new"))
    warn_without_champion(load_settings())
    (said,) = capsys.readouterr().err.splitlines()
    assert "There is no model yet." in said
    assert "noctule train FILE. Or put labelled files into" in said
    assert "run the deployment train." in said


@pytest.fixture
def left(home: Path) -> list[Path]:
    """What killed trainings left: a half-read file, a model half fitted, one half registered."""
    folders = [
        home / "lake" / "training" / "nsl_kdd" / ("ab" * 32) / ".attempt-0123456789ab",
        home / "models" / ".fit-x1_y2z3a",
        home / "models" / ".nsl_kdd-0123456789ab-0123456789ab",
    ]
    for folder in folders:
        (folder / "ingest").mkdir(parents=True)
    return folders


@pytest.mark.usefixtures("settled")
def test_a_training_removes_what_killed_ones_left_and_keeps_what_is_finished(
    home: Path, left: list[Path]
) -> None:
    (left[0].parent / "ingest").mkdir()
    versions = [path for path in (home / "models").iterdir() if path not in left]
    assert train(return_state=True).is_failed(), "there is no file"
    assert not any(folder.exists() for folder in left)
    assert [path.name for path in left[0].parent.iterdir()] == ["ingest"]
    assert list((home / "models").iterdir()) == versions


@pytest.mark.usefixtures("settled")
def test_a_training_that_is_not_alone_removes_nothing(home: Path, left: list[Path]) -> None:
    with lock_folder(home / "lake" / "training"):
        state = train(return_state=True)
    assert "another training is at work" in (state.message or "")
    assert all(folder.exists() for folder in left)
