"""JSON lines: which lines are rows, what their fields are, and which lines are broken."""

import gzip
import json
import time
from datetime import UTC, datetime
from pathlib import Path

import polars as pl
import pytest
import zstandard

from expectations.contract import Contract, Form, Labels
from expectations.errors import InputRejectedError
from storage.cost import measured
from tasks.intake.content import hash_content
from tasks.intake.ingest import IngestSummary, ingest_file
from tasks.intake.json_records import BrokenRecordError, RecordFilter, looks_json, read_record
from tasks.intake.recognise import recognise_contract
from tasks.intake.source import IngestOptions
from tasks.intake.sources import open_source
from tests.support.sources import column, contract, flows

JSON = Form(kind="json")
FLOW = {"event_type": "flow", "src_ip": "10.0.0.1", "flow": {"bytes_toserver": 5, "state": "new"}}
COLUMNS = (
    column("src_ip", "address"),
    column("src_bytes", "count", "flow.bytes_toserver"),
    column("state", "category", "flow.state", nullable=True),
)
FLOWS = contract("flows", *COLUMNS, form=JSON)
EVENTS = contract("events", *COLUMNS, form=Form(kind="json", records={"event_type": "flow"}))


def write(folder: Path, *lines: object, name: str = "eve.json") -> Path:
    path = folder / name
    texts = (line if isinstance(line, bytes) else json.dumps(line).encode() for line in lines)
    path.write_bytes(b"".join(text + b"\n" for text in texts))
    return path


def ingest(
    path: Path, one: Contract, options: IngestOptions | None = None
) -> tuple[IngestSummary, pl.DataFrame, list[tuple]]:
    """Return the summary, the parsed rows and (row, line, reasons, raw) of the others."""
    out = path.parent / f"out-{path.name}-{one.name}"
    out.mkdir()
    summary = ingest_file(path, one, out, hash_content(path).sha256, options)
    parts = [pl.read_parquet(part) for part in sorted(out.glob("connections*"))]
    rows = pl.concat(parts) if parts else pl.DataFrame()
    bad = out / "quarantine.parquet"
    unparsed = pl.read_parquet(bad).drop("stage").rows() if bad.exists() else []
    return summary, rows, unparsed


# One line


def test_the_fields_of_a_line_have_dotted_names_and_texts_as_values() -> None:
    line = '{"a":{"b":{"c":1.50},"d":[]},"id.orig_h":"x","e":true,"f":null,"n":-0,"g":{}}'
    assert read_record(line) == [
        ("a.b.c", "1.50"), ("a.d", []), ("id.orig_h", "x"), ("e", True), ("f", None), ("n", "-0"),
    ]  # fmt: skip


def test_numbers_keep_every_digit() -> None:
    huge = "9" * 5_000
    assert read_record(f'{{"a":{huge},"b":0.1000000000000000055}}') == [
        ("a", huge), ("b", "0.1000000000000000055"),
    ]  # fmt: skip
    assert read_record('{"a":NaN,"b":-Infinity}') == [("a", "NaN"), ("b", "-Infinity")]


@pytest.mark.parametrize(
    ("line", "words"),
    [
        ("[1]", "expected a JSON object, found a list"),
        ("5", "expected a JSON object, found a single value"),
        ("null", "expected a JSON object, found a single value"),
        ('{"a":', "not JSON: expecting value at character 6"),
        ("{} {}", "not JSON: extra data at character 4"),
        ('{"a":"b', "not JSON: unterminated string starting at character 6"),
        ("{'a': 1}", "not JSON: expecting property name"),
        ('{"a":' * 9_000 + "1" + "}" * 9_000, "nested too deeply"),
        ('{"a":' + "[" * 30_000, "nested too deeply"),
    ],
    ids=range(9),
)
def test_a_broken_line_says_why(line: str, words: str) -> None:
    with pytest.raises(BrokenRecordError, match=words):
        read_record(line)


def test_deep_fields_and_long_names_are_left_out() -> None:
    deep = '{"a":' * 40 + "1" + "}" * 40
    assert read_record(f'{{"x":{deep},"{"n" * 300}":1,"y":2}}') == [("y", "2")]


def test_which_records_count_is_told_by_their_fields() -> None:
    which = RecordFilter({"event_type": "flow", "is.open": "true"})
    assert which.counts([("event_type", "flow"), ("is_open", True)])
    assert not which.counts([("event_type", "flow"), ("is_open", False)])
    assert not which.counts([("event_type", "flow")])
    assert which.may_count(b'{"event_type": "flow", "is')
    assert not which.may_count(b'{"event_type" : "alert", "is')
    assert RecordFilter(None).counts([])


