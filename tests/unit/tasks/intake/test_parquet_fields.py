"""Fields of structs, and lists, in Parquet files."""

from pathlib import Path

import numpy as np
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from expectations.errors import InputRejectedError
from storage.cost import measured
from tasks.intake.first_rows import read_first_records
from tasks.intake.parquet_files import read_footer
from tasks.intake.parquet_lines import read_rendered
from tasks.intake.parquet_records import parse_records, read_layout
from tests.support.sources import column, contract

LIMIT = 1_000_000_000
NESTED = contract(
    "nested",
    column("flow_bytes_toserver", "count"),
    column("app_layer_name", "category", nullable=True),
    column("uid", "id"),
)


def write(path: Path, **more: pa.Array) -> Path:
    flow = pa.array([{"bytes_toserver": 1, "age": 2}, {"bytes_toserver": 30, "age": 4}, None])
    app = pa.array([{"layer": {"name": "http"}}, {"layer": None}, {"layer": {"name": "dns"}}])
    table = {"uid": ["a", "b", "c"], "flow": flow, "app": app, "other": [[1], [2], [3]]}
    pq.write_table(pa.table(table | more), path)
    return path


def test_fields_of_structs_have_dotted_names(tmp_path: Path) -> None:
    path = write(tmp_path / "night.parquet")
    names = ("uid", "flow.bytes_toserver", "flow.age", "app.layer.name", "other")
    assert read_footer(path).names == names
    layout = read_layout(path, NESTED, LIMIT)
    (parsed, unparsed) = parse_records(path, layout, 10)
    assert parsed.parsed.drop("row_number", "line_number").to_dicts() == [
        {"flow_bytes_toserver": 1, "app_layer_name": "http", "uid": "a"},
        {"flow_bytes_toserver": 30, "app_layer_name": None, "uid": "b"},
    ]
    assert unparsed.unparsed["reasons"].to_list() == [["flow_bytes_toserver: empty"]]
    assert unparsed.unparsed["raw"].to_list() == [b"c,,,dns,"]
    assert read_rendered(path, [2], layout=layout) == {2: b"b,30,,,"}


def test_first_records_have_the_fields_of_structs(tmp_path: Path) -> None:
    path = write(tmp_path / "night.parquet")
    first = read_first_records(path, {"service": 3, "uid": 0, "src": 1})
    assert first.values["service"].to_list() == ["http", None, "dns"]
    assert first.values["src"].to_list() == ["1", "30", None]
    assert first.values["uid"].to_list() == ["a", "b", "c"]


@pytest.mark.parametrize("place", range(4, 1_300, 13))
def test_a_changed_byte_is_read_or_refused(tmp_path: Path, place: int) -> None:
    path = write(tmp_path / "night.parquet")
    whole = bytearray(path.read_bytes())
    whole[min(place, len(whole) - 9)] ^= 0xFF
    path.write_bytes(whole)
    try:
        rows = list(parse_records(path, read_layout(path, NESTED, LIMIT), 10))
    except InputRejectedError:
        return
    assert sum(one.parsed.height + one.unparsed.height for one in rows) == 3


def test_lists_that_would_fill_the_memory_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "night.parquet"
    sets = contract("sets", column("services", "set"))
    dictionary = pa.DictionaryArray.from_arrays(np.zeros(60_000_000, np.int8), ["http"])
    lists = pa.ListArray.from_arrays([0, 60_000_000], dictionary)
    pq.write_table(pa.table({"services": lists}), path)
    del dictionary, lists
    assert path.stat().st_size < 100_000
    with measured() as cost, pytest.raises(InputRejectedError, match="lists of its column"):
        list(parse_records(path, read_layout(path, sets, LIMIT), 10))
    assert cost.own_peak_mb < 200


def test_a_set_is_the_names_of_a_list(tmp_path: Path) -> None:
    path = tmp_path / "night.parquet"
    sets = contract("sets", column("services", "set"), column("n", "count"))
    frame = pl.DataFrame({"services": [["smb", "krb"], ["dns"], [], None], "n": [1, 2, 3, None]})
    frame.write_parquet(path)
    layout = read_layout(path, sets, LIMIT)
    (parsed, unparsed) = parse_records(path, layout, 10)
    assert parsed.parsed["services"].to_list() == ["krb,smb", "dns"]
    assert unparsed.unparsed["raw"].to_list() == [b",3", b","]
