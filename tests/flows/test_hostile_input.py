"""What is stored, printed and returned of input that is broken, or made to do harm.

One run takes all of it: files that are no text or hold far more than they weigh, lines that no
reader should trust, values that a database, a terminal or a spreadsheet might obey, and names and
links that lead elsewhere.
"""

import contextlib
import csv
import gzip
import io
import json
import os
import random
import shutil
import sys
import zipfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import polars as pl
import pyarrow.parquet as pq
import pytest
import sqlalchemy as sa
import zstandard
from sqlalchemy import Engine

from storage.database import connect
from storage.queries import batch_rows, flagged_rows
from storage.schema import delivery, metadata, prediction, quarantined_row, scoring
from tasks.intake import receive
from tasks.intake.content import ContentHash, hash_content
from tasks.intake.forms import READ
from tests.support.sources import NSL_KDD

if TYPE_CHECKING:
    from tests.flows.conftest import Ended

LIMIT = 15_000_000
"""The night's NOCTULE_MAX_FILE_BYTES."""
KEPT = 65_537
"""Bytes that are kept of a line that is longer than NOCTULE_MAX_LINE_BYTES."""
NAMES = NSL_KDD.feature_names

LINES = r"=cmd|'; DROP TABLE batch; -- ..\..\lines-2026-11-05.csv"
"""The one file that is scored; its name is as hostile as its lines."""

SERVICES = (
    "'; DROP TABLE batch; --",
    "=cmd|' /C calc'!A0",
    "+1+1",
    "@SUM(1)",
    "-2+3",
    "=1\t+1",
    "\x1b[2J\x1b]0;owned\x07",
    "\u202egpj.exe",
    "<script>alert(1)</script>",
)
"""Services that nobody has seen; each is that of a connection of a flood, which is flagged."""

NO_QUOTE = "a quote is not closed, or stands inside an unquoted field"
COMMA = ": write it without a comma, and decimals with a point"
TOO_BIG = "does not fit in 64 bits"
SPOILT = [
    ("protocol_type", "t\0cp", "ingest", "byte 4 is NUL"),
    ("service", '"', "ingest", NO_QUOTE),
    ("src_bytes", str(2**63), "ingest", f"src_bytes: '9223372036854775808' {TOO_BIG}"),
    ("dst_bytes", "9" * 50, "ingest", f"dst_bytes: '{'9' * 40}…' {TOO_BIG}"),
    ("srv_diff_host_rate", "0,5", "ingest", "expected 41 fields, found 42"),
    ("srv_diff_host_rate", '"0,5"', "ingest", f"srv_diff_host_rate: '0,5' is not a number{COMMA}"),
    ("srv_diff_host_rate", "1e999", "validate", "srv_diff_host_rate: inf is above 1"),
]
"""A cell in a line of its own: column, value, stage and reason."""

TOO_LONG = (
    "longer than the 65536 bytes of NOCTULE_MAX_LINE_BYTES: what comes after them is not kept"
)
BAD_LINES = [
    *((stage, reason) for _, _, stage, reason in SPOILT),
    ("ingest", "the header again, not a connection"),
    ("ingest", TOO_LONG),
]
"""In the order of the file: they are its lines 3, 5, 7 and so on, each between two good ones."""

HALF_LINE = ("ingest", "expected 41 fields, found 12")


@dataclass(frozen=True)
class Hostile:
    """What the run left behind."""

    folder: Path
    """Holds the three others, and nothing else."""
    home: Path
    inbox: Path
    elsewhere: Path
    """Where the files lie that were named to the command."""
    code: int
    out: str
    err: str

    @contextlib.contextmanager
    def database(self) -> Iterator[Engine]:
        """Open its database."""
        engine = connect(None, self.home)
        yield engine
        engine.dispose()

    def batch(self, name: str) -> dict[str, Any]:
        """Return the batch that came as a file."""
        with self.database() as engine:
            (found,) = [row for row in batch_rows(engine) if row["file_name"] == name]
        return found

    def table_row(self, name: str) -> list[str]:
        """Read a file's line of the printed table, without its name."""
        (line,) = [line for line in self.out.splitlines() if line.startswith(f"│ {name} ")]
        return [cell.strip() for cell in line.removeprefix(f"│ {name} ").split("│")[1:-1]]

    def lines_stored(self) -> list[dict[str, Any]]:
        """Return the quarantined rows of the file that was scored, in its order."""
        chosen = sa.select(quarantined_row).where(
            quarantined_row.c.batch_id == self.batch(LINES)["batch_id"]
        )
        with self.database() as engine, engine.connect() as connection:
            rows = connection.execute(chosen.order_by(quarantined_row.c.row_number))
            return [dict(row) for row in rows.mappings()]


