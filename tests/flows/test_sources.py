"""Files of several sources in one home: trained on, scored, explained, replayed, evaluated."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import sqlalchemy as sa

from storage.database import connect

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

    Noctule = Callable[..., Ended]

pytestmark = [
    pytest.mark.real_data,
    pytest.mark.usefixtures("pandas_validation", "prefect_server", "quick", "settled"),
]

BOTS = "cic-ids2017/friday-morning-bot-balanced.csv.gz"
SCANS = "cic-ids2017/portscan-with-times.csv.gz"


def run(noctule: "Noctule", *arguments: object) -> Any:  # noqa: ANN401 - what JSON holds
    ended = noctule(*arguments, "--json")
    assert ended.code == 0, ended.err
    return json.loads(ended.out)


def query(home: Path, statement: str) -> list[sa.Row[Any]]:
    engine = connect(None, home)
    try:
        with engine.connect() as connection:
            return list(connection.execute(sa.text(statement)))
    finally:
        engine.dispose()


def test_each_source_of_a_home_has_its_own_models(
    home: Path, flows_folder: Path, noctule: "Noctule"
) -> None:
    argus = flows_folder / "argus/labelled-tabs.binetflow.gz"
    nfdump = flows_folder / "nfdump/nfdump-1.7-csv.csv.gz"
    trained = {file: run(noctule, "train", file) for file in (argus, nfdump)}
    assert all(one["is_champion"] for one in trained.values())
    assert trained[argus]["fit"]["metrics"]["known"]["roc_auc"] > 0.9
    assert trained[nfdump]["fit"]["metrics"]["known"] is None  # flows without labels
    told = run(noctule, "run", argus, nfdump)
    scored = {one["file_name"]: one for one in told["files"]}
    assert {one["rows_quarantined"] for one in scored.values()} == {0}
    assert [scored[file.name]["model_version"] for file in trained] == [
        one["model_version"] for one in trained.values()
    ]
    judged = run(noctule, "evaluate", argus)
    # One record of Argus itself has no label, and one label says neither normal nor attack.
    assert (judged["rows"], judged["rows_unlabelled"]) == (6_723, 2)
    flagged = query(home, "SELECT src_ip, dst_port FROM flagged_argus WHERE reasons IS NOT NULL")
    assert flagged
    assert all(row.src_ip for row in flagged)
    contracts = query(home, "SELECT DISTINCT contract FROM drift_summary")
    assert {row.contract for row in contracts} == {"argus", "nfdump_csv"}


def test_a_file_of_attacks_is_trained_on_with_the_files_before_it(
    home: Path, flows_folder: Path, noctule: "Noctule"
) -> None:
    refused = noctule("train", flows_folder / SCANS)
    assert refused.code == 3
    assert "Traceback" not in refused.err
    run(noctule, "train", flows_folder / BOTS)
    told = noctule("train", flows_folder / SCANS)
    assert told.code == 0, told.err
    assert Path(BOTS).name in told.out
    assert home.is_dir()


def test_damaged_rows_of_a_source_are_quarantined_and_replayed(
    home: Path, flows_folder: Path, tmp_path: Path, noctule: "Noctule"
) -> None:
    header, *lines = gzip.decompress((flows_folder / BOTS).read_bytes()).splitlines(keepends=True)
    run(noctule, "train", flows_folder / BOTS)
    night, corrected = tmp_path / "night-2026-11-09.csv", tmp_path / "corrected.csv"
    port, _, rest = lines[1].split(b",", 2)
    night.write_bytes(b"".join([header, lines[0], port, b",soon,", rest, *lines[2:]]))
    (batch,) = run(noctule, "run", night)["files"]
    assert (batch["rows_read"], batch["rows_quarantined"]) == (len(lines), 1)
    (row,) = query(home, "SELECT line_number, reasons FROM quarantined_rows")
    assert row.line_number == 3
    assert "duration_s (Flow Duration): 'soon' is not a number" in row.reasons
    corrected.write_bytes(header + lines[1])
    (replayed,) = run(noctule, "replay", batch["batch_id"][:12], corrected)["files"]
    assert (replayed["rows_scored"], replayed["rows_quarantined"]) == (1, 0)
    (kept,) = query(home, "SELECT corrected_by FROM quarantined_rows")
    assert kept.corrected_by == replayed["batch_id"]
