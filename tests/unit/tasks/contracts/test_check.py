"""A check says how a file fits a contract, and what is suspicious about it."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from expectations.contract import Contract, Labels
from expectations.errors import InputRejectedError
from tasks.contracts.check import FileCheck, check_file
from tasks.contracts.first_rows import copy_first_rows
from tasks.intake.source import IngestOptions
from tests.support.sources import column, contract

NOW = datetime(2024, 6, 1, tzinfo=UTC)
FLOWS = contract(
    "flows",
    column("src_ip", "address", "SrcAddr"),
    column("service", "category", "app", nullable=True),
    column("bytes", "count"),
    column("packets", "count"),
    column("flags", "count"),
    column("label", "category", role="label"),
    labels=Labels(column="label", normal=("ok",), ignored=("skip",)),
)
HEADER = "SrcAddr,app,bytes,packets,flags,label,extra"


def check(tmp_path: Path, lines: list[str], declared: Contract = FLOWS) -> FileCheck:
    source = tmp_path / "flows.csv"
    source.write_text("\n".join([HEADER, *lines]) + "\n")
    return check_file(source, declared, tmp_path / "work", NOW, IngestOptions(chunk_rows=40))


def row(n: int, *, bytes_: int | None = None, packets: int | None = None, label: str = "") -> str:
    size = n * 37 % 1009 if bytes_ is None else bytes_
    label = label or ("scan" if n % 3 == 0 else "ok")
    return f"10.0.0.{n % 9},dns,{size},{n % 7 if packets is None else packets},1,{label},x{n}"


def test_columns_labels_and_quarantined_rows_are_reported(tmp_path: Path) -> None:
    lines = [row(n) for n in range(1, 101)]
    lines[9] = "10.0.0.1,,many,2,1,skip,x"
    lines[19] = "10.0.0.1,,more,2,1,maybe,x"
    lines[29] = "10.0.0.1,,5"

    found = check(tmp_path, lines)

    columns = {one.name: one for one in found.columns}
    assert found.fits
    assert (found.rows_read, found.rows_quarantined) == (100, 3)
    assert columns["src_ip"].file_name == "SrcAddr"
    assert columns["service"].frequent == (("dns", 97),)
    assert (columns["bytes"].smallest, columns["packets"].largest) == (7, 6)
    assert found.undeclared == ("extra",)
    assert found.form == "CSV with header"
    reasons = {one.lines: one.rows for one in found.reasons}
    assert reasons == {(11, 21): 2, (31,): 1}
    assert found.label == "label"
    assert {one.value: one.meaning for one in found.labels} == {"ok": "normal", "scan": "attack"}


def test_what_each_label_means_is_shown(tmp_path: Path) -> None:
    lines = [row(n, label=("ok", "scan", "skip", "")[n % 4] or "ok") for n in range(40)]
    lines[0] = "10.0.0.1,dns,1,1,1,,x"

    meanings = {one.value: one.meaning for one in check(tmp_path, lines).labels}

    assert meanings == {"ok": "normal", "scan": "attack", "skip": "none", "": "none"}


def test_a_feature_that_tells_the_label_is_named(tmp_path: Path) -> None:
    lines = [row(n, packets=int(n % 3 == 0)) for n in range(300)]

    (telling,) = check(tmp_path, lines).telling

    assert (telling.feature, telling.roc_auc) == ("packets", 1.0)


def test_a_name_that_occurs_once_does_not_tell_the_label(tmp_path: Path) -> None:
    lines = [row(n).replace("dns", f"app{n}") for n in range(300)]

    assert check(tmp_path, lines).telling == ()


@pytest.mark.parametrize(
    ("sizes", "words"),
    [
        ([2**32 - 1] * 3, "bytes: 3 values at 2^32-1"),
        ([65_535] * 3, "bytes: 3 values at 65535"),
        ([140140, 285285, 404040, 123123, 987987], "bytes: 5 values repeat their own digits"),
    ],
)
def test_numbers_that_overflowed_are_named(tmp_path: Path, sizes: list[int], words: str) -> None:
    lines = [row(n, bytes_=sizes[n] if n < len(sizes) else None) for n in range(100)]

    warnings = check(tmp_path, lines).warnings

    assert any(words in warning for warning in warnings), warnings


def test_an_overflowed_timer_is_named_in_a_column_of_plain_numbers(tmp_path: Path) -> None:
    declared = contract("plain", column("size", "number", "bytes"))
    lines = [f"a,b,{4294967.295 if n % 10 == 1 else n / 8},1,1,ok,x" for n in range(60)]

    warnings = check(tmp_path, lines, declared).warnings

    assert any("size: 6 values at 2^32/1000" in one for one in warnings), warnings


def test_constants_duplicates_and_contradictions_are_named(tmp_path: Path) -> None:
    lines = [row(n) for n in range(60)]
    lines += [lines[1], lines[1].replace(",ok,", ",scan,")]

    warnings = " | ".join(check(tmp_path, lines).warnings)

    assert "of no use to a model: service, flags" in warnings
    assert "1 row repeats an earlier one, of 62 (1.6%)" in warnings
    assert "3 rows have features that occur as normal and as attack" in warnings
    assert "all addresses are private" in warnings


def test_a_sound_file_has_no_warning_but_its_constants(tmp_path: Path) -> None:
    lines = [row(n).replace("10.0.0.", f"{n % 90 + 20}.1.1.") for n in range(60)]

    assert check(tmp_path, lines).warnings == (
        "the same in every row, so of no use to a model: service, flags",
    )


def test_a_file_without_the_features_is_refused_with_what_it_lacks(tmp_path: Path) -> None:
    source = tmp_path / "flows.csv"
    source.write_text("src_ip,service,bytes,flags\n10.0.0.1,dns,1,1\n")

    found = check_file(source, FLOWS, tmp_path / "work", NOW)

    assert not found.fits
    assert "packets" in (found.refusal or "")


def test_times_that_no_format_reads_are_named(tmp_path: Path) -> None:
    declared = contract(
        "timed", column("started_at", "time", "SrcAddr", nullable=True), column("bytes", "count")
    )
    sound = [f"2024-05-01 10:00:{n:02},dns,{n},1,1,ok,x" for n in range(20)]
    odd = [f"01/05/2024 10:00,dns,{n},1,1,ok,x" for n in range(3)]

    found = check(tmp_path, sound + odd, declared)

    assert found.rows_quarantined == 0
    assert any("started_at: 3 rows without a time, or with one" in one for one in found.warnings)


def test_a_missing_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(InputRejectedError):
        check_file(tmp_path / "none.csv", FLOWS, tmp_path / "work", NOW)


def test_the_first_rows_are_copied_with_the_header(tmp_path: Path) -> None:
    source = tmp_path / "flows.csv"
    source.write_text("\n".join([HEADER, *map(row, range(50))]) + "\n")

    copy = copy_first_rows(source, FLOWS, 5, tmp_path / "work")

    assert copy.read_text().splitlines() == [HEADER, *map(row, range(5))]


def test_a_file_whose_rows_mostly_break_is_refused_with_reasons(tmp_path: Path) -> None:
    found = check(tmp_path, [row(n).replace(",dns,", ",dns,x") for n in range(20)])

    assert not found.fits
    assert found.failed[0].column == "rows_accepted"
    assert (found.reasons[0].rows, found.reasons[0].lines) == (20, (2, 3, 4, 5, 6))
