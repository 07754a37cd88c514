"""Several contracts in one home: files, models and nights of each, and what is refused."""

import json
import shutil
from collections.abc import Callable, Iterator
from datetime import date
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from sqlalchemy import Engine

from storage.batch_ids import name_batch
from storage.check.tables import check_tables
from storage.database import connect
from storage.model_store import champion, list_champion_contracts
from storage.queries import batch_rows, flagged_rows, history_rows, open_rejection_rows
from tasks.intake.content import hash_content
from tasks.simulation.simulate import simulate_night
from tests.support.sensor_pages import SENSOR, write_night, write_page
from tests.support.trained_homes import move_to_postgres

if TYPE_CHECKING:
    from tests.flows.conftest import Ended, Kept

pytestmark = pytest.mark.usefixtures("settled", "pandas_validation", "quick")

Noctule = Callable[..., "Ended"]


@pytest.fixture
def pages(home: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of contracts with the page of ``sensor``."""
    folder = home / "pages"
    write_page(folder)
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(folder))
    return folder


@pytest.fixture
def both(home: Path, pages: Path, noctule: Noctule, kept: "Kept") -> Path:
    """Train a champion of ``sensor`` too; return the inbox."""

    def work() -> dict[str, Any]:
        labelled = write_night(home / "labelled-sensor.csv", 900, 1, is_labelled=True)
        ended = noctule("train", labelled)
        assert ended.code == 0, ended.err
        return {}

    kept.make("both", home, work)
    inbox = home / "inbox"
    inbox.mkdir(exist_ok=True)
    return inbox


@pytest.fixture(params=["sqlite", "postgresql"])
def engine(
    request: pytest.FixtureRequest, both: Path, home: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Engine]:
    """Open the database of the home: SQLite, or PostgreSQL after a move."""
    if request.param == "sqlite":
        opened = connect(None, home)
    else:
        url = request.getfixturevalue("postgres_url")
        opened = move_to_postgres(home, url)
        monkeypatch.setenv("NOCTULE_DATABASE_URL", url)
    yield opened
    opened.dispose()


@pytest.fixture
def at_home(both: Path, home: Path) -> Iterator[Engine]:
    """Open the SQLite database of the home with both champions."""
    opened = connect(None, home)
    yield opened
    opened.dispose()


def by_name(engine: Engine) -> dict[str, dict[str, Any]]:
    """Return the batches by the names of their files."""
    return {row["file_name"]: row for row in batch_rows(engine)}


def test_each_file_of_one_inbox_is_scored_by_the_champion_of_its_contract(
    engine: Engine, home: Path, noctule: Noctule
) -> None:
    inbox = home / "inbox"
    write_night(inbox / "sensor-2026-11-20.csv", 120, 2)
    simulate_night(inbox / "kdd-2026-11-20.csv", rows=1_000, seed=3, night=date(2026, 11, 20))
    (inbox / "letter-2026-11-20.csv").write_text("to;from\nyou;me\n")
    ended = noctule("run", "--json")
    assert ended.code == 3, "the letter"
    stored = by_name(engine)
    facts = ("contract", "status", "rows_read", "rows_scored", "rows_rejected")
    assert {name: tuple(row[fact] for fact in facts) for name, row in stored.items()} == {
        "sensor-2026-11-20.csv": ("sensor", "scored", 120, 120, 0),
        "kdd-2026-11-20.csv": ("nsl_kdd", "scored", 1_000, 1_000, 0),
        "letter-2026-11-20.csv": ("unrecognised", "rejected", 2, 0, 2),
    }
    assert "no contract knows it" in stored["letter-2026-11-20.csv"]["rejection"]
    for name in ("sensor", "nsl_kdd"):
        (of_contract,) = (row for row in stored.values() if row["contract"] == name)
        assert of_contract["model_version"] == champion(engine, name).version
        assert {row["contract"] for row in flagged_rows(engine, contract=name)} == {name}
    content = hash_content(inbox / "sensor-2026-11-20.csv").sha256
    assert stored["sensor-2026-11-20.csv"]["batch_id"] == name_batch("sensor", content)
    for command in ("flagged", "batches"):
        heading = noctule(command, "--date", "2026-11-20").out.splitlines()[1]
        assert "contract" in heading
        of_one = noctule(command, "--date", "2026-11-20", "--contract", "nsl_kdd").out
        assert "contract" not in of_one.splitlines()[1]
    assert "contract" in noctule("flagged").out.splitlines()[1], "the latest night has several"
    assert {one["file_name"]: one["contract"] for one in json.loads(ended.out)["files"]} == {
        name: row["contract"] for name, row in stored.items()
    }
    assert list(check_tables(engine)) == []
    again = noctule("run")
    assert again.code == 3
    assert "no new file" in again.out, "the letter is not read again"
    assert by_name(engine) == stored


def test_a_file_without_a_contract_is_read_once_there_is_a_page_for_it(
    engine: Engine, home: Path, pages: Path, noctule: Noctule
) -> None:
    page = pages / "sensor.toml"
    page.rename(pages / "sensor.off")
    write_night(home / "inbox" / "sensor-2026-11-20.csv", 120, 2)
    assert noctule("run").code == 3
    (unread,) = open_rejection_rows(engine)
    assert unread["contract"] == "unrecognised"
    write_page(pages, "other", SENSOR.replace('"pkts"', '"frames"').replace('"got"', '"b"')
               .replace('"sent"', '"a"').replace('"how"', '"c"'))  # fmt: skip
    assert noctule("run").code == 3
    (unread,) = open_rejection_rows(engine)
    assert "other" in unread["rejection"], "the reason names the contracts that there are now"
    (pages / "sensor.off").rename(page)
    ended = noctule("run")
    assert ended.code == 0, ended.out
    assert open_rejection_rows(engine) == []
    assert sorted((row["contract"], row["status"]) for row in batch_rows(engine)) == [
        ("sensor", "scored"),
        ("unrecognised", "rejected"),
    ]
    assert list(check_tables(engine)) == []
    assert "no new file" in noctule("run").out


def test_a_replay_settles_a_file_that_had_no_contract(
    at_home: Engine, both: Path, pages: Path, noctule: Noctule
) -> None:
    write_page(pages, "twin")
    write_night(both / "sensor-2026-11-20.csv", 80, 2)
    ended = noctule("run")
    assert ended.code == 3
    (unread,) = open_rejection_rows(at_home)
    assert "it may be a file of sensor" in unread["rejection"]
    assert "or twin" in unread["rejection"]
    refused = noctule("replay", unread["batch_id"][:12])
    assert refused.code == 3, "two contracts claim it still"
    assert noctule("replay", unread["batch_id"][:12], "--contract", "sensor").code == 0
    assert open_rejection_rows(at_home) == []
    assert noctule("run").code == 0
    assert list(check_tables(at_home)) == []


def test_one_content_under_two_contracts_is_two_batches(
    at_home: Engine, both: Path, pages: Path, noctule: Noctule
) -> None:
    write_page(pages, "twin")
    file = write_night(both.parent / "night-2026-11-20.csv", 80, 2)
    labelled = both.parent / "labelled-sensor.csv"
    assert noctule("train", labelled, "--contract", "twin").code == 0
    for name in ("sensor", "twin"):
        ended = noctule("run", file, "--contract", name)
        assert ended.code == 0, ended.err
    content = hash_content(file).sha256
    assert {row["batch_id"]: row["contract"] for row in batch_rows(at_home)} == {
        name_batch(name, content): name for name in ("sensor", "twin")
    }
    assert {row["rows_known"] for row in batch_rows(at_home)} == {0}, "neither knows the other's"
    assert list(check_tables(at_home)) == []


def test_a_contract_without_a_champion_stops_its_own_files_only(
    at_home: Engine, both: Path, pages: Path, noctule: Noctule
) -> None:
    write_page(pages, "gate", SENSOR.replace('"pkts"', '"frames"').replace('"when"', '"at"'))
    night = write_night(both / "gate-2026-11-20.csv", 80, 2)
    night.write_text(night.read_text().replace("pkts", "frames").replace("when", "at"))
    write_night(both / "sensor-2026-11-20.csv", 80, 2)
    ended = noctule("run", "--json")
    assert ended.code == 2
    told = {one["file_name"]: one for one in json.loads(ended.out)["files"]}
    assert told["sensor-2026-11-20.csv"]["status"] == "scored"
    assert told["gate-2026-11-20.csv"]["status"] == "failed"
    assert told["gate-2026-11-20.csv"]["message"].startswith(
        "There is no model for contract gate yet. Train one"
    )
    assert by_name(at_home)["gate-2026-11-20.csv"]["status"] == "received"


def test_a_model_of_another_contract_is_refused(
    at_home: Engine, both: Path, noctule: Noctule
) -> None:
    before = batch_rows(at_home)
    other = champion(at_home, "nsl_kdd").version
    ended = noctule("evaluate", both.parent / "labelled-sensor.csv", "--model", other)
    assert ended.code == 2
    assert "contract sensor" in ended.err
    assert other in ended.err
    assert batch_rows(at_home) == before


def test_a_contract_whose_features_changed_asks_for_another_model(
    at_home: Engine, both: Path, pages: Path, noctule: Noctule
) -> None:
    write_night(both / "sensor-2026-11-20.csv", 80, 2)
    assert noctule("run").code == 0
    (scored,) = batch_rows(at_home)
    changed = SENSOR.replace('"sent", kind = "count", unit = "bytes"', '"sent", kind = "number"')
    assert changed != SENSOR
    write_page(pages, page=changed)
    write_night(both / "sensor-2026-11-21.csv", 80, 3)
    simulate_night(both / "kdd-2026-11-21.csv", rows=1_000, seed=3, night=date(2026, 11, 21))
    ended = noctule("run", "--json")
    assert ended.code == 2
    told = {one["file_name"]: one for one in json.loads(ended.out)["files"]}
    assert (
        "the features of contract sensor have changed" in told["sensor-2026-11-21.csv"]["message"]
    )
    assert told["kdd-2026-11-21.csv"]["status"] == "scored"
    checked = noctule("replay-check", scored["batch_id"])
    assert checked.code == 0
    assert "contract sensor has changed since this batch was read" in checked.out


def test_commands_that_list_go_on_without_a_page_and_others_say_what_is_missing(
    at_home: Engine, both: Path, pages: Path, noctule: Noctule
) -> None:
    night = write_night(both / "sensor-2026-11-20.csv", 80, 2)
    assert noctule("run").code == 0
    (scored,) = batch_rows(at_home)
    version = champion(at_home, "sensor").version
    (pages / "sensor.toml").unlink()
    for command in ("batches", "flagged", "models", "drift", "quarantine"):
        ended = noctule(command, "--contract", "sensor")
        assert ended.code == 0, ended.err
    assert noctule("db", "check").code == 0
    for command in (
        ("thresholds", "--model", version),
        ("run", night, "--contract", "sensor"),
        ("evaluate", both.parent / "labelled-sensor.csv", "--contract", "sensor"),
        ("retrain", "--contract", "sensor"),
    ):
        ended = noctule(*command)
        assert (ended.code, ended.out) == (2, "")
        assert ended.err.startswith("noctule: There is no contract named 'sensor'."), command
    assert noctule("replay-check", scored["batch_id"]).code == 0


def test_a_command_about_one_contract_asks_which(
    at_home: Engine, both: Path, noctule: Noctule
) -> None:
    for command in (("thresholds",), ("rollback", "--reason", "worse")):
        ended = noctule(*command)
        assert ended.code == 2
        assert "champions of several contracts: nsl_kdd, sensor" in ended.err
        assert "--contract NAME" in ended.err
    assert noctule("thresholds", "--contract", "sensor").code == 0
    ended = noctule("rollback", "--reason", "worse", "--contract", "sensor")
    assert "Cannot roll back sensor: it has no earlier champion" in ended.err
    assert list_champion_contracts(at_home) == ["nsl_kdd", "sensor"]
    assert {row["contract"] for row in history_rows(at_home)} == {"nsl_kdd", "sensor"}


def test_files_of_two_contracts_make_no_model(both: Path, home: Path, noctule: Noctule) -> None:
    folder = home / "training"
    folder.mkdir()
    shutil.copy(home / "labelled.csv", folder)
    shutil.copy(home / "labelled-sensor.csv", folder)
    ended = noctule("train", folder)
    assert ended.code == 2
    assert (
        "files are of several contracts (nsl_kdd: labelled.csv; sensor: labelled-sen" in ended.err
    )
    ended = noctule("train", folder, "--contract", "sensor", "--json")
    assert ended.code == 0, ended.err
    told = json.loads(ended.out)
    assert told["model_version"].startswith("sensor-")
    assert any("labelled.csv (a file of contract nsl_kdd)" in one for one in told["advisories"])