@pytest.mark.parametrize(
    ("head", "is_json"),
    [
        (b'{"a": 1}\n', True),
        (b'\xef\xbb\xbf\n  {"a": 1}\r\n', True),
        (b'alf": 2}\n{"a": 1}\n{}\n', True),
        (b"{{7*7}},http\n", False),
        (b"a,b\n1,2\n", False),
        (b"", False),
    ],
)
def test_json_is_told_from_its_first_lines(head: bytes, *, is_json: bool) -> None:
    assert looks_json(head) == is_json


# A file


def test_records_are_rows(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW, {"src_ip": "10.0.0.2", "flow_bytes_toserver": "6"})
    summary, rows, unparsed = ingest(path, FLOWS)
    assert rows.rows() == [(1, 1, "10.0.0.1", 5, "new"), (2, 2, "10.0.0.2", 6, None)]
    assert not unparsed
    assert summary.format == "JSON lines"
    assert summary.columns_present == ("src_ip", "src_bytes", "state")
    assert summary.extra_columns == ("event_type",)
    assert (summary.rows_read, summary.rows_parsed, summary.blank_lines) == (2, 2, 0)


def test_records_of_another_type_are_no_rows(tmp_path: Path) -> None:
    alert = {"event_type": "alert", "src_ip": "10.0.0.9"}
    path = write(tmp_path, alert, FLOW, b"", alert, {"src_ip": "x"}, FLOW, b'{"event_type":"alert"')
    summary, rows, unparsed = ingest(path, EVENTS)
    assert rows["row_number"].to_list() == [1, 2]
    assert rows["line_number"].to_list() == [2, 6]
    assert not unparsed
    assert (summary.rows_read, summary.blank_lines) == (2, 1)
    source = open_source(path, EVENTS)
    assert source.count_rows() == 2
    assert list(source.read_rows([2], 1 << 16)) == [json.dumps(FLOW).encode()]


def test_a_file_without_a_record_that_counts_is_refused(tmp_path: Path) -> None:
    path = write(tmp_path, {"event_type": "alert", "flow": {"bytes_toserver": 1}})
    with pytest.raises(InputRejectedError, match="no row whose event_type is flow"):
        ingest(path, EVENTS)


def test_broken_lines_are_quarantined_with_their_numbers_bytes_and_reasons(tmp_path: Path) -> None:
    spoiled = [
        b"[1, 2]",
        b'{"src_ip":"10.0.0.3","flow":{"bytes_toserver":1.5}}',
        b'{"src_ip":"10.0.0.3","flow":{"bytes_toserver":true}}',
        b'{"src_ip":"10.0.0.3","flow":{"bytes_toserver":[1]}}',
        b'{"src_ip":"10.0.0.3"}',
        b'{"flow":{"bytes_toserver":1,"bytes_toserver":2}}',
        b'{"flow":{"bytes_toserver":1},"Flow_Bytes_ToServer":2}',
        b'{"flow":{"bytes_toserver":1,"state":"\\ud800"}}',
        b'{"flow":{"bytes_toserver":99999999999999999999}}',
        b'{"flow":{"bytes_toserver":1,"state":"a\\u0000"}}',
        b'{"flow":{"bytes_toserver":"\xff"}}',
    ]
    words = [
        "expected a JSON object",
        "src_bytes",
        "src_bytes",
        "src_bytes: holds a list",
        "src_bytes",
        "more than one field may be src_bytes",
        "more than one field may be src_bytes: flow.bytes_toserver, Flow_Bytes_ToServer",
        "state: holds half of a surrogate pair",
        "does not fit in 64 bits",
        "state",
        "byte 28 (0xff) is not UTF-8",
    ]
    path = write(tmp_path, FLOW, b"", *spoiled, FLOW)
    summary, rows, unparsed = ingest(path, FLOWS)
    assert rows["row_number"].to_list() == [1, 13]
    assert rows["line_number"].to_list() == [1, 14]
    for number, (raw, word, row) in enumerate(zip(spoiled, words, unparsed, strict=True), start=2):
        assert (row[0], row[1], row[3]) == (number, number + 1, raw)
        assert any(word in reason for reason in row[2]), row
    assert summary.rows_read == summary.rows_parsed + summary.rows_unparsed == 13


def test_of_the_names_of_a_column_the_first_that_a_record_has_is_read(tmp_path: Path) -> None:
    other = {"src_bytes": 2, "flow": {"bytes_toserver": 1}}
    _, rows, _ = ingest(write(tmp_path, other, {"src_bytes": 2}), FLOWS)
    assert rows["src_bytes"].to_list() == [1, 2]


def test_the_first_of_several_is_read_where_the_contract_says_so(tmp_path: Path) -> None:
    first = contract("first", *COLUMNS, form=Form(kind="json", repeated="first"))
    path = write(tmp_path, b'{"src_ip":"a","flow":{"bytes_toserver":1,"bytes_toserver":2}}')
    _, rows, _ = ingest(path, first)
    assert rows["src_bytes"].to_list() == [1]


