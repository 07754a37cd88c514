# ruff: noqa: E501 - rows as the tools write them
"""Each page of ours reads the forms of its source: a few rows of each, written out.

The rows are of the published files and tools, or have their form.
"""

from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.errors import InputRejectedError
from expectations.registry import load_contracts
from tasks.evaluation.labels import attack_name, is_attack
from tasks.intake.recognise import recognise_contract

if TYPE_CHECKING:
    from tests.contract.conftest import ReadFile

    Read = Callable[[Path], ReadFile]

LONGEST_PAGE = 60

UNSW_RAW = """\
59.166.0.0,1390,149.171.126.6,53,udp,CON,0.001055,132,164,31,29,0,0,dns,500473.9375,621800.9375,2,2,0,0,0,0,66,82,0,0,0,0,1421927414,1421927414,0.017,0.013,0,0,0,0,0,0,0,0,3,7,1,3,1,1,1,,0
175.45.176.3,0x000c,149.171.126.18,0x000b,udp,INT,0.000021,728,0,254,0,0,0,-,138666672,0,2,0,0,0,0,0,364,0,0,0,0,0,1421927415,1421927415,0.021,0,0,0,0,0,2,,,0,1,1,1,1,1,1,1, Exploits,1
10.40.182.3,-,10.40.182.3,,arp,INT,0,46,0,0,0,0,0,-,0,0,1,0,0,0,0,0,46,0,0,0,0,0,1421927415,1421927415,0,0,0,0,0,1,2,,, ,2,2,2,2,2,2,2,,0
175.45.176.2,23357,149.171.126.16,80,tcp,FIN,0.24,918,25552,62,252,2,10,http,28050.42,815794.18,12,24,255,255,1708297952,1939490744,77,1065,1,12026,1170.4,1144.3,1421927416,1421927416,21.8,9.5,0.05,0.006,0.04,0,1,1,4,0,3,2,2,1,1,1,1,Backdoors ,1
"""
UNSW_SET = """\
id,dur,proto,service,state,spkts,dpkts,sbytes,dbytes,rate,sttl,dttl,sload,dload,sloss,dloss,sinpkt,dinpkt,sjit,djit,swin,stcpb,dtcpb,dwin,tcprtt,synack,ackdat,smean,dmean,trans_depth,response_body_len,ct_srv_src,ct_state_ttl,ct_dst_ltm,ct_src_dport_ltm,ct_dst_sport_ltm,ct_dst_src_ltm,is_ftp_login,ct_ftp_cmd,ct_flw_http_mthd,ct_src_ltm,ct_srv_dst,is_sm_ips_ports,attack_cat,label
1,0.121478,tcp,-,FIN,6,4,258,172,74.08749,252,254,14158.94238,8495.365234,0,0,24.2956,8.375,30.177547,11.830604,255,621772692,2202533631,255,0,0,0,43,43,0,0,1,0,1,1,1,1,0,0,0,1,1,0,Normal,0
2,0.649902,tcp,ftp,FIN,14,38,734,42014,78.473372,62,252,8395.112305,503571.3125,2,17,49.915,15.432865,61.426934,1387.77833,255,1417884146,3077387971,255,0,0,0,52,1106,0,0,43,1,1,1,1,2,1,1,0,1,6,0,Fuzzers,1
"""
NFDUMP_SHORT = """\
firstSeen,duration,proto,srcAddr,srcPort,dstAddr,dstPort,packets,bytes,flows
2024-05-01 10:00:00.123,0.250,TCP,10.0.0.5,51000,192.0.2.1,443,12,3400,1
2024-05-01 10:00:01.000,0.000,ICMP,10.0.0.5,0,192.0.2.1,3.3,1,56,1
"""
CTU_13 = """\
StartTime,Dur,Proto,SrcAddr,Sport,Dir,DstAddr,Dport,State,sTos,dTos,TotPkts,TotBytes,SrcBytes,Label
2011/08/10 09:46:59.607825,1.026539,tcp,94.44.127.113,1577,   ->,147.32.84.59,6881,S_RA,0,0,4,276,156,flow=Background-Established-cmpgw-CVUT
2011/08/10 09:47:00.634364,1.009595,icmp,147.32.84.165,0x0008,  <->,147.32.84.59,0x62b6,ECO,0,0,4,276,156,flow=From-Botnet-V42-ICMP
2011/08/10 09:47:48.185538,3.056586,tcp,147.86.166.1,4768,  ?>,147.32.84.59,443,,,0,3,182,122,flow=To-Normal-V42-UDP-NTP-server
"""
SURICATA = """\
{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":1,"event_type":"alert","src_ip":"192.0.2.7","alert":{"signature":"x"}}
{"timestamp":"2021-06-06T15:57:37.272281+0200","flow_id":445348883402532,"event_type":"flow","src_ip":"2001:DB8::1","src_port":50524,"dest_ip":"192.0.2.9","dest_port":1900,"proto":"UDP","app_proto":"failed","flow":{"pkts_toserver":2,"pkts_toclient":0,"bytes_toserver":120,"bytes_toclient":0,"start":"2021-06-06T16:38:55.855844+0200","end":"2021-06-06T16:38:56.963027+0200","age":1,"state":"new","reason":"timeout","alerted":false}}
{"timestamp":"2021-06-06T15:57:38.272281+0200","flow_id":445348883402533,"event_type":"flow","src_ip":"192.0.2.7","src_port":50525,"dest_ip":"192.0.2.9","dest_port":80,"proto":"TCP","flow":{"pkts_toserver":5,"pkts_toclient":4,"bytes_toserver":300,"bytes_toclient":900,"start":"2021-06-06T16:38:55.855844+0200","end":"2021-06-06T16:38:58.963027+0200","age":3,"state":"closed","reason":"timeout","alerted":false},"tcp":{"tcp_flags":"1b","tcp_flags_ts":"1b","tcp_flags_tc":"1b","syn":true,"state":"closed"}}
"""


