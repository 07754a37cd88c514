"""Every line of JSON, however it was mangled, has the fate that plain Python gives it."""

import json
import re
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import polars as pl
from hypothesis import example, given, settings
from hypothesis import strategies as st

from expectations.contract import Contract, Form
from tasks.intake.content import hash_content
from tasks.intake.ingest import ingest_file
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tests.support.oracles.json_oracle import read_fields, read_lines
from tests.support.sources import column, contract

COLUMNS = (
    column("kind", "category", nullable=True),
    column("src_bytes", "count", "flow.src|a.b.c", nullable=True),
    column("services", "set", nullable=True),
    column("is_open", "flag", "open", nullable=True),
)
PLAIN = contract("plain", *COLUMNS, form=Form(kind="json"))
MIXED = contract("mixed", *COLUMNS, form=Form(kind="json", records={"kind": "flow"}))
MEANT = {
    "kind": ("kind", 0), "flowsrc": ("src_bytes", 0), "abc": ("src_bytes", 1),
    "srcbytes": ("src_bytes", 2), "services": ("services", 0), "open": ("is_open", 0),
    "isopen": ("is_open", 1),
}  # fmt: skip
"""Name -> column, and which of the names of that column it is."""
GOOD = b'{"kind":"flow","src_bytes":1,"services":["b","a"],"is_open":true}'


def fold(name: str) -> str:
    return "".join(one for one in name.lower() if one not in " \t_.-'\"`#")


def read_record(fields: list[tuple[str, Any]]) -> tuple | None:  # noqa: C901, PLR0911, PLR0912 - a case for each type
    """Return the values of a record; None if it is not parsed."""
    values: dict[str, Any] = dict.fromkeys(("kind", "src_bytes", "services", "is_open"))
    meant = [(*MEANT[fold(name)], value) for name, value in fields if fold(name) in MEANT]
    best = {column: min(rank for one, rank, _ in meant if one == column) for column, *_ in meant}
    found = [(column, value) for column, rank, value in meant if rank == best[column]]
    if len({name for name, _ in found}) < len(found):
        return None
    for name, value in found:
        if value is None:
            continue
        if any("\ud800" <= one <= "\udfff" for one in str(value)):
            return None
        if isinstance(value, list) and name != "services":
            return None
        if name == "services":
            parts = value if isinstance(value, list) else [value]
            if any(isinstance(one, list | dict) for one in parts):
                return None
            texts = [str(one).lower() if isinstance(one, bool) else one for one in parts]
            names = {one.strip() for text in texts if text for one in text.split(",")}
            values[name] = ",".join(sorted(names - {""})) or None
            continue
        text = str(value).lower() if isinstance(value, bool) else value
        if text == "":
            continue
        if name == "kind":
            values[name] = text
        elif name == "is_open" and text in {"true", "false", "0", "1"}:
            values[name] = int(text in {"true", "1"})
        else:
            try:
                number = float(text)
            except ValueError:
                return None
            if not number.is_integer() or abs(number) >= 2**63 or text != text.strip():
                return None
            values[name] = int(number)
    return tuple(values.values())


SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-5, 10**6),
    st.sampled_from([2**70, 1.5, 3.0, "", "flow", "alert", "7", "http", "ä", "\U0001f600"]),
)
NAMES = st.sampled_from(["kind", "src_bytes", "flow.src", "services", "is_open", "open", "x", "a"])
RECORDS = st.dictionaries(
    NAMES,
    st.one_of(
        SCALARS,
        st.lists(st.sampled_from(["http", "dns", "b,a", None, True, ["x"]]), max_size=3),
        st.dictionaries(st.sampled_from(["src", "b", "y"]), SCALARS, max_size=2),
        st.just({"b": {"c": 4}}),
    ),
    max_size=5,
)
SPOILED = st.sampled_from(
    [
        b"", b" ", b"[1]", b"3", b"null", b'"x"', b"{", b"}", b'{"kind":"flow"', b"\xff",
        b'{"kind":"flow","kind":"flow"}', b'{"kind":"\\ud800"}', b'{"src_bytes":NaN}',
        b'{"src_bytes":01}', b'{"src_bytes":1.}', b'{"a":{"b":{"c":5}},"src_bytes":5}',
        b'{"kind":"alert","x":', b"{} {}", b'{"kind":"fl\\u006fw"}', b"\t{}\r", b'{"a":"\x01"}',
    ]
)  # fmt: skip
LINES = st.one_of(
    RECORDS.map(lambda record: json.dumps(record, ensure_ascii=False).encode()), SPOILED
)
CUT = st.tuples(LINES, st.integers(0, 60)).map(lambda one: one[0][: one[1]])