def test_values_of_every_type_become_values_of_every_kind(tmp_path: Path) -> None:
    kinds = contract(
        "kinds",
        column("started_at", "time", "ts"),
        column("services", "set"),
        column("is_local", "flag", "local_orig"),
        column("rate", "number"),
        column("proto", "protocol"),
        form=JSON,
    )
    line = b'{"ts":1754598458.5,"services":["smb","dns"],"local_orig":false,"rate":1e-2,"proto":17}'
    text = b'{"ts":"2025-08-07T20:27:38.5Z","services":"smb,dns","local_orig":1,"rate":"0.01"'
    _, rows, unparsed = ingest(write(tmp_path, line, text + b',"proto":"UDP"}'), kinds)
    moment = datetime(2025, 8, 7, 20, 27, 38, 500_000, UTC)
    assert not unparsed
    assert [row[2:] for row in rows.select(pl.all()).rows()] == [
        (moment, "dns,smb", 0, 0.01, "udp"),
        (moment, "dns,smb", 1, 0.01, "udp"),
    ]


def test_not_a_number_follows_the_contract(tmp_path: Path) -> None:
    line = b'{"src_ip":"a","flow":{"bytes_toserver":NaN}}'
    nulls = contract(
        "nulls",
        column("src_bytes", "count", "flow.bytes_toserver", nullable=True),
        form=Form(kind="json", non_finite="null"),
    )
    _, rows, _ = ingest(write(tmp_path, FLOW, line), nulls)
    assert rows["src_bytes"].to_list() == [5, None]
    _, _, unparsed = ingest(write(tmp_path, FLOW, line, name="other.json"), FLOWS)
    assert [row[0] for row in unparsed] == [2]


def test_a_column_that_may_be_null_is_never_absent_and_another_must_be_there(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, {"flow": {"bytes_toserver": 1}})
    summary, rows, _ = ingest(path, FLOWS)
    assert summary.columns_absent == ()
    assert rows.rows() == [(1, 1, None, 1, None)]
    with pytest.raises(InputRejectedError, match=r"1 of them missing: flow\.bytes_toserver"):
        ingest(write(tmp_path, {"src_ip": "a"}, name="other.json"), FLOWS)


def test_labels_are_there_only_where_a_record_has_them(tmp_path: Path) -> None:
    labelled = contract(
        "labelled", *COLUMNS, column("label", "category", role="label"), form=JSON,
        labels=Labels(column="label", normal=("benign",)),
    )  # fmt: skip
    summary, _, _ = ingest(write(tmp_path, FLOW), labelled)
    assert not summary.has_label
    summary, rows, _ = ingest(write(tmp_path, FLOW | {"label": "C&C"}, name="two.json"), labelled)
    assert summary.has_label
    assert rows["label"].to_list() == ["C&C"]
    first = open_source(tmp_path / "two.json", labelled)
    names = first.read_names() or ()
    place = names.index("label")
    assert first.read_first({"label": place}).values["label"].to_list() == ["C&C"]


@pytest.mark.parametrize("ending", ["plain", "gzip", "zstandard"])
def test_compression_marks_and_a_cut_last_line_change_nothing(tmp_path: Path, ending: str) -> None:
    line = json.dumps(FLOW).encode()
    content = b"\xef\xbb\xbf" + line + b"\r\n" + line + b"\r\n" + line[:40]
    packed = {"gzip": gzip.compress, "zstandard": zstandard.compress}.get(ending, bytes)(content)
    path = tmp_path / "eve.json"
    path.write_bytes(packed)
    summary, rows, unparsed = ingest(path, FLOWS)
    assert rows["row_number"].to_list() == [1, 2]
    assert [(row[0], row[1], row[3]) for row in unparsed] == [(3, 3, line[:40])]
    assert summary.format == ("JSON lines" if ending == "plain" else f"JSON lines, {ending}")


def test_a_file_that_grew_is_read_from_where_it_ended(tmp_path: Path) -> None:
    line = json.dumps(FLOW).encode() + b"\n"
    alert = b'{"event_type":"alert"}\n'
    known = line + alert + line + alert[:9]
    path = tmp_path / "eve.json"
    path.write_bytes(known + alert[9:] + line + b"{\n")
    options = IngestOptions(known_bytes=len(known))
    summary, rows, unparsed = ingest(path, EVENTS, options)
    assert (summary.rows_read, summary.rows_known) == (4, 2)
    assert rows.select("row_number", "line_number").rows() == [(3, 5)]
    assert [row[:2] for row in unparsed] == [(4, 6)]


def test_lines_are_found_again_by_their_numbers(tmp_path: Path) -> None:
    path = write(tmp_path, FLOW, b"", b"{", FLOW)
    source = open_source(path, FLOWS)
    assert source.read_raw([3], hash_content(path).sha256) == {3: b"{"}