@pytest.fixture(scope="module")
def hostile(
    prefect_server: str, trained_home: Path, tmp_path_factory: pytest.TempPathFactory
) -> Hostile:
    """Run the night once; nobody changes it."""
    from flows.cli import main

    folder = tmp_path_factory.mktemp("hostile")
    home, inbox, elsewhere = (folder / name for name in ("home", "inbox", "elsewhere"))
    shutil.copytree(trained_home, home)
    inbox.mkdir()
    elsewhere.mkdir()
    rows = simulated(tmp_path_factory.mktemp("simulated"))
    put_files(inbox, rows)
    put_lines(inbox / LINES, rows)
    replaced, newer = elsewhere / "replaced.csv", elsewhere / "newer.csv"
    replaced.write_bytes(text(rows[:9]))
    newer.write_bytes(text(rows[:8]))
    put_links(inbox, newer)

    def hash_then_replace(path: Path, *limits: Any) -> ContentHash:  # noqa: ANN401 - passed on
        content = hash_content(path, *limits)
        if path == replaced:
            newer.replace(path)
        return content

    named = [replaced, inbox / "pipe.csv", inbox / "loop.csv"]
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("NOCTULE_")]:
            patch.delenv(name)
        patch.setenv("NOCTULE_HOME", str(home))
        patch.setenv("NOCTULE_MAX_FILE_BYTES", str(LIMIT))
        patch.setattr(receive, "hash_content", hash_then_replace)
        patch.setattr(sys, "argv", ["noctule", "run", str(inbox), *map(str, named)])
        out, err = io.StringIO(), io.StringIO()
        with (
            contextlib.redirect_stdout(out),
            contextlib.redirect_stderr(err),
            pytest.raises(SystemExit) as ended,
        ):
            main()
    code = int(ended.value.code or 0)
    return Hostile(folder, home, inbox, elsewhere, code, out.getvalue(), err.getvalue())


def simulated(folder: Path) -> list[list[str]]:
    """Simulate connections without a label; the last is the fullest moment of a flood."""
    from tasks.simulation.simulate import simulate_night

    simulate_night(folder / "night.csv", rows=1_000, seed=3, night=date(2026, 11, 2), labelled=True)
    frame = pl.read_csv(folder / "night.csv", infer_schema=False)
    flood = frame.filter(pl.col("attack") == "neptune").sort(pl.col("count").cast(pl.Int64))
    good = frame.filter(pl.col("attack") == "normal").head(60)
    return [list(row) for row in pl.concat([good, flood.tail(1)]).select(NAMES).rows()]


def text(rows: Sequence[Sequence[str]], separator: str = ",") -> bytes:
    """Write connections below their header."""
    return "".join(f"{separator.join(cells)}\n" for cells in (NAMES, *rows)).encode()


def change(cells: Sequence[str], column: str, value: str) -> list[str]:
    """Replace one cell."""
    return [value if name == column else cell for name, cell in zip(NAMES, cells, strict=True)]


