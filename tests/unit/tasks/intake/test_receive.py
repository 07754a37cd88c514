"""A file becomes a delivery of the content it holds, and of no other."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from storage.batch_ids import name_batch
from storage.batches import BatchRejection, reject_batch
from storage.claims import claim
from storage.deliveries import find_delivery
from storage.dismissals import dismiss
from storage.row_counts import RowCounts
from tasks.intake import receive
from tasks.intake.content import (
    ContentHash,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.receive import find_files, receive_file
from tests.support.sensor_pages import write_night, write_page

NOW = datetime(2026, 11, 20, 4, 30, tzinfo=UTC)
NIGHT = date(2026, 11, 19)


def test_damaged_content_is_known_by_its_raw_bytes(engine: Engine, tmp_path: Path) -> None:
    source = tmp_path / "night.csv.gz"
    source.write_bytes(b"\x1f\x8b damaged")
    arrival = receive_file(engine, source, "nsl_kdd", NIGHT, NOW)
    assert arrival.damage is not None
    assert "cut short or damaged" in arrival.damage
    assert arrival.record.status == "received"


def test_a_file_replaced_while_it_is_received_is_no_delivery_of_the_old_content(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source, newer = tmp_path / "night.csv", tmp_path / "newer.csv"
    source.write_text("old\n")
    newer.write_text("new\n")

    def hash_then_replace(path: Path, *limits: object) -> ContentHash:
        content = hash_content(path, *limits)
        os.replace(newer, path)  # noqa: PTH105 - the call a sender makes
        return content

    monkeypatch.setattr(receive, "hash_content", hash_then_replace)
    with pytest.raises(SourceChangedError):
        receive_file(engine, source, "nsl_kdd", NIGHT, NOW)
    status = source.stat()
    modified_at = datetime.fromtimestamp(status.st_mtime, UTC)
    assert find_delivery(engine, source, status.st_size, modified_at) is None


@pytest.mark.parametrize(("days", "notes"), [(-1, 0), (1, 0), (2, 1)])
def test_a_night_that_lies_in_the_future_is_told(
    engine: Engine, tmp_path: Path, days: int, notes: int
) -> None:
    source, night = tmp_path / "night.csv", NOW.date() + timedelta(days)
    source.write_text("x\n")
    told = receive_file(engine, source, "nsl_kdd", night, NOW).notes
    assert len(told) == notes
    assert all(f"its night, {night}, lies in the future" in note for note in told)


def test_a_missing_file_says_so(engine: Engine, tmp_path: Path) -> None:
    with pytest.raises(SourceUnavailableError, match="No such file"):
        receive_file(engine, tmp_path / "night.csv", "nsl_kdd", NIGHT, NOW)


def test_folders_give_settled_files_oldest_first_and_named_files_as_they_are(
    engine: Engine, tmp_path: Path
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    for name, age in (("b.csv", 3), ("a.csv", 2), ("c.csv.part", 5), ("growing.csv", 0)):
        (inbox / name).write_text("x\n")
        changed = (NOW - timedelta(hours=age)).timestamp()
        os.utime(inbox / name, (changed, changed))
    named = tmp_path / "2026-11-18.csv"
    found = find_files(engine, [named, inbox], None, settle_s=60, now=NOW)
    assert [file.path.name for file in found.new] == ["2026-11-18.csv", "b.csv", "a.csv"]
    assert found.new[0].batch_date == date(2026, 11, 18)
    assert {file.path.name for file in found.skipped} == {"c.csv.part", "growing.csv"}


@pytest.mark.parametrize("is_finished", [True, False])
def test_a_folder_s_file_is_passed_over_once_its_batch_is_finished(
    engine: Engine,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_finished: bool,
) -> None:
    source = tmp_path / "night.csv"
    source.write_text("x\n")
    receive_file(engine, source, "nsl_kdd", NIGHT, NOW)
    if is_finished:
        known: Callable[..., Any] = find_delivery
        monkeypatch.setattr(
            receive,
            "find_delivery",
            lambda *where: replace(known(*where), status="scored"),
        )
    found = find_files(engine, [tmp_path], None, settle_s=0, now=datetime.now(UTC))
    assert [file.path for file in found.new if file.path == source] == (
        [] if is_finished else [source]
    )
    assert [path for path in found.finished if path == source] == ([source] if is_finished else [])


# The contract of a file


@pytest.fixture
def pages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make a folder of contracts with the page of ``sensor``."""
    folder = tmp_path / "pages"
    write_page(folder)
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(folder))
    return folder


def test_a_file_is_a_batch_of_the_contract_that_its_names_show(
    engine: Engine, tmp_path: Path, pages: Path
) -> None:
    source = write_night(tmp_path / "night.csv", 4, 1)
    arrival = receive_file(engine, source, None, NIGHT, NOW)
    content = hash_content(source).sha256
    assert arrival.record.contract == "sensor"
    assert arrival.record.batch_id == name_batch("sensor", content)
    assert (arrival.content, arrival.content_sha256, arrival.refusal) == (content, content, None)
    said = receive_file(engine, source, "nsl_kdd", NIGHT, NOW)
    assert (said.record.batch_id, said.content_sha256) == (content, None), "another batch"
    assert pages.is_dir()


@pytest.mark.parametrize("is_dismissed", [True, False])
def test_an_open_file_without_a_contract_is_taken_again_once_the_pages_have_changed(
    engine: Engine, tmp_path: Path, pages: Path, *, is_dismissed: bool
) -> None:
    inbox = tmp_path / "inbox"
    inbox.mkdir()
    source = inbox / "night.csv"
    source.write_text("to;from\nyou;me\n")

    def list_new() -> list[Path]:
        found = find_files(engine, [inbox], None, settle_s=0, now=datetime.now(UTC))
        return [file.path for file in found.new]

    arrival = receive_file(engine, source, None, NIGHT, NOW)
    assert arrival.record.contract == "unrecognised"
    assert "no contract knows it" in str(arrival.refusal)
    assert list_new() == [source], "it is not finished"
    with claim(engine, tmp_path / "claims", arrival.record.batch_id) as held:
        assert held is not None
        refused = BatchRejection(
            reason=str(arrival.refusal),
            rows=RowCounts.of_rejected(2),
            contract_fingerprint=arrival.contract_fingerprint,
            started_at=NOW,
            finished_at=NOW,
        )
        reject_batch(engine, held, refused)
    assert list_new() == []
    if is_dismissed:
        dismiss(engine, arrival.record.batch_id, who="ada", reason="a letter", now=NOW)
    write_page(pages, "twin")
    assert list_new() == ([] if is_dismissed else [source])
