"""Quarantined lines, written as a file again, are read as they were read in theirs."""

from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Contract, Form
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.parquet_lines import read_rendered
from tasks.intake.parquet_records import read_layout
from tasks.intake.replay_lines import find_separator, name_file, write_lines
from tests.support.sources import column, contract

Ingested = tuple[IngestSummary, pl.DataFrame, list[tuple]]

COLUMNS = (
    column("started_at", "time", "StartTime", formats=("%d/%m/%Y %H:%M:%S",)),
    column("src_ip", "address", "Src Addr"),
    column("src_bytes", "count", "Src Bytes"),
    column("state", "category", "State", nullable=True),
)
NAMES = ("StartTime", "Src Addr", "State", "Src Bytes")
ORDER = ("started_at", "src_ip", "state", "src_bytes")
TIME = "07/08/2025 20:27:38"


def make(form: Form) -> Contract:
    return contract("flows", *COLUMNS, form=form)


@pytest.fixture
def ingest(tmp_path: Path) -> Callable[[Path, Contract], Ingested]:
    """Return a function that ingests a file: its summary, rows, and (row, reasons, raw)."""

    def run(path: Path, one: Contract) -> Ingested:
        out = tmp_path / f"out-{path.name}"
        out.mkdir()
        summary = ingest_file(path, one, out, hash_content(path).sha256)
        parts = [pl.read_parquet(part) for part in sorted(out.glob("connections*"))]
        rows = pl.concat(parts) if parts else pl.DataFrame()
        bad = out / "quarantine.parquet"
        unparsed = pl.read_parquet(bad) if bad.exists() else pl.DataFrame()
        columns = [unparsed[name] for name in ("row_number", "reasons", "raw") if bad.exists()]
        return summary, rows, pl.DataFrame(columns).rows()

    return run


def again(folder: Path, one: Contract, summary: IngestSummary, lines: list[bytes]) -> Path:
    """Write lines as a replay does."""
    path = folder / name_file("again", one.form)
    separator = find_separator(lines, len(summary.field_names), one.form)
    names = None if one.form.kind == "json" else summary.field_names
    write_lines(path, enumerate(lines, start=1), one.form, names, separator)
    return path


TEXTS = {
    "commas": (Form(), ",".join(NAMES), ","),
    "tabs": (Form(separators=("\t",)), "\t".join(NAMES), "\t"),
    "one of several": (Form(separators=(",", "|")), "|".join(NAMES), "|"),
    "without quotes": (Form(separators=(";",), has_quotes=False), ";".join(NAMES), ";"),
    "without a header": (Form(orders=(ORDER,)), None, ","),
    "a header passed over": (Form(orders=(ORDER,), header="ignored"), "a,b,c,d", ","),
}


@pytest.mark.parametrize("name", TEXTS)
def test_lines_of_text_keep_their_fate(
    tmp_path: Path, ingest: Callable[[Path, Contract], Ingested], name: str
) -> None:
    form, header, separator = TEXTS[name]
    one = make(form)
    good = separator.join([TIME, "10.0.0.1", "CON", "5"])
    spoiled = [
        separator.join([TIME, "10.0.0.1", "CON", "five"]),
        separator.join([TIME, "10.0.0.1"]),
        separator.join(["yesterday", "10.0.0.1", "CON", "5"]),
        separator.join([TIME, "10.0.0.1", "", ""]),
    ]
    path = tmp_path / "night.csv"
    lines = [*([header] if header else []), *[good] * 6, *spoiled]
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    summary, rows, unparsed = ingest(path, one)
    assert (rows.height, [raw for *_, raw in unparsed]) == (
        7, [line.encode() for line in spoiled if "yesterday" not in line],
    )  # fmt: skip
    raw = [raw for *_, raw in unparsed]
    replayed, later, still = ingest(again(tmp_path, one, summary, [good.encode(), *raw]), one)
    assert (
        later.drop("row_number", "line_number").rows()
        == rows.head(1).drop("row_number", "line_number").rows()
    )
    assert [(reasons, raw) for _, reasons, raw in still] == [row[1:] for row in unparsed]
    assert replayed.field_names == summary.field_names or name == "without quotes"


def test_lines_of_json_keep_their_fate(
    tmp_path: Path, ingest: Callable[[Path, Contract], Ingested]
) -> None:
    one = make(Form(kind="json", records={"type": "flow"}))
    good = b'{"type":"flow","Src Bytes":5,"Src Addr":"10.0.0.1"}'
    spoiled = [b'{"type":"flow","Src Bytes":"five"}', b"{", b'{"type":"flow","State":"CON"}']
    path = tmp_path / "night.json"
    path.write_bytes(b"\n".join([b'{"type":"dns"}', good, *spoiled]))
    summary, rows, unparsed = ingest(path, one)
    assert (rows.height, [raw for *_, raw in unparsed]) == (1, spoiled)
    _, later, still = ingest(again(tmp_path, one, summary, [*spoiled, good]), one)
    assert later["src_bytes"].to_list() == [5]
    assert [row[1:] for row in still] == [row[1:] for row in unparsed]


RECORDS = pl.DataFrame(
    {
        "StartTime": [datetime(2025, 8, 7, 20, 27, 38), None],  # noqa: DTZ001 - as Parquet has it
        "Seen": [datetime(2025, 8, 7, 20, 27, 38, 250_000, UTC), None],
        "Day": [date(2025, 8, 7), None],
        "Dur": [timedelta(milliseconds=1_500), timedelta(0)],
        "Src Addr": ['a "b", c', "x\ty|z"],
        "Names": [["dns", "http"], []],
        "Rate": [Decimal("0.25"), None],
        "Open": [True, False],
        "Src Bytes": [5, 6],
    }
)
TYPED = (
    column("started_at", "time", "StartTime", formats=("%d/%m/%Y %H:%M:%S",)),
    column("seen_at", "time", "Seen", formats=("epoch_ms",)),
    column("day", "time", "Day"),
    column("duration_ms", "interval", "Dur", scale=0.001),
    column("src_ip", "category", "Src Addr"),
    column("services", "set", "Names", nullable=True),
    column("rate", "number", nullable=True),
    column("is_open", "flag", "Open"),
    column("src_bytes", "count", "Src Bytes"),
)
FORMS = {
    "commas": Form(),
    "tabs": Form(separators=("\t",)),
    "blanks": Form(separators=("blanks",)),
    "JSON": Form(kind="json"),
}


@pytest.mark.parametrize("name", FORMS)
def test_records_of_parquet_are_written_as_their_contract_reads_them(
    tmp_path: Path, ingest: Callable[[Path, Contract], Ingested], name: str
) -> None:
    one = contract("typed", *TYPED, form=FORMS[name])
    path = tmp_path / "night.parquet"
    RECORDS.write_parquet(path)
    summary, rows, unparsed = ingest(path, one)
    assert (rows.height, unparsed) == (2, [])
    moment = datetime(2025, 8, 7, 20, 27, 38, tzinfo=UTC)
    assert rows.row(0)[2:] == (
        moment, moment.replace(microsecond=250_000), datetime(2025, 8, 7, tzinfo=UTC), 1.5,
        'a "b", c', "dns,http", 0.25, 1, 5,
    )  # fmt: skip
    layout = read_layout(path, one, 1 << 30)
    lines = read_rendered(path, [1, 2], layout=layout)
    _, later, still = ingest(again(tmp_path, one, summary, list(lines.values())), one)
    assert not still
    assert later.rows() == [
        (*row[:1], *later.row(at)[1:2], *row[2:]) for at, row in enumerate(rows.rows())
    ]
