"""One table, in each form that is read, gives the same rows and the same faults."""

import json
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Contract, Form
from tasks.intake.content import hash_content
from tasks.intake.ingest import ingest_file
from tests.support.sources import column, contract

TABLE = contract(
    "table",
    column("seen_at", "time", formats=("iso", "epoch_ns"), zone="Europe/Berlin"),
    column("src_ip", "address"),
    column("src_port", "port"),
    column("proto", "protocol"),
    column("flags", "set", separator="|", nullable=True),
    column("service", "category", "svc"),
    column("src_bytes", "count", scale=1000.0),
    column("packets", "count"),
    column("duration_s", "interval", scale=0.001, resolution=1e-6),
    column("rate", "number", nullable=True),
    column("is_long", "flag"),
    column("tos", "count", optional=True, nullable=True),
    form=Form(separators=(",", "\t"), nulls=("-",), non_finite="null"),
)
ROWS: tuple[Mapping[str, object], ...] = (
    {"seen_at": "2026-03-29T02:30:00", "src_ip": "2001:DB8::0:1", "src_port": "0x0050",
     "proto": "TCP", "flags": "SYN|ACK|SYN", "svc": " http ", "src_bytes": "1.2", "packets": 7,
     "duration_s": "1.5", "rate": "Infinity", "is_long": True},
    {"seen_at": "2026-10-25T02:30:00.0000019", "src_ip": "10.0.0.1", "src_port": 80, "proto": 6,
     "flags": "ACK|SYN", "svc": "1", "src_bytes": 0.004, "packets": "14.0", "duration_s": 1e-9,
     "rate": "-", "is_long": False},
    {"seen_at": "1767225600000000900", "src_ip": "-", "src_port": "http", "proto": "017",
     "flags": "-", "svc": 'a "b"; c', "src_bytes": 1000, "packets": 2**62, "duration_s": 0.25,
     "rate": 1e300, "is_long": "true"},
    {"seen_at": "2026-01-01", "src_ip": "", "src_port": "", "proto": "-", "flags": "",
     "svc": "dns", "src_bytes": 1.5, "packets": 1, "duration_s": 1, "rate": 1, "is_long": 0},
    {"seen_at": "2026-01-01", "src_ip": "", "src_port": "", "proto": "udp", "flags": "",
     "svc": "dns", "src_bytes": 1, "packets": 14.5, "duration_s": "1,5", "rate": 1, "is_long": 2},
)  # fmt: skip


def show(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


def write_text(path: Path, separator: str) -> None:
    texts = pl.DataFrame([{name: show(one) for name, one in row.items()} for row in ROWS])
    texts.write_csv(path, separator=separator)


def read(path: Path, declared: Contract) -> tuple[list[tuple], list[tuple]]:
    out = path.with_name(f"{path.name}-batch") / "ingest"
    out.mkdir(parents=True)
    summary = ingest_file(path, declared, out, hash_content(path).sha256)
    kept = pl.concat(pl.read_parquet(out.parent / part) for part in summary.parts)
    quarantined = pl.read_parquet(out.parent / (summary.quarantine or ""))
    return (
        kept.drop("line_number").rows(),
        quarantined.select("row_number", "reasons").rows(),
    )


@pytest.fixture(scope="module")
def from_csv(tmp_path_factory: pytest.TempPathFactory) -> tuple[list[tuple], list[tuple]]:
    path = tmp_path_factory.mktemp("csv") / "night.csv"
    write_text(path, ",")
    return read(path, TABLE)


def test_the_kinds_are_read_as_declared(from_csv: tuple[list[tuple], list[tuple]]) -> None:
    rows, faults = from_csv
    assert [row[2:] for row in rows] == [
        ("2001:db8::1", 80, "tcp", "ACK,SYN", "http", 1200, 7, 0.0015, None, 1, None),
        ("10.0.0.1", 80, "tcp", "ACK,SYN", "1", 4, 14, 0.0, None, 0, None),
        (None, None, "udp", None, 'a "b"; c', 1_000_000, 2**62, 0.00025, 1e300, 1, None),
    ]
    assert [row[1].isoformat() for row in rows] == [
        "2026-03-29T00:30:00+00:00",
        "2026-10-25T00:30:00.000001+00:00",
        "2026-01-01T00:00:00+00:00",
    ]
    assert [row for row, _ in faults] == [4, 5]


def test_tabs_hold_the_same(tmp_path: Path, from_csv: tuple[list[tuple], list[tuple]]) -> None:
    write_text(tmp_path / "night.tsv", "\t")
    assert read(tmp_path / "night.tsv", TABLE) == from_csv


def test_json_lines_hold_the_same(
    tmp_path: Path, from_csv: tuple[list[tuple], list[tuple]]
) -> None:
    path = tmp_path / "night.jsonl"
    path.write_text("".join(f"{json.dumps(row)}\n" for row in ROWS))
    assert read(path, replace(TABLE, form=replace(TABLE.form, kind="json"))) == from_csv


def test_parquet_holds_the_same(tmp_path: Path, from_csv: tuple[list[tuple], list[tuple]]) -> None:
    path = tmp_path / "night.parquet"
    pl.DataFrame([{name: show(one) for name, one in row.items()} for row in ROWS]).write_parquet(
        path
    )
    assert read(path, TABLE) == from_csv


def test_a_typed_table_holds_the_same(tmp_path: Path) -> None:
    typed = pl.DataFrame(
        {
            "seen_at": pl.Series([1_767_225_600_000_000_900]).cast(pl.Datetime("ns", "UTC")),
            "proto": [6],
            "flags": [["SYN", "ACK"]],
            "svc": ["http"],
            "src_bytes": [1.2],
            "packets": [7.0],
            "duration_s": [1.5],
            "rate": [float("nan")],
            "is_long": [True],
        }
    )
    typed.write_parquet(tmp_path / "night.parquet")
    row = {"seen_at": 1_767_225_600_000_000_900, "flags": ["SYN", "ACK"], "rate": "nan"}
    record = typed.row(0, named=True) | row
    (tmp_path / "night.jsonl").write_text(f"{json.dumps(record)}\n")
    as_json = replace(TABLE, form=replace(TABLE.form, kind="json"))
    found = [
        read_kept(tmp_path / "night.parquet", TABLE),
        read_kept(tmp_path / "night.jsonl", as_json),
    ]
    assert found[0] == [{name: row[name] for name in found[0][0]} for row in found[1]]
    assert found[0][0]["flags"] == "ACK,SYN"


def read_kept(path: Path, declared: Contract) -> list[dict]:
    out = path.with_name(f"{path.name}-batch") / "ingest"
    out.mkdir(parents=True)
    summary = ingest_file(path, declared, out, hash_content(path).sha256)
    return pl.concat(pl.read_parquet(out.parent / part) for part in summary.parts).to_dicts()


def test_lines_that_the_contract_takes_for_no_rows_are_told(tmp_path: Path) -> None:
    declared = contract(
        "totals",
        column("service", "category"),
        column("packets", "count"),
        form=Form(comment="#", trailer="Sum", trailer_lines=2),
    )
    path = tmp_path / "night.csv"
    path.write_text("# above\nservice,packets\ndns,1\n#\n\nSum,2\nftp,3\nhttp,4\n")
    (tmp_path / "out").mkdir()
    summary = ingest_file(path, declared, tmp_path / "out", hash_content(path).sha256)
    assert (summary.rows_read, summary.blank_lines, summary.unread_lines) == (2, 1, 3)
    assert summary.notes == (
        "comments or closing lines by the contract, not read as rows: 3 lines",
    )