def put_files(inbox: Path, rows: list[list[str]]) -> None:
    """Write the files that cannot be used."""
    few = rows[:20]
    plain = text(few)
    contents = {
        "marked.csv": b"\xff\xfe" + plain.decode().encode("utf-16-le"),
        "unmarked.csv": plain.decode().encode("utf-16-be"),
        "junk.csv": random.Random(1).randbytes(200_000),  # noqa: S311 - no secret
        "bomb.csv.gz": gzip.compress(bytes(LIMIT + 1)),
        "bomb.csv.zst": zstandard.compress(bytes(LIMIT + 1)),
        "twice.csv": text(few).replace(b"dst_bytes", b"src_bytes", 1),
        "semicolons.csv": text(few, ";").replace(b".", b","),
        "tabs.csv": text(few, "\t"),
        "commas.csv": b"".join(
            line if number == 0 else line.replace(b".", b",")
            for number, line in enumerate(plain.splitlines(keepends=True))
        ),
        "wide.csv": b"".join(line + b",0" * 200_000 + b"\n" for line in plain.splitlines()[:4]),
    }
    for name, content in contents.items():
        (inbox / name).write_bytes(content)
    with zipfile.ZipFile(inbox / "archive.csv", "w") as archive:
        archive.writestr("night.csv", plain)
    equal = pl.read_csv(plain).head(1).select(pl.all().repeat_by(500_000).explode()).to_arrow()
    with pq.ParquetWriter(inbox / "bomb.parquet", equal.schema) as bomb:
        for _ in range(4):
            bomb.write_table(equal)
    settle(inbox)


def put_lines(path: Path, rows: list[list[str]]) -> None:
    """Write the file of lines that are bad, each between two good ones, and of hostile values."""
    good = iter(rows)
    bad = [",".join(change(next(good), column, value)) for column, value, *_ in SPOILT]
    lines = [",".join(NAMES), ",".join(next(good))]
    for line in (*bad, lines[0], "x" * 10_000_000):
        lines += [line, ",".join(next(good))]
    lines += [",".join(change(rows[-1], "service", service)) for service in SERVICES]
    lines.append(",".join(next(good)[:12]))  # and no line end
    path.write_bytes("\n".join(lines).encode())
    settle(path.parent)


def put_links(inbox: Path, outside: Path) -> None:
    """Put in what is no file, or none of the inbox's."""
    for name in ("new\nline.csv", "..dots.csv"):
        (inbox / name).write_bytes(outside.read_bytes())
    (inbox / "leaves.csv").symlink_to(outside)
    (inbox / "loop.csv").symlink_to(inbox / "pool.csv")
    (inbox / "pool.csv").symlink_to(inbox / "loop.csv")
    (inbox / "folder.csv").mkdir()
    os.mkfifo(inbox / "pipe.csv")


def settle(inbox: Path) -> None:
    """Let the files of an inbox be years old."""
    old = datetime(2020, 1, 1, tzinfo=UTC).timestamp()
    for path in inbox.iterdir():
        os.utime(path, (old, old))


def counts(batch: dict[str, Any]) -> tuple[int, ...]:
    """Return a batch's accounting, which adds up."""
    parts = ("rows_scored", "rows_quarantined", "rows_rejected", "rows_known")
    assert batch["rows_read"] == sum(batch[name] for name in parts)
    return tuple(batch[name] for name in ("rows_read", *parts[:3]))


# Files


def test_the_command_ends_with_3_and_without_a_traceback(hostile: Hostile) -> None:
    assert hostile.code == 3
    assert hostile.err == ""
    assert "Traceback" not in hostile.out
    assert all(line.isprintable() for line in hostile.out.splitlines())


TOO_LARGE = "15,000,000 bytes, the limit that NOCTULE_MAX_FILE_BYTES sets. None of it is stored."


@pytest.mark.parametrize(
    ("name", "rows", "reason"),
    [
        ("marked.csv", 0, f"it is UTF-16 text. {READ} Convert the file."),
        ("unmarked.csv", 0, f"it is UTF-16 text. {READ} Convert the file."),
        ("archive.csv", 0, f"it is a zip archive. {READ} Unpack it, and deliver the CSV"),
        ("junk.csv", 795, "It holds NUL bytes, which no text does: it may be of another format."),
        ("bomb.csv.gz", 0, f"its content is larger than {TOO_LARGE}"),
        ("bomb.csv.zst", 0, f"its content is larger than {TOO_LARGE}"),
        ("bomb.parquet", 2_000_000, f"its records hold more than {TOO_LARGE}"),
        ("twice.csv", 20, "more than one column is named src_bytes."),
        ("semicolons.csv", 20, "Its fields are separated by semicolons: deliver it with commas."),
        ("tabs.csv", 20, "Its fields are separated by tabs: deliver it with commas."),
        ("commas.csv", 20, "(20 rows, such as line 2: expected 41 fields, found 56)"),
        ("wide.csv", 4, "its first line is longer than 65536 bytes."),
    ],
)
def test_a_file_that_is_no_table_of_connections_is_rejected_whole_with_what_it_is(
    hostile: Hostile, name: str, rows: int, reason: str
) -> None:
    batch = hostile.batch(name)
    assert reason in batch["rejection"]
    assert batch["status"] == "rejected"
    assert counts(batch) == (rows, 0, 0, rows)
    assert hostile.table_row(name) == [
        "2020-01-01", "rejected", f"{rows:,}", "0", "0", f"{rows:,}", "-", batch["rejection"],
    ]  # fmt: skip
    with hostile.database() as engine, engine.connect() as connection:
        for table in (scoring, quarantined_row):
            stored = sa.select(table).where(table.c.batch_id == batch["batch_id"])
            assert connection.execute(stored).all() == []