def test_json_is_refused_under_a_contract_of_text_and_text_under_one_of_json(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, FLOW)
    with pytest.raises(InputRejectedError, match=r"it holds JSON lines.*noctule contracts draft"):
        ingest(path, flows())
    table = tmp_path / "table.csv"
    table.write_text("SrcAddr,SrcBytes\na,1\n", encoding="utf-8")
    with pytest.raises(InputRejectedError, match="none of its first lines is a JSON object"):
        ingest(table, FLOWS)


def test_a_contract_of_json_is_recognised_by_the_records_that_count(tmp_path: Path) -> None:
    alert = {"event_type": "alert", "alert": {"severity": 1}}
    path = write(tmp_path, *[alert] * 30, FLOW)
    known = {one.name: one for one in (flows("text"), EVENTS)}
    assert recognise_contract(path, known).name == "events"
    other = write(tmp_path, {"a": 1}, name="other.json")
    with pytest.raises(InputRejectedError, match=r"Its JSON has the names a\."):
        recognise_contract(other, known)


def test_hostile_lines_take_little_memory_and_time(tmp_path: Path) -> None:
    deep = b'{"' + b"k" * 150 + b'":' + b'{"a":' * 900 + b"1" + b"}" * 901
    wide = b"{" + b",".join(b'"k%d":{"a":[1,2]}' % place for place in range(3_000)) + b"}"
    path = write(tmp_path, FLOW, *[deep, wide] * 40, *[b"{}"] * 100_000)
    began = time.process_time()
    with measured() as cost:
        summary, _, _ = ingest(path, FLOWS)
    assert summary.rows_unparsed == 100_080
    assert cost.own_peak_mb is None or cost.own_peak_mb < 300
    assert time.process_time() - began < 60


# Real files


@pytest.mark.real_data
def test_the_flows_of_suricata_are_read(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "flows" / "suricata" / "eve.json.gz"
    one = contract(
        "eve",
        column("started_at", "time", "flow.start", formats=("%Y-%m-%dT%H:%M:%S%.f%z",)),
        column("src_ip", "address"),
        column("dst_port", "port", "dest_port"),
        column("proto", "protocol"),
        column("service", "category", "app_proto", nullable=True, optional=True),
        column("src_bytes", "count", "flow.bytes_toserver"),
        column("dst_packets", "count", "flow.pkts_toclient"),
        form=Form(kind="json", records={"event_type": "flow"}),
    )
    (tmp_path / source.name).write_bytes(source.read_bytes())
    summary, rows, unparsed = ingest(tmp_path / source.name, one)
    with gzip.open(source) as file:
        events = [json.loads(line) for line in file]
    wanted = [(at, event) for at, event in enumerate(events, 1) if event["event_type"] == "flow"]
    assert (summary.rows_read, summary.rows_parsed, unparsed) == (3_512, 3_512, [])
    assert rows["line_number"].to_list() == [at for at, _ in wanted]
    assert rows["src_bytes"].to_list() == [one["flow"]["bytes_toserver"] for _, one in wanted]
    assert rows["dst_port"].to_list() == [one.get("dest_port") for _, one in wanted]
    assert rows["service"].to_list() == [one.get("app_proto") for _, one in wanted]
    moments = [datetime.fromisoformat(one["flow"]["start"]) for _, one in wanted]
    assert rows["started_at"].to_list() == moments


@pytest.mark.real_data
def test_zeeks_json_is_read(data_folder: Path, tmp_path: Path) -> None:
    source = data_folder / "zeek" / "json" / "conn.log"
    one = contract(
        "zeek_json",
        column("started_at", "time", "ts"),
        column("uid", "id"),
        column("src_ip", "address", "id_orig_h"),
        column("proto", "protocol"),
        column("services", "set", "service", nullable=True),
        column("duration_s", "interval", "duration", nullable=True),
        column("src_bytes", "count", "orig_bytes", nullable=True),
        column("is_local", "flag", "local_orig", values=(0, 1)),
        form=JSON,
    )
    (tmp_path / source.name).write_bytes(source.read_bytes())
    summary, rows, unparsed = ingest(tmp_path / source.name, one)
    records = [json.loads(line) for line in source.read_text(encoding="utf-8").splitlines()]
    assert (summary.rows_read, unparsed) == (3_462, [])
    assert rows["uid"].to_list() == [record["uid"] for record in records]
    assert rows["src_ip"].to_list() == [record["id.orig_h"] for record in records]
    assert rows["src_bytes"].to_list() == [record.get("orig_bytes") for record in records]
    assert rows["is_local"].to_list() == [int(record["local_orig"]) for record in records]
    assert rows["duration_s"].to_list() == [record.get("duration") for record in records]
