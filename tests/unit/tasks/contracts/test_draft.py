"""A draft names columns, finds labels, and says what a person must decide."""

import gzip
import json
import tomllib
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from expectations.errors import InputRejectedError
from tasks.contracts.draft import draft_contract
from tasks.contracts.draft_page import LOOK, count_looks, write_page, write_text
from tasks.contracts.sample import read_sample


def draft_page(path: Path) -> str:
    return write_page(draft_contract(read_sample(path)), "drafted", path.name)


def draft_text(tmp_path: Path, text: str, name: str = "flows.csv") -> tuple[dict[str, Any], str]:
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    page = draft_page(path)
    return tomllib.loads(page), page


def rows_of(row: Callable[[int], str], count: int = 60) -> str:
    return "\n".join(row(number) for number in range(count))


FLOWS = "StartTime;Quelle;Sport;Ziel;Größe (Bytes);Dauer_ms;Status;Label\n" + rows_of(
    lambda n: (
        f"2024-05-{n % 28 + 1:02} 10:00:00;10.0.0.{n};{n + 1000};10.1.0.{n % 3};{n * 7};"
        f"{n}.5;{('ok', 'n/a')[n % 2]};{('benign', 'scan', 'flood')[n % 3]}"
    )
)


def test_a_file_of_ones_own_making_is_drafted_whole(tmp_path: Path) -> None:
    page, text = draft_text(tmp_path, FLOWS)
    columns = page["columns"]

    assert page["name"] == "drafted"
    assert page["form"] == {"separators": ["semicolon"], "nulls": ["n/a"]}
    assert columns["started_at"] == {"from": "StartTime", "kind": "time", "formats": ["iso"]}
    assert columns["src_ip"] == {"from": "Quelle", "kind": "address"}
    assert columns["dst_ip"] == {"from": "Ziel", "kind": "address"}
    assert columns["src_port"] == {"from": "Sport", "kind": "port"}
    assert columns["grosse_bytes"] == {
        "from": "Größe (Bytes)", "kind": "count", "unit": "bytes",
    }  # fmt: skip
    assert columns["dauer_ms"] == {"kind": "interval", "scale": 0.001}
    assert columns["status"] == {"kind": "category", "nullable": True}
    assert page["labels"] == {"column": "Label", "normal": ["benign"]}
    assert "60 of 60 values are IP addresses, such as 10.0.0.0" in text
    assert all(text.split("\n")[line - 1].startswith(LOOK) for line in count_looks(text))


@pytest.mark.parametrize(("factor", "scale"), [(1, None), (1000, 0.001), (1_000_000, 0.000001)])
def test_two_times_tell_the_unit_of_a_duration(
    tmp_path: Path, factor: int, scale: float | None
) -> None:
    page, text = draft_text(
        tmp_path,
        "first,last,dur,bytes\n"
        + rows_of(
            lambda n: (
                f"2024-05-01 10:00:00,2024-05-01 10:{n:02}:30,{(n * 60 + 30) * factor},{n * n}"
            )
        ),
    )

    assert page["columns"]["duration_s"].get("scale") == scale
    assert "its unit is not known" not in text


def test_no_bound_is_taken_from_the_sample(tmp_path: Path) -> None:
    page, _ = draft_text(tmp_path, FLOWS)

    assert not any(
        {"minimum", "maximum", "values"} & set(column)
        for column in page["columns"].values()
        if isinstance(column, dict)
    )


def test_two_columns_of_one_name_and_one_without_are_left_out(tmp_path: Path) -> None:
    page, text = draft_text(
        tmp_path, "Fwd Len,,fwd_len,proto\n" + rows_of(lambda n: f"{n * n},{n % 7},{n * n},tcp")
    )

    assert list(page["columns"]) == ["fwd_len"]
    assert page["form"]["repeated"] == "first"
    assert "it has no name" in text


def test_a_file_without_header_gets_an_order_and_asks_for_names(tmp_path: Path) -> None:
    page, text = draft_text(
        tmp_path,
        rows_of(
            lambda n: (
                f"10.0.0.{n},{n * 100 + 1},10.1.0.1,tcp,{n * n},"
                f"{('normal.', 'smurf.')[n % 2]},{n % 21}"
            )
        ),
    )

    assert page["form"]["orders"] == [
        ["src_ip", "src_port", "dst_ip", "proto", "column_5", "column_6", "column_7"]
    ]
    assert page["labels"] == {"column": "column_6", "normal": ["normal."]}
    assert page["columns"]["column_7"] == {"kind": "count", "role": "ignored"}
    assert "the file has no header" in text
    assert "is it a port?" in text


