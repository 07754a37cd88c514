"""The real files of each source: recognised, every row accounted for, the known defects read."""

import re
import tomllib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import polars as pl
import pytest

import expectations
from expectations.errors import InputRejectedError
from expectations.registry import load_contracts
from tasks.intake.recognise import recognise_contract

if TYPE_CHECKING:
    from tests.contract.conftest import ReadFile

    Read = Callable[[Path], ReadFile]

pytestmark = pytest.mark.real_data

ROWS = {
    "argus/labelled-tabs.binetflow.gz": ("argus", 6_725),
    "argus/unlabelled-15-columns.binetflow.gz": ("argus", 6_751),
    "cic-ids2017/friday-morning-bot-balanced.csv.gz": ("cic_ids2017", 6_554),
    "cic-ids2017/portscan-with-times.csv.gz": ("cic_ids2017", 1_000),
    "cic-ids2017/thursday-infiltration.csv": ("cic_ids2017", 121),
    "cic-ids2017/xss-with-times-and-mojibake.csv": ("cic_ids2017", 652),
    "derived-forms/cic-ids2017-original-spelling.csv": ("cic_ids2017", 1_652),
    "derived-forms/kdd99-trailing-dot-3000-rows.txt": ("nsl_kdd", 3_000),
    "netflow-v9/NF-BoT-IoT-v2-reduced.csv.gz": ("netflow_v9", 278_781),
    "nfdump/nfdump-1.7-csv.csv.gz": ("nfdump_csv", 4_593),
    "suricata/eve.json.gz": ("suricata", 3_512),
    "unsw-nb15/raw-part1-sampled-43-columns.csv": ("unsw_nb15", 7_000),
}
"""The contract and the rows of each file, counted by hand: lines without headers and trailers, or
events of type flow."""

WRONG_HEADER = "unsw-nb15/raw-46-columns-wrong-header.csv.gz"

NO_CONTRACT = (
    "nfdump/nfdump-1.7-line.txt",
    "nfdump/labelled-text-sample.txt",
    "nfdump/nfcapd.binary",
    "derived-forms/iot23-original-form-three-spaces.conn.log.labeled",
)
"""Files of forms that no page can say: fields of two blanks, addresses glued to ports, binary
flows, Zeek's own form."""


@pytest.mark.parametrize("name", ROWS)
def test_every_row_of_a_real_file_can_be_scored(
    flows_folder: Path, read_file: "Read", name: str
) -> None:
    contract, rows = ROWS[name]
    read = read_file(flows_folder / name)
    assert (read.contract.name, read.rows_read) == (contract, rows)
    assert read.reasons == {}
    features = {column.name for column in read.contract.features if not column.nullable}
    assert features.isdisjoint(read.nulls)


@pytest.mark.parametrize("name", NO_CONTRACT)
def test_a_real_file_of_another_form_is_refused(flows_folder: Path, name: str) -> None:
    with pytest.raises(InputRejectedError):
        recognise_contract(flows_folder / name, load_contracts())


def test_times_of_cic_ids2017_are_in_the_afternoon_of_fredericton(
    flows_folder: Path, read_file: "Read"
) -> None:
    read = read_file(flows_folder / "cic-ids2017/portscan-with-times.csv.gz")
    # The port scan ran from 13:05 to 14:51 by the clock there, three hours behind UTC.
    times = read.accepted["started_at"]
    assert times.min() == datetime(2017, 7, 7, 16, 5, tzinfo=UTC)
    assert times.max() == datetime(2017, 7, 7, 17, 51, tzinfo=UTC)


def test_rates_that_are_infinite_or_nan_are_null(flows_folder: Path, read_file: "Read") -> None:
    read = read_file(flows_folder / "derived-forms/cic-ids2017-original-spelling.csv")
    assert {name: read.nulls[name] for name in ("flow_bytes_s", "flow_packets_s")} == {
        "flow_bytes_s": 18,
        "flow_packets_s": 18,
    }
    assert set(read.accepted["label"]) == {"Web Attack \u2013 XSS", "PortScan"}


def test_management_records_of_argus_have_no_addresses_and_begin_in_1970(
    flows_folder: Path, read_file: "Read"
) -> None:
    read = read_file(flows_folder / "argus/labelled-tabs.binetflow.gz")
    by_protocol = read.accepted.group_by("proto").len().sort("len", descending=True)
    assert dict(by_protocol.rows())["man"] == 1
    assert read.accepted["started_at"].min() == datetime(1970, 1, 1, 1, tzinfo=UTC)
    icmp = read.accepted.filter(pl.col("proto") == "icmp")
    assert set(icmp["src_port"]) == {0x0303}


def test_durations_of_netflow_that_overflowed_are_scored_and_reported(
    flows_folder: Path, read_file: "Read"
) -> None:
    read = read_file(flows_folder / "netflow-v9/NF-BoT-IoT-v2-reduced.csv.gz")
    assert (read.accepted["duration_s"] > 4_000).sum() == 254_718
    assert any("duration_s: 254,718 rows" in one for one in read.advisories)


def test_a_header_that_is_not_its_datas_is_refused(flows_folder: Path, read_file: "Read") -> None:
    with pytest.raises(InputRejectedError, match="its header in line 1 cannot be that of its rows"):
        read_file(flows_folder / WRONG_HEADER)


def test_a_page_of_ones_own_reads_the_data_under_a_wrong_header(
    flows_folder: Path, read_file: "Read", tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    ours = Path(expectations.__file__).parent / "sources" / "unsw_nb15.toml"
    page = tomllib.loads(ours.read_text("utf-8"))
    order = page["form"]["orders"][0][:46]  # what the rows have: the official order, cut
    text = ours.read_text("utf-8").partition("[labels]")[0]
    text = text.replace('name = "unsw_nb15"', 'name = "unsw_headed"')
    text = text.replace("[form]", '[form]\nheader = "ignored"')
    text = re.sub(r"orders = \[\[.*?\]\]", f"orders = {[order]}", text, flags=re.DOTALL)
    lacking = '"ct_dst_src_ltm"'
    assert lacking in text
    text = text.replace(f", {lacking}]", "]")
    (tmp_path / "unsw_headed.toml").write_text(text, encoding="utf-8")
    monkeypatch.setenv("NOCTULE_CONTRACTS", str(tmp_path))
    read = read_file(flows_folder / WRONG_HEADER)
    assert (read.contract.name, read.rows_read) == ("unsw_headed", 12_142)
    assert read.reasons == {}
    first = read.accepted.row(0, named=True)
    assert (first["src_ip"], first["dst_port"], first["service"]) == ("59.166.0.0", 53, "dns")
    assert first["started_at"] == datetime(2015, 1, 22, 11, 50, 14, tzinfo=UTC)