def test_the_bombs_are_small_and_what_they_hold_is_not_in_the_lake(hostile: Hostile) -> None:
    for name in ("bomb.csv.gz", "bomb.csv.zst", "bomb.parquet"):
        assert (hostile.inbox / name).stat().st_size < LIMIT / 40
    size = sum(path.stat().st_size for path in (hostile.home / "lake").rglob("*"))
    assert size < LIMIT / 3


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("replaced.csv", "{path} changed while it was worked on. Nothing was stored; run it again"),
        ("pipe.csv", "Cannot read {path}: it is not a regular file. Give the path of a file"),
        ("loop.csv", "Cannot read {path}: Too many levels of symbolic links. Nothing was stored."),
    ],
)
def test_a_named_file_that_is_none_or_does_not_lie_still_is_left_to_do(
    hostile: Hostile, name: str, reason: str
) -> None:
    place = hostile.elsewhere if name == "replaced.csv" else hostile.inbox
    _, status, *numbers, message = hostile.table_row(name)
    assert (status, numbers) == ("failed", ["0", "0", "0", "0", "-"])
    assert message.startswith(reason.format(path=place / name))
    with hostile.database() as engine, engine.connect() as connection:
        assert name not in set(connection.scalars(sa.select(delivery.c.file_name)))
        assert name not in {row["file_name"] for row in batch_rows(engine)}


@pytest.mark.parametrize(
    ("name", "reason"),
    [
        ("new\nline.csv", "its name holds characters that cannot be shown; rename it"),
        ("..dots.csv", "hidden"),
        ("leaves.csv", "a link that leaves the inbox"),
        ("loop.csv", "cannot be examined: Too many levels of symbolic links"),
        ("pool.csv", "cannot be examined: Too many levels of symbolic links"),
        ("folder.csv", "a folder"),
        ("pipe.csv", "not a regular file"),
    ],
)
def test_what_is_no_file_of_the_inbox_is_left_with_its_reason(
    hostile: Hostile, name: str, reason: str
) -> None:
    shown = name.replace("\n", r"\n")
    assert f"left for next time: {shown}: {reason}" in hostile.out.splitlines()
    with hostile.database() as engine, engine.connect() as connection:
        assert name not in set(connection.scalars(sa.select(delivery.c.file_name)))


def test_a_name_that_leads_upwards_leads_nowhere(hostile: Hostile) -> None:
    assert set(hostile.folder.iterdir()) == {hostile.home, hostile.inbox, hostile.elsewhere}
    batch = hostile.batch(LINES)
    with hostile.database() as engine, engine.connect() as connection:
        source = sa.select(delivery.c.source_path).where(delivery.c.batch_id == batch["batch_id"])
        assert connection.scalars(source).all() == [str(hostile.inbox / LINES)]
    lake = hostile.home / "lake"
    assert {path.name for path in lake.iterdir()} == {"nsl_kdd", "unrecognised"}
    assert batch["batch_id"] in {path.name for path in (lake / "nsl_kdd").iterdir()}
    assert all(len(path.name) == 64 for path in lake.glob("*/*"))


# Lines