@settings(max_examples=60, deadline=None)
@given(
    lines=st.lists(st.one_of(LINES, LINES, CUT), max_size=12),
    block_bytes=st.sampled_from([1, 50, 1 << 20]),
    known=st.integers(0, 400),
    ending=st.sampled_from([b"\n", b"\r\n", b""]),
)
@example(lines=[b'{"kind":"alert"}', b'{"kind":"flow"}'], block_bytes=1, known=20, ending=b"")
def test_every_line_has_its_fate(
    lines: list[bytes], block_bytes: int, known: int, ending: bytes
) -> None:
    between = ending or b"\n"
    content = between.join([GOOD, *lines]) + ending
    for one in (PLAIN, MIXED):
        rows, blank = read_lines(content, one.form.records)
        rows = [row for row in rows if row.fields is not None or may_be_flow(row.raw, one)]
        with TemporaryDirectory() as folder:
            path = Path(folder) / "night.json"
            path.write_bytes(content)
            out = Path(folder) / "out"
            out.mkdir()
            sha256 = hash_content(path).sha256
            summary = ingest_file(path, one, out, sha256, IngestOptions(block_bytes=block_bytes))
            parsed = [row for part in sorted(out.glob("conn*")) for row in read(part).rows()]
            bad = out / "quarantine.parquet"
            unparsed = read(bad).rows() if bad.exists() else []
            source = open_source(path, one)
            assert source.count_rows() == len(rows)
            assert list(source.read_rows(range(1, 99), 1 << 16)) == [row.raw for row in rows]
            reading = source.read(IngestOptions(block_bytes=block_bytes, known_bytes=known))
            later = [
                number
                for some in reading.rows
                for frame in (some.parsed, some.unparsed)
                for number in frame["row_number"].to_list()
            ]
            assert sorted(later) == list(range(reading.rows_known + 1, len(rows) + 1))
        expected = {
            (number, row.line_number): read_record(row.fields) if row.fields is not None else None
            for number, row in enumerate(rows, start=1)
        }
        assert summary.rows_read == len(rows)
        assert summary.blank_lines == blank
        good = [(*key, *values) for key, values in expected.items() if values is not None]
        assert parsed == good
        assert [(row[0], row[1], row[4]) for row in unparsed] == [
            (*key, rows[key[0] - 1].raw) for key, values in expected.items() if values is None
        ]


def read(path: Path) -> pl.DataFrame:
    return pl.read_parquet(path, glob=False)


def may_be_flow(raw: bytes, one: Contract) -> bool:
    """Return whether a broken line is a row: it does not say that it is of another kind."""
    said = re.search(rb'"kind"\s*:\s*"([^"\\]*)"', raw)
    return not one.form.records or said is None or said[1] == b"flow"


def test_the_oracle_reads_what_the_standard_library_reads() -> None:
    line = b'{"a": [1, -2.5e3, {"b": null}], "c": {"d": "\\u00e4\\n", "e": true}, "f": {}}'
    (first, *others) = read_fields(line) or []
    assert first == ("a", ["1", "-2.5e3", {"fields": [("b", None)]}])
    assert others == [("c.d", "ä\n"), ("c.e", True)]
    assert read_fields(b"[1]") is None
    assert read_fields(b'{"a":01}') is None
