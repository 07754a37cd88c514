"""A file becomes a delivery of the content it holds, and of no other."""

import os
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine

from storage.deliveries import find_delivery
from tasks.intake import receive
from tasks.intake.content import (
    ContentHash,
    SourceChangedError,
    SourceUnavailableError,
    hash_content,
)
from tasks.intake.receive import find_files, receive_file

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