def test_the_lines_around_bad_ones_are_scored(hostile: Hostile) -> None:
    batch = hostile.batch(LINES)
    bad, good = len(BAD_LINES) + 1, len(BAD_LINES) + 1 + len(SERVICES)
    assert batch["status"] == "scored"
    assert counts(batch) == (good + bad, good, bad, 0)
    flagged = batch["rows_flagged"]
    assert hostile.table_row(LINES) == [
        "2026-11-05", "scored", str(good + bad), str(good), str(bad), "0", str(flagged),
        f"scored {good} connections, flagged {flagged}",
    ]  # fmt: skip
    rows = sa.select(prediction.c.row_number).join(
        scoring, scoring.c.scoring_id == prediction.c.scoring_id
    )
    with hostile.database() as engine, engine.connect() as connection:
        scored = connection.scalars(rows.where(scoring.c.batch_id == batch["batch_id"]))
        first, rest = range(1, 2 * len(BAD_LINES) + 2, 2), range(2 * len(BAD_LINES) + 2, good + bad)
        assert sorted(scored) == [*first, *rest]


@pytest.mark.parametrize(("place", "expected"), list(enumerate([*BAD_LINES, HALF_LINE])))
def test_a_bad_line_is_kept_with_its_number_its_reasons_and_its_bytes(
    hostile: Hostile, place: int, expected: tuple[str, str]
) -> None:
    source = (hostile.inbox / LINES).read_bytes().split(b"\n")
    number = len(source) if expected == HALF_LINE else 3 + 2 * place
    stored = hostile.lines_stored()[place]
    assert (stored["stage"], stored["reasons"]) == (expected[0], [expected[1]])
    assert (stored["line_number"], stored["row_number"]) == (number, number - 1)
    assert stored["raw"] == source[number - 1][:KEPT]


def test_a_line_of_10_mb_is_printed_as_a_screenful(
    hostile: Hostile, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(hostile.home))
    printed = noctule("quarantine", "--batch", hostile.batch(LINES)["batch_id"]).out
    (line,) = [line for line in printed.splitlines() if "xxx" in line]
    assert line.count("x") == 2_000 + LINES.count("x")
    assert all(line.isprintable() for line in printed.splitlines())


# Values


def test_hostile_values_are_stored_as_they_came(hostile: Hostile) -> None:
    with hostile.database() as engine:
        rows = flagged_rows(engine, batch=hostile.batch(LINES)["batch_id"])
    first = 2 * len(BAD_LINES) + 3
    services = {row["line_number"]: row["record"]["service"] for row in rows}
    assert [services[first + place] for place in range(len(SERVICES))] == list(SERVICES)


def test_a_service_that_nobody_has_seen_is_reported_as_text_that_no_terminal_obeys(
    hostile: Hostile,
) -> None:
    told = [line for line in hostile.out.splitlines() if line.startswith(f"{LINES}: service: ")]
    assert any(f"{len(SERVICES)} rows, such as '{SERVICES[0]}'" in line for line in told)
    assert any(r"\x1b[2J\x1b]0;owned\x07" in line for line in told)


def test_hostile_values_are_text_on_the_page_of_the_validation(hostile: Hostile) -> None:
    batch_id = hostile.batch(LINES)["batch_id"]
    page = hostile.home / "lake" / "nsl_kdd" / batch_id / "validate" / "validation.html"
    shown = page.read_text(encoding="utf-8")
    assert "<script>" not in shown
    assert "DROP TABLE batch" in shown


# What is exported