def test_a_header_that_is_not_the_datas_is_passed_over(tmp_path: Path) -> None:
    page, text = draft_text(
        tmp_path,
        "id,dur,proto,state,sbytes\n"
        + rows_of(lambda n: f"10.0.0.{n},{n},10.1.0.{n},{('tcp', 'udp')[n % 2]},{n}.5"),
    )

    assert page["form"]["header"] == "ignored"
    assert "the header does not seem to be the data's. See what stands below these names:" in text


def test_a_file_without_a_feature_says_that_its_page_cannot_be_read(tmp_path: Path) -> None:
    _, text = draft_text(tmp_path, "src,n\n" + rows_of(lambda n: f"10.0.0.{n},5"))

    assert "until one is declared" in " ".join(text.replace("\n#", " ").split())


def test_one_odd_value_is_told_in_the_singular(tmp_path: Path) -> None:
    _, text = draft_text(
        tmp_path,
        "src,n\n"
        + rows_of(lambda n: f"{'gateway' if n == 150 else f'10.0.{n}.1'},{n * n}", count=200)
        + "\n1\n10.0.0.1,7",
    )

    assert "1 value is no IP address" in text
    assert "1 line has another number of fields than 2" in text


def test_two_values_without_a_name_may_be_a_label(tmp_path: Path) -> None:
    page, text = draft_text(tmp_path, rows_of(lambda n: f"10.0.0.{n},{n * n},{int(n % 5 == 0)}"))

    assert "labels" not in page
    (place,) = [one for one, line in enumerate(text.split("\n")) if "is it a label?" in line]
    assert text.split("\n")[place + 1].startswith("column_3 = ")


def test_a_zero_asks_whether_it_is_normal_unless_another_column_says_so(tmp_path: Path) -> None:
    alone, asked = draft_text(tmp_path, "a,label\n" + rows_of(lambda n: f"{n * n},{n % 2}"))
    beside, clear = draft_text(
        tmp_path,
        "a,label,attack_cat\n"
        + rows_of(lambda n: f"{n * n},{n % 2},{('Normal', 'DoS', 'Normal', 'Scan')[n % 4]}"),
    )

    assert alone["labels"] == {"column": "label", "normal": ["0"]}
    assert "does 0 mean normal? The sample has 0 in 30 rows and 1 in 30 rows" in asked
    assert beside["labels"] == {"column": "label", "names": "attack_cat", "normal": ["0"]}
    assert "does 0 mean normal?" not in clear


def test_a_label_without_a_known_word_for_normal_stays_a_comment(tmp_path: Path) -> None:
    page, text = draft_text(tmp_path, "a,class\n" + rows_of(lambda n: f"{n * n},{'AB'[n % 2]}"))

    assert "labels" not in page
    assert list(page["columns"]) == ["a"]
    assert '# column = "class"' in text


def test_a_word_for_no_value_counts_in_every_column(tmp_path: Path) -> None:
    page, _ = draft_text(
        tmp_path, "ms,mode\n" + rows_of(lambda n: f"{'?' if n % 9 == 0 else n * n},{'ab?'[n % 3]}")
    )

    assert page["form"] == {"nulls": ["?"]}
    assert page["columns"]["mode"] == {"kind": "category", "nullable": True}


def test_values_that_read_like_labels_make_a_label(tmp_path: Path) -> None:
    page, _ = draft_text(
        tmp_path, "a,Typ\n" + rows_of(lambda n: f"{n * n},{('Benign', 'Bot')[n % 2]}")
    )

    assert page["labels"] == {"column": "Typ", "normal": ["Benign"]}


def test_a_word_that_may_mean_normal_asks(tmp_path: Path) -> None:
    page, text = draft_text(
        tmp_path, "a,verdict\n" + rows_of(lambda n: f"{n * n},{('ok', 'scan')[n % 2]}")
    )

    assert page["labels"] == {"column": "verdict", "normal": ["ok"]}
    assert "does 'ok' mean normal?" in text