def test_every_page_of_ours_is_short() -> None:
    folder = Path(__file__).parents[2] / "expectations" / "sources"
    pages = sorted(folder.glob("*.toml"))
    assert len(pages) >= 6
    for page in pages:
        if page.stem != "nsl_kdd":  # it declares what each of 41 features means
            assert len(page.read_text("utf-8").splitlines()) <= LONGEST_PAGE, page.name


def test_unsw_nb15_without_a_header(tmp_path: Path, read_file: "Read") -> None:
    read = read_text(tmp_path, read_file, UNSW_RAW)
    rows = read.accepted
    assert (read.contract.name, rows.height) == ("unsw_nb15", 4)
    assert rows["started_at"][0] == datetime(2015, 1, 22, 11, 50, 14, tzinfo=UTC)
    assert rows["src_port"].to_list() == [1390, 12, None, 23357]
    assert rows["dst_port"].to_list() == [53, 11, None, 80]
    assert rows["service"].to_list() == ["dns", None, None, "http"]
    assert rows["is_ftp_login"].to_list() == [0, None, None, 4]
    assert rows["sintpkt_s"].round(9).to_list() == [0.000017, 0.000021, 0, 0.0218]
    judged = rows.select(
        is_attack(read.contract, rows.columns), attack_name(read.contract, rows.columns)
    )
    assert judged.rows() == [
        (False, None), (True, "Exploits"), (False, None), (True, "Backdoors"),
    ]  # fmt: skip


def test_unsw_nb15_as_training_and_testing_sets(tmp_path: Path, read_file: "Read") -> None:
    read = read_text(tmp_path, read_file, UNSW_SET)
    rows = read.accepted
    assert (read.contract.name, rows.height) == ("unsw_nb15", 2)
    assert rows["smeansz"].to_list() == [43, 52]
    assert "id" not in rows.columns
    assert rows.select(is_attack(read.contract, rows.columns)).to_series().to_list() == [
        False,
        True,
    ]


def test_the_later_form_of_nfdump(tmp_path: Path, read_file: "Read") -> None:
    read = read_text(tmp_path, read_file, NFDUMP_SHORT)
    first = read.accepted.row(0, named=True)
    assert read.contract.name == "nfdump_csv"
    assert first["started_at"] == datetime(2024, 5, 1, 10, 0, 0, 123_000, tzinfo=UTC)
    assert (first["proto"], first["src_packets"], first["src_bytes"]) == ("tcp", 12, 3_400)
    assert first["duration_s"] == pytest.approx(0.25)


def test_argus_without_source_packets(tmp_path: Path, read_file: "Read") -> None:
    read = read_text(tmp_path, read_file, CTU_13)
    rows = read.accepted
    assert (read.contract.name, rows.height) == ("argus", 3)
    assert rows["src_packets"].null_count() == 3
    assert rows["dir"].to_list() == ["->", "<->", "?>"]
    assert rows["conn_state"].to_list() == ["S_RA", "ECO", None]
    assert rows.select(is_attack(read.contract, rows.columns)).to_series().to_list() == [
        False,
        True,
        False,
    ]


def test_suricata_counts_flow_records_only(tmp_path: Path, read_file: "Read") -> None:
    read = read_text(tmp_path, read_file, SURICATA)
    rows = read.accepted
    assert (read.contract.name, read.rows_read) == ("suricata", 2)
    assert rows["src_ip"].to_list() == ["2001:db8::1", "192.0.2.7"]
    assert rows["started_at"][0] == datetime(2021, 6, 6, 14, 38, 55, 855_844, tzinfo=UTC)
    assert rows["tcp_state"].to_list() == [None, "closed"]


def test_lines_of_commas_at_the_end_of_cic_ids2017_are_no_rows(
    tmp_path: Path, read_file: "Read"
) -> None:
    contract = load_contracts()["cic_ids2017"]
    names = [next(iter(column.sources), column.name) for column in contract.features]
    path = tmp_path / "Thursday.csv"
    lines = [
        ",".join([f" {name}" for name in ["Flow ID", "Timestamp", *names, "Label"]]),
        ",".join(["a", "6/7/2017 9:20", *["0"] * len(names), "BENIGN"]),
        "," * (len(names) + 2),
        "," * (len(names) + 2),
    ]
    path.write_bytes("\r\n".join(lines).encode() + b"\r\n")
    read = read_file(path)
    assert (read.contract.name, read.rows_read, read.accepted.height) == ("cic_ids2017", 1, 1)


def test_a_home_made_table_of_flows_is_claimed_by_none_of_ours(tmp_path: Path) -> None:
    path = tmp_path / "mine.csv"
    path.write_text("time,duration,proto,packets,bytes,label\n1,2,tcp,3,4,ok\n", encoding="utf-8")
    with pytest.raises(InputRejectedError, match="no contract knows it"):
        recognise_contract(path, load_contracts())


def read_text(folder: Path, read_file: "Read", text: str) -> "ReadFile":
    path = folder / "flows.csv"
    path.write_text(text, encoding="utf-8")
    return read_file(path)