@pytest.fixture
def exported(
    hostile: Hostile, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> Callable[..., list[dict[str, str]]]:
    """Export with ``--csv`` what a command reads of the night, and read it back."""
    monkeypatch.setenv("NOCTULE_HOME", str(hostile.home))

    def export(*arguments: object) -> list[dict[str, str]]:
        ended = noctule(*arguments, "--csv")
        assert (ended.code, ended.err) == (0, "")
        lines = ended.out.split("\r\n")
        assert all(line.isprintable() for line in lines)
        rows = list(csv.DictReader(io.StringIO(ended.out, newline=""), strict=True))
        assert len(rows) == len(lines) - 2, "a row is a line, and each line ends"
        return rows

    return export


@pytest.mark.parametrize("command", ["flagged", "batches", "quarantine", "drift"])
def test_every_column_is_exported_and_no_cell_of_it_is_a_formula(
    hostile: Hostile,
    exported: Callable[..., list[dict[str, str]]],
    noctule: "Callable[..., Ended]",
    command: str,
) -> None:
    chosen = ["--date", "2026-11-05", "--limit", "1000"]
    rows = exported(command, *chosen)
    told = json.loads(noctule(command, *chosen, "--json").out)
    assert rows
    assert [list(row) for row in rows] == [list(row) for row in told]
    for row, values in zip(rows, told, strict=True):
        assert row["file_name"] == f"'{LINES}"
        for name, cell in row.items():
            if isinstance(values[name], int | float | list | dict):
                assert json.loads(cell) == values[name]
            else:
                assert cell[:1] not in {"=", "+", "-", "@", "\t", "\r"}


def test_exported_lines_and_values_are_those_that_are_stored(
    hostile: Hostile, exported: Callable[..., list[dict[str, str]]]
) -> None:
    batch_id = hostile.batch(LINES)["batch_id"]
    lines = exported("quarantine", "--batch", batch_id)
    stored = hostile.lines_stored()
    assert [row["raw_text"] for row in lines] == [row["raw_text"] for row in stored]
    assert max(len(row["raw_text"]) for row in lines) == KEPT
    flagged = exported("flagged", "--batch", batch_id)
    services = {json.loads(row["record"])["service"] for row in flagged}
    assert services >= set(SERVICES)


def test_rows_past_the_limit_are_told_beside_the_export(
    hostile: Hostile, noctule: "Callable[..., Ended]", monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_HOME", str(hostile.home))
    ended = noctule("batches", "--csv", "--limit", "2")
    assert ended.code == 0
    assert ended.out.count("\r\n") == 3
    assert ended.err == "the first 2 rows; --limit shows more\n"


def test_an_export_of_nothing_has_its_columns(
    hostile: Hostile, exported: Callable[..., list[dict[str, str]]], noctule: "Callable[..., Ended]"
) -> None:
    assert exported("flagged", "--date", "2026-11-30") == []
    header = noctule("flagged", "--date", "2026-11-30", "--csv").out
    assert header.startswith('"connection_id","batch_id","batch_date",')


@pytest.mark.parametrize("command", ["flagged", "batches", "quarantine", "drift"])
def test_json_and_csv_at_once_end_with_2(noctule: "Callable[..., Ended]", command: str) -> None:
    ended = noctule(command, "--json", "--csv")
    assert (ended.code, ended.out) == (2, "")
    assert ended.err == ("noctule: Cannot use --json and --csv together. Give one of them.\n")


# And after all that


def test_every_table_is_there_and_every_row_accounted_for(hostile: Hostile) -> None:
    with hostile.database() as engine, engine.connect() as connection:
        stored = {
            table.name: connection.scalar(sa.select(sa.func.count()).select_from(table))
            for table in metadata.sorted_tables
        }
        batches = batch_rows(engine)
    assert stored["batch"] == stored["delivery"] == len(batches) == 13
    assert stored["quarantined_row"] == sum(row["rows_quarantined"] for row in batches)
    assert stored["prediction"] == sum(row["rows_scored"] for row in batches)
    assert stored["flagged_connection"] >= len(SERVICES)
    assert [counts(row) for row in batches]


def test_the_same_inbox_again_changes_no_table_but_run(
    hostile: Hostile,
    noctule: "Callable[..., Ended]",
    content: Callable[[Path], dict[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    home: Path,
) -> None:
    again = tmp_path / "again"
    shutil.copytree(hostile.home, again)
    monkeypatch.setenv("NOCTULE_HOME", str(again))
    monkeypatch.setenv("NOCTULE_MAX_FILE_BYTES", str(LIMIT))
    before = content(again)
    ended = noctule("run", hostile.inbox)
    after = content(again)
    assert (ended.code, ended.err) == (3, "")
    with hostile.database() as engine:
        rejected = sum(row["status"] == "rejected" for row in batch_rows(engine))
    assert ended.out.startswith(
        f"Nothing to do: no new file, 7 left for next time; {rejected} earlier rejections open.\n"
    )
    assert {name for name in before if before[name] != after[name]} == {"run"}
