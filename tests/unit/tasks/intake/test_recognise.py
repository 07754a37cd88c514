"""Which contract a file has, told from its beginning."""

import gzip
import os
import re
import time
from pathlib import Path

import polars as pl
import pytest

from expectations.contract import Contract, Form
from expectations.errors import InputRejectedError, PageError
from expectations.registry import get_contract
from tasks.intake.recognise import examine_contracts, recognise_contract
from tests.support.sources import column, contract, flows

HEADER = "StartTime,SrcAddr,Proto,SrcBytes,DstBytes,Dur"
ROW = "2021-01-01 00:00:00,10.0.0.1,tcp,5,6,0.5"
FLOWS = flows()
TABS = flows("tabs", Form(separators=("\t",)))
MAIL = contract("mail", column("sender", "category", "From"), column("mail_bytes", "count", "Size"))
ORDER = ("started_at", "src_ip", "proto", "src_bytes", "dst_bytes", "duration_s")


def named(*contracts: Contract) -> dict[str, Contract]:
    return {one.name: one for one in contracts}


def write(folder: Path, *lines: str, name: str = "night.csv") -> Path:
    path = folder / name
    path.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return path


def choose(path: Path, *contracts: Contract) -> str:
    return recognise_contract(path, named(*contracts)).name


def refusal(path: Path, *contracts: Contract, broken: tuple[PageError, ...] = ()) -> str:
    with pytest.raises(InputRejectedError) as refused:
        recognise_contract(path, named(*contracts), broken)
    return str(refused.value)


@pytest.mark.parametrize(
    "header",
    [
        HEADER,
        HEADER.lower(),
        "started at, src-ip, pr, src_bytes, dst_bytes, dur",
        "SrcAddr,Proto,SrcBytes,Other,Another",
    ],
    ids=["its names", "other case", "its other names", "some of them"],
)
def test_a_header_decides(tmp_path: Path, header: str) -> None:
    assert choose(write(tmp_path, header, ROW), MAIL, FLOWS) == "flows"


def test_the_separator_tells_two_contracts_of_the_same_names(tmp_path: Path) -> None:
    lines = [line.replace(",", "\t") for line in (HEADER, ROW)]
    assert choose(write(tmp_path, *lines), FLOWS, TABS) == "tabs"


def test_names_are_found_below_comments_and_in_compressed_files(tmp_path: Path) -> None:
    path = tmp_path / "night.csv.gz"
    path.write_bytes(gzip.compress(f"# made by a sensor\n\n{HEADER}\n{ROW}\n".encode()))
    assert choose(path, MAIL, FLOWS) == "flows"


def test_the_names_of_match_decide_where_a_contract_has_them(tmp_path: Path) -> None:
    marked = flows("marked", match=("Marker", "Sensor"))
    path = write(tmp_path, HEADER, ROW)
    assert choose(path, FLOWS, marked) == "flows"
    assert choose(write(tmp_path, "Marker,Other", "a,b"), MAIL, marked, FLOWS) == "marked"


def test_of_several_the_one_that_fits_strictly_is_chosen(tmp_path: Path) -> None:
    more = contract("more", *FLOWS.columns, column("flags", "category", "Flags"))
    assert choose(write(tmp_path, HEADER, ROW), more, FLOWS) == "flows"


def test_a_header_that_is_not_the_datas_does_not_fit_strictly(tmp_path: Path) -> None:
    other = contract(
        "other",
        column("src_ip", "address", "SrcAddr"),
        column("proto", "category", "Proto"),
        column("src_bytes", "category", "SrcBytes"),
        column("dst_bytes", "category", "DstBytes"),
    )
    words = "2021-01-01 00:00:00,10.0.0.1,tcp,low,high,0.5"
    assert choose(write(tmp_path, HEADER, *[words] * 3), FLOWS, other) == "other"


