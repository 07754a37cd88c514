import os
from datetime import UTC, date, datetime, timedelta, timezone
from pathlib import Path

import pytest

from expectations.errors import UsageError
from tasks.intake.inbox import batch_date, pending_files

NOW = datetime(2026, 11, 21, 4, 30, tzinfo=UTC)


def put(path: Path, age_s: float) -> Path:
    path.write_bytes(b"12345")
    modified = NOW.timestamp() - age_s
    os.utime(path, (modified, modified))
    return path


def test_settled_files_come_oldest_first(tmp_path: Path) -> None:
    put(tmp_path / "a.csv", 100)
    put(tmp_path / "b.csv.gz", 300)
    put(tmp_path / "c", 300)
    inbox = pending_files(tmp_path, NOW)
    assert [file.path.name for file in inbox.pending] == ["b.csv.gz", "c", "a.csv"]
    assert inbox.pending[2].size_bytes == 5
    assert inbox.pending[2].modified_at == NOW - timedelta(seconds=100)
    assert inbox.skipped == ()


def test_what_is_skipped_has_its_reason(tmp_path: Path) -> None:
    inbox = tmp_path / "inbox"
    (inbox / "folder").mkdir(parents=True)
    outside = put(tmp_path / "outside.csv", 900)
    (inbox / "leaves.csv").symlink_to(outside)
    (inbox / "dangles.csv").symlink_to(inbox / "absent.csv")
    (inbox / "loop.csv").symlink_to(inbox / "loop.csv")
    (inbox / "upwards.csv").symlink_to(Path("..", "inbox", "..", "outside.csv"))
    for name in [".hidden.csv", "a.csv.part", "b.CRDOWNLOAD", "c.tmp", "d.csv~", "e\n.csv"]:
        put(inbox / name, 900)
    put(inbox / "grows.csv", 5)
    os.mkfifo(inbox / "pipe")
    kept = put(inbox / "kept.csv", 900)
    (inbox / "within.csv").symlink_to(kept)
    contents = pending_files(inbox, NOW)
    assert [file.path.name for file in contents.pending] == ["kept.csv", "within.csv"]
    assert {file.path.name: file.reason for file in contents.skipped} == {
        ".hidden.csv": "hidden",
        "a.csv.part": "its name says it is temporary",
        "b.CRDOWNLOAD": "its name says it is temporary",
        "c.tmp": "its name says it is temporary",
        "d.csv~": "its name says it is temporary",
        "dangles.csv": "a link to nothing",
        "e\n.csv": "its name holds characters that cannot be shown; rename it",
        "folder": "a folder",
        "grows.csv": "modified less than 60 s ago: it may still be growing",
        "leaves.csv": "a link that leaves the inbox",
        "loop.csv": "cannot be examined: Too many levels of symbolic links",
        "pipe": "not a regular file",
        "upwards.csv": "a link that leaves the inbox",
    }


@pytest.mark.parametrize(
    ("age_s", "expected"), [(59, "grows"), (60, "rests"), (-59, "grows"), (-86_400, "rests")]
)
def test_a_file_is_settled_when_untouched_or_when_its_clock_is_wrong(
    tmp_path: Path, age_s: float, expected: str
) -> None:
    put(tmp_path / "a.csv", age_s)
    inbox = pending_files(tmp_path, NOW)
    assert (len(inbox.pending), len(inbox.skipped)) == ((1, 0) if expected == "rests" else (0, 1))


def test_an_inbox_that_is_not_there_says_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="NOCTULE_INBOX"):
        pending_files(tmp_path / "absent", NOW)
    with pytest.raises(UsageError, match="Not a directory"):
        pending_files(put(tmp_path / "file", 0), NOW)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("flows-2026-11-20.csv.gz", date(2026, 11, 20)),
        ("20261120.csv", date(2026, 11, 20)),
        ("conn_2026_11_20_part1.csv", date(2026, 11, 20)),
        ("20261120T0315Z.csv", date(2026, 11, 20)),
        ("export_20261120031500.csv", date(2026, 11, 20)),
        ("id-20269999-for-2026-11-20.csv", date(2026, 11, 20)),
        ("2026-11_20.csv", date(2026, 11, 21)),
        ("serial1202611209.csv", date(2026, 11, 21)),
        ("night.csv", date(2026, 11, 21)),
    ],
)
def test_the_date_is_the_names_else_the_day_of_arrival(name: str, expected: date) -> None:
    assert batch_date(name, NOW) == expected


