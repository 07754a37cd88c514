"""A draft of any table is a page that reads the table it was made from."""

import tempfile
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from expectations.pages import parse_page
from tasks.contracts.check import check_file
from tasks.contracts.draft import draft_contract
from tasks.contracts.draft_page import write_page
from tasks.contracts.sample import read_sample

ROWS = 60
COLUMNS = {
    "number": lambda n: f"{n * 37 % 101 / 8}",
    "count": lambda n: f"{n * 37 % 101}",
    "negative": lambda n: f"{n - 30}",
    "missing": lambda n: ("", "NA", f"{n * 3}")[n % 3],
    "infinite": lambda n: ("Infinity", f"{n * 3}.5")[n % 2],
    "huge": lambda n: f"{n + 1}e21",
    "flag": lambda n: ("true", "false")[n % 2],
    "name": lambda n: ("http", "dns", "ssl")[n % 3],
    "names": lambda n: ("http", "dns", "dns/http")[n % 3].replace("/", ","),
    "dashes": lambda n: ("-", "a b")[n % 2],
    "umlauts": lambda n: ("Zürich", "Köln")[n % 2],
    "address": lambda n: f"10.1.{n}.7",
    "six": lambda n: f"2001:db8::{n:x}",
    "port": lambda n: f"{n * 1000 + 22}",
    "protocol": lambda n: ("tcp", "udp", "icmp")[n % 3],
    "iso": lambda n: f"2024-05-{n % 28 + 1:02}T10:{n:02}:30.5Z",
    "day first": lambda n: f"{n % 28 + 1}/5/2024 {n % 24}:{n:02}",
    "epoch": lambda n: f"{1_700_000_000 + n * 60}",
    "clock": lambda n: f"00:{n:02}:30.250",
    "date": lambda n: f"2024-05-{n % 28 + 1:02}",
    "comma": lambda n: f"{n},5",
    "endpoint": lambda n: f"10.0.0.{n}:{n + 1000}",
    "constant": lambda _: "0",
    "empty": lambda _: "",
    "row": lambda n: f"{n + 1}",
    "text": lambda n: f"id-{n * 7919}",
}
NAMES = st.one_of(
    st.sampled_from(
        ["StartTime", "Dur", "SrcAddr", "dst_ip", "Src Port", "proto", " Flow Bytes/s", "Label",
         "service", "in_bytes", "Größe", "x.y", "Σ", "row_number", "id", 'a"b', "class"]
    ),
    st.text(st.characters(exclude_categories=["C"]), min_size=1, max_size=12),
)  # fmt: skip
OPTIONS = settings(
    suppress_health_check=[HealthCheck.too_slow], deadline=None, phases=set(Phase) - {Phase.shrink}
)
"""Each try takes a second, and a shrunk table says no more than a small one."""
TABLES = st.lists(
    st.tuples(NAMES, st.sampled_from(sorted(COLUMNS))), min_size=2, max_size=6,
    unique_by=lambda one: one[0],
)  # fmt: skip


def write_table(path: Path, table: list[tuple[str, str]], form: tuple[str, bool, str, str]) -> None:
    """Write a table with a number of its own in front, so that no row is blank."""
    separator, has_header, line_end, encoding = form
    named = [("first of all", "number"), ("then", "name"), *table]

    def quote(cell: str) -> str:
        plain = cell.replace('"', '""')
        return f'"{plain}"' if separator in cell or '"' in cell else cell

    lines = [separator.join(quote(name) for name, _ in named)] if has_header else []
    lines += [separator.join(quote(COLUMNS[kind](n)) for _, kind in named) for n in range(ROWS)]
    path.write_bytes(line_end.join(lines).encode(encoding, "replace"))


@settings(OPTIONS, max_examples=25)
@given(
    TABLES,
    st.tuples(
        st.sampled_from(",;\t|"), st.booleans(), st.sampled_from(["\n", "\r\n"]),
        st.sampled_from(["utf-8", "utf-8-sig", "cp1252"]),
    ),
)  # fmt: skip
def test_a_draft_fits_the_text_it_was_made_from(
    table: list[tuple[str, str]], form: tuple[str, bool, str, str]
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flows.csv"
        write_table(path, table, form)
        require_fit(path)


@settings(OPTIONS, max_examples=10)
@given(TABLES)
def test_a_draft_fits_the_parquet_it_was_made_from(table: list[tuple[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "flows.parquet"
        columns = {name: [COLUMNS[kind](n) for n in range(ROWS)] for name, kind in table}
        numbers = pl.Series([n * 37 % 101 / 8 for n in range(ROWS)])
        pl.DataFrame({"first of all": numbers, **columns}).write_parquet(path)
        require_fit(path)


def require_fit(path: Path) -> None:
    """Assert that a draft is a page, and that its contract reads every row of the file."""
    page = write_page(draft_contract(read_sample(path)), "drafted", path.name)
    contract = parse_page(Path("drafted.toml"), page.encode())

    found = check_file(path, contract, path.parent / "work", datetime(2030, 1, 1, tzinfo=UTC))

    assert found.fits, (found.refusal, page)
    assert (found.rows_read, found.rows_quarantined) == (ROWS, 0), (found.reasons, page)