def test_two_that_fit_are_refused_with_what_each_lacks(tmp_path: Path) -> None:
    message = refusal(write(tmp_path, HEADER, ROW), FLOWS, flows("twin"))
    assert "flows (lacks nothing) or twin (lacks nothing)" in message
    assert "--contract flows" in message
    assert "NOCTULE_CONTRACT" in message
    header = "SrcAddr,Proto,SrcBytes"
    lacking = contract("lacking", *FLOWS.columns[1:4], column("x", "count", "X"))
    message = refusal(write(tmp_path, header, "10.0.0.1,tcp,1"), FLOWS, lacking)
    assert "flows (lacks DstBytes, Dur) or lacking (lacks X)" in message


def test_no_claim_is_refused_with_names_the_closest_and_what_to_do(tmp_path: Path) -> None:
    path = write(tmp_path, "Alpha,\x1bBeta,SrcBytes", "1,2,3")
    message = refusal(path, MAIL, FLOWS)
    assert r"3 fields: Alpha, \x1bBeta, SrcBytes" in message
    assert "Known contracts: mail, flows" in message
    assert "The closest is flows (lacks Proto, DstBytes, Dur)" in message
    assert "noctule contracts draft night.csv" in message
    assert message.startswith(f"Cannot read {path}: no contract knows it. ")


def test_what_is_wrong_with_broken_pages_comes_first_and_names_the_page_that_may_be_meant(
    tmp_path: Path,
) -> None:
    path = write(tmp_path, "Alpha,Beta", "1,2")
    torn = PageError(tmp_path / "torn.toml", 3, "columns.alpha", "there is no kind 'cuont'")
    message = refusal(path, MAIL, broken=(torn,))
    begin = f"Cannot read {path}: this page is broken and cannot be tried: {torn} If it is the page"
    assert message.startswith(begin)
    assert "correct it. Else no contract knows it. Its first line has 2 fields" in message
    write(tmp_path, 'alpha = "Alpha"', name="torn.toml")
    os.mkfifo(tmp_path / "a.toml")
    others = [PageError(tmp_path / f"{name}.toml", None, "", "torn") for name in "abc"]
    message = refusal(path, MAIL, broken=(*others, torn))
    assert f"these pages are broken and cannot be tried: {torn} {others[0]}" in message
    assert "These are broken too: b.toml, c.toml." in message


def test_several_claims_are_told_with_what_is_wrong_with_broken_pages(tmp_path: Path) -> None:
    torn = PageError(tmp_path / "torn.toml", 3, "name", "torn")
    path = write(tmp_path, HEADER, ROW)
    message = refusal(path, FLOWS, flows("twin"), broken=(torn,))
    assert f"NOCTULE_CONTRACT. This page is broken and cannot be tried: {torn}" in message


def test_a_page_of_a_user_that_says_another_separator_is_named_before_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(tmp_path))
    argus = get_contract("argus")
    names = [(column.sources or (column.name,))[0] for column in argus.features]
    declared = "".join(
        f'c{at} = {{ from = "{name}", kind = "id" }}\n' for at, name in enumerate(names)
    )
    page = write(tmp_path, 'name = "wall"\n[columns]', declared, 'size = "count"', name="wall.toml")
    page.write_text(page.read_text().replace('"id"', '"category"'))
    path = write(tmp_path, "^".join([*names, "size"]), "^".join("1" * (len(names) + 1)))
    message = refusal(path, argus, get_contract("wall"))
    told = (
        f"separated by carets, and the page says commas: correct separators under [form] in {page}."
    )
    assert f"It has the names of wall. Its fields are {told}" in message
    message = refusal(path, argus)
    assert (
        "It has the names of argus. Its fields are separated by carets: deliver it with" in message
    )


def test_a_file_without_names_is_told_by_its_order(tmp_path: Path) -> None:
    ordered = flows("ordered", Form(orders=(ORDER,)))
    counted = contract(
        "counted",
        *(column(f"n{place}", "count") for place in range(6)),
        form=Form(orders=(tuple(f"n{place}" for place in range(6)),)),
    )
    path = write(tmp_path, *[ROW] * 3)
    assert choose(path, counted, ordered, FLOWS, MAIL) == "ordered"
    assert choose(write(tmp_path, "1,2,3,4,5,6"), counted, ordered, FLOWS) == "counted"
    assert "no contract knows it" in refusal(write(tmp_path, "1,2,3"), counted, ordered)