def test_columns_that_may_tell_the_label_are_ignored(tmp_path: Path) -> None:
    page, _ = draft_text(
        tmp_path,
        "a,label,attack,difficulty,dataset\n"
        + rows_of(lambda n: f"{n * n},{n % 2},{('none', 'x')[n % 2]},{n % 21},d{n % 2}"),
    )

    assert page["columns"]["difficulty"]["role"] == "ignored"
    assert page["columns"]["dataset"]["role"] == "ignored"
    assert "attack" not in page["columns"] or page["columns"]["attack"]["role"] == "ignored"


def test_the_records_of_a_mixed_file_are_chosen(tmp_path: Path) -> None:
    events = [
        {
            "event_type": "flow",
            "src_ip": f"10.0.0.{n}",
            "flow": {"bytes_toserver": n * n},
            "tags": ["a", "b"] if n % 3 else ["c"],
        }
        if n % 2
        else {"event_type": "dns", "dns": {"id": n}}
        for n in range(120)
    ]
    page, text = draft_text(tmp_path, "\n".join(map(json.dumps, events)), "eve.json")

    assert page["form"] == {"kind": "json", "records": {"event_type": "flow"}}
    assert page["columns"]["src_bytes"]["from"] == "flow.bytes_toserver"
    assert page["columns"]["tags"] == "set"
    assert "dns 60" in text


def test_parquet_and_gzip_are_sampled(tmp_path: Path) -> None:
    hours = pl.datetime_range(pl.datetime(2024, 1, 1), pl.datetime(2024, 1, 3), "1h", eager=True)
    frame = pl.DataFrame({"ts": hours, "n": pl.Series(range(49)).pow(2)})
    frame.write_parquet(tmp_path / "flows.parquet")
    (tmp_path / "flows.csv.gz").write_bytes(gzip.compress(FLOWS.encode()))

    page = tomllib.loads(draft_page(tmp_path / "flows.parquet"))

    assert page["columns"]["started_at"]["kind"] == "time"
    assert page["columns"]["n"] == "count"
    assert tomllib.loads(draft_page(tmp_path / "flows.csv.gz"))["labels"]["normal"] == ["benign"]


def test_structs_lists_and_lengths_of_time_in_parquet_are_drafted(tmp_path: Path) -> None:
    numbers = range(60)
    pl.DataFrame(
        {
            "src": [{"ip": f"10.0.0.{n}", "port": n + 1024} for n in numbers],
            "elapsed_ms": [timedelta(milliseconds=n * n) for n in numbers],
            "tags": [["a", "b"] if n % 2 else ["c"] for n in numbers],
            "secured": [n % 4 == 0 for n in numbers],
        }
    ).write_parquet(tmp_path / "flows.parquet")

    page = tomllib.loads(draft_page(tmp_path / "flows.parquet"))

    assert page["columns"] == {
        "duration_s": {"from": "elapsed_ms", "kind": "interval"},
        "src_ip": "address",
        "src_port": "port",
        "tags": "set",
        "secured": "flag",
    }


@pytest.mark.parametrize("content", [b"", b"\n\n", b"a,b\n", b"\x00\x01\x02,\n", b"PAR1"])
def test_a_file_without_a_table_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "bad.csv"
    path.write_bytes(content)

    with pytest.raises(InputRejectedError):
        draft_page(path)


@given(st.text())
def test_any_text_is_a_string_of_toml(text: str) -> None:
    written = write_text(text)

    plain = text.encode("utf-8", "replace").decode()
    assert tomllib.loads(f"x = {written}") == {"x": plain}
    assert written.isprintable()


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(st.characters(exclude_characters="\0\r\n")), min_size=2, max_size=6))
def test_any_header_gives_a_page_of_toml(
    tmp_path_factory: pytest.TempPathFactory, names: list[str]
) -> None:
    path = tmp_path_factory.mktemp("any") / "flows.csv"
    quoted = ['"' + name.replace('"', '""') + '"' for name in names]
    lines = [
        ",".join(quoted),
        *(",".join(str(n + place) for place in range(len(names))) for n in range(5)),
    ]
    path.write_bytes("\n".join(lines).encode("utf-8", "replace"))

    page = tomllib.loads(draft_page(path))

    assert page["name"] == "drafted"