def test_the_option_beats_the_name_and_days_are_utc() -> None:
    assert batch_date("2026-11-20.csv", NOW, date(2026, 1, 1)) == date(2026, 1, 1)
    after_midnight = datetime(2026, 11, 22, 1, 0, tzinfo=timezone(timedelta(hours=3)))
    assert batch_date("night.csv", after_midnight) == date(2026, 11, 21)


def listed(inbox: Path, *patterns: str) -> tuple[list[str], dict[str, str]]:
    """Return the names of deliveries, and those left with their reasons."""
    contents = pending_files(inbox, NOW, patterns=patterns)
    return (
        sorted(file.path.name for file in contents.pending),
        {file.path.name: file.reason for file in contents.skipped},
    )


COMPANIONS = [
    "night.csv.md5", "night.csv.SHA256", "night.csv.ok", "night.ok", "NIGHT.DONE", "other.ready",
    "night.csv.crc", "night.csv.asc", "night.csv.sig", "night.csv.lock", "night.manifest",
    "_SUCCESS", "_committed_17", "Thumbs.db", "DESKTOP.INI", "README.txt", "ReadMe", "SHA256SUMS",
    "night.csv.json", "night.csv.gpg", "night.trg", "night.flg", "DONE",
    "night.csv.count", "night.csv.par2", "night.csv.log", "night.csv.gz.toc", "night.rdy", "GO",
]  # fmt: skip
DELIVERIES = [
    "night.csv", "night.csv.gz", "night", "conn.log", "conn.log.1", "conn", "alone.json",
    "books.gpg", "a_b.csv", "readme-2026-11-20.csv", "md5", "night.ok.csv", "night.csv.1",
]  # fmt: skip


def test_companions_of_deliveries_are_left_each_with_its_reason(tmp_path: Path) -> None:
    for name in [*COMPANIONS, *DELIVERIES]:
        put(tmp_path / name, 900)
    pending, skipped = listed(tmp_path)
    assert pending == sorted(DELIVERIES)
    assert set(skipped) == set(COMPANIONS)
    advice = (
        "says that it accompanies a delivery; if it is one, name it on the command line or in"
        " NOCTULE_INBOX_PATTERN"
    )
    assert skipped["night.csv.md5"] == f"its name (.md5) {advice}"
    assert skipped["_SUCCESS"] == f"its name (_) {advice}"
    assert skipped["Thumbs.db"] == f"its name (Thumbs.db) {advice}"


def test_a_pattern_says_which_names_are_deliveries(tmp_path: Path) -> None:
    for name in ["night-1.csv", "NIGHT-2.CSV", "night-3.csv.gz", "notes.txt", "night-1.csv.md5"]:
        put(tmp_path / name, 900)
    pending, skipped = listed(tmp_path, "night-*.csv", "*.parquet")
    assert pending == ["NIGHT-2.CSV", "night-1.csv"]
    reason = "its name does not match NOCTULE_INBOX_PATTERN (night-*.csv, *.parquet)"
    assert skipped == dict.fromkeys(["night-1.csv.md5", "night-3.csv.gz", "notes.txt"], reason)


@pytest.mark.parametrize(
    ("pattern", "taken"),
    [
        ("night*", ["night.csv"]),
        ("*", ["night.csv"]),
        ("*.ok", ["night.ok"]),
        ("*.md5", ["night.csv.md5"]),
        ("_*", ["_night.csv"]),
        ("*.json", ["night.csv.json"]),
        ("README.txt", ["readme.TXT"]),
    ],
)
def test_a_companion_is_a_delivery_only_if_the_pattern_is_written_as_its_name(
    tmp_path: Path, pattern: str, taken: list[str]
) -> None:
    names = ["night.csv", "night.ok", "night.csv.md5", "_night.csv", "night.csv.json", "readme.TXT"]
    for name in names:
        put(tmp_path / name, 900)
    pending, skipped = listed(tmp_path, pattern)
    assert pending == taken
    assert set(skipped) == set(names) - set(taken)


def test_no_pattern_takes_what_is_hidden_temporary_or_growing(tmp_path: Path) -> None:
    ages = {".a.csv": 900, "b.csv.part": 900, "~$d.csv": 900, "c.csv": 5}
    for name, age_s in ages.items():
        put(tmp_path / name, age_s)
    pending, skipped = listed(tmp_path, "*.csv", "*.part")
    assert pending == []
    assert set(skipped) == set(ages)