def test_a_header_that_is_passed_over_is_claimed_by_its_names_and_judged_by_the_order(
    tmp_path: Path,
) -> None:
    wrong = flows("wrong", Form(orders=(ORDER,), header="ignored"), match=("A", "B", "C"))
    path = write(tmp_path, "A,B,C,D,E,F", *[ROW] * 3)
    assert choose(path, wrong, FLOWS) == "wrong"
    (candidate,) = examine_contracts(path, named(wrong))
    assert candidate.fits
    assert candidate.has == ORDER


def test_nsl_kdd_without_header_is_recognised(tmp_path: Path) -> None:
    row = ["0", "tcp", "http", "SF", *["0"] * 37, "neptune", "20"]
    assert choose(write(tmp_path, ",".join(row)), get_contract("nsl_kdd"), FLOWS) == "nsl_kdd"


def test_parquet_is_told_by_its_columns(tmp_path: Path) -> None:
    path = tmp_path / "night.parquet"
    pl.DataFrame({"From": ["a"], "size": [1]}).write_parquet(path)
    assert choose(path, FLOWS, MAIL) == "mail"
    pl.DataFrame({"x": ["a"]}).write_parquet(path)
    assert "Its Parquet has the names x." in refusal(path, FLOWS, MAIL)


def test_what_each_contract_finds_is_returned(tmp_path: Path) -> None:
    path = write(tmp_path, "SrcAddr,pr,SrcBytes", "10.0.0.1,tcp,1")
    mail, some = examine_contracts(path, named(MAIL, FLOWS))
    assert (mail.is_claim, mail.has, mail.lacks) == (False, (), ("From", "Size"))
    assert (some.is_claim, some.fits) == (True, False)
    assert some.has == ("src_ip", "proto", "src_bytes")
    assert some.lacks == ("DstBytes", "Dur")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is empty"),
        (b"\n\n\n", "holds only blank lines"),
        (b"x" * 100_000, "first line is longer"),
        (b"PK\x03\x04rest", "zip archive"),
        (gzip.compress(HEADER.encode() * 100)[:40], "cut short or damaged"),
        ("\ufeffa,b".encode("utf-16"), "UTF-16"),
        (b"PAR1 and no footer", "cannot be read as Parquet"),
    ],
    ids=["empty", "blank", "long line", "zip", "gzip", "utf-16", "parquet"],
)
def test_a_file_that_cannot_be_read_keeps_its_message(
    tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "night.csv"
    path.write_bytes(content)
    assert words in refusal(path, FLOWS, MAIL)


def test_a_file_that_is_gone_is_refused(tmp_path: Path) -> None:
    assert "there is no such file" in refusal(tmp_path / "gone.csv", FLOWS)


def test_a_hostile_beginning_takes_no_time_and_makes_a_short_message(tmp_path: Path) -> None:
    names = ",".join(f"n{place}" for place in range(9_000))
    path = write(tmp_path, names, *["," * 30_000] * 100)
    many = [flows(f"flows{place}", Form(separators=(",", ";", "\t", "|"))) for place in range(30)]
    began = time.process_time()
    message = refusal(path, *many)
    assert time.process_time() - began < 5
    assert len(message) < 1_500
    assert re.search(r"n0, n1, .* and [\d,]+ more", message)


def test_a_header_in_another_encoding_is_recognised(tmp_path: Path) -> None:
    latin = contract(
        "latin", column("duration_s", "interval", "Durée"), form=Form(encoding="latin-1")
    )
    path = tmp_path / "night.csv"
    path.write_bytes("Durée,x\n1,2\n3,4\n".encode("latin-1"))
    assert choose(path, latin, MAIL) == "latin"


def test_any_number_of_comments_may_stand_above_a_header(tmp_path: Path) -> None:
    path = write(tmp_path, *["# made at night"] * 30, HEADER, ROW)
    assert choose(path, FLOWS, MAIL) == "flows"
    assert "no contract knows it" in refusal(write(tmp_path, *["x,y"] * 30, HEADER, ROW), FLOWS)
