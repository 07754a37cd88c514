"""Every form that is not read is named with what to do, and no table is taken for one."""

import bz2
import gzip
import io
import json
import lzma
import sqlite3
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest
from pyarrow import orc

from expectations.errors import InputRejectedError
from tasks.intake.content import read_content
from tasks.intake.forms import READ

RECORD = {"duration": 1, "service": "http", "error_rate": 0.5}
FRAME = pl.DataFrame([RECORD] * 3)
CSV = FRAME.write_csv().encode()


def written(write: Callable[[io.BytesIO], object]) -> bytes:
    file = io.BytesIO()
    write(file)
    return file.getvalue()


def zipped(*names: str) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as archive:
        for name in names:
            archive.writestr(name, CSV)
    return file.getvalue()


def tarred() -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w") as archive:
        entry = tarfile.TarInfo("night.csv")
        entry.size = len(CSV)
        archive.addfile(entry, io.BytesIO(CSV))
    return file.getvalue()


def a_database() -> bytes:
    database = sqlite3.connect(":memory:")
    database.execute("CREATE TABLE night (duration)")
    return database.serialize()


ARFF = b"@relation 'night'\n@attribute 'duration' real\n@data\n" + b"1,http,0.5\n" * 99
FORMS = {
    "zip": (zipped("night.csv"), "a zip archive", "Unpack it"),
    "xlsx": (
        zipped("docProps/app.xml", "[Content_Types].xml", "xl/workbook.xml"),
        r"an Excel workbook \(\.xlsx\)",
        "Deliver its table as CSV",
    ),
    "xls": (bytes.fromhex("d0cf11e0a1b11ae1") + bytes(504), r"workbook \(\.xls\)", "Deliver its"),
    "7z": (bytes.fromhex("377abcaf271c0004") + bytes(24), "a 7z archive", "Unpack it"),
    "tar": (tarred(), "a tar archive", "Unpack it"),
    "tar in gzip": (gzip.compress(tarred()), "a tar archive", "Unpack it"),
    "bzip2": (bz2.compress(CSV), "compressed by bzip2", "Decompress it"),
    "xz": (lzma.compress(CSV), "compressed by xz", "Decompress it"),
    "lzma": (lzma.compress(CSV, lzma.FORMAT_ALONE), "compressed by LZMA", "Decompress it"),
    "lz4": (bytes.fromhex("04224d186440") + CSV, "compressed by lz4", "Decompress it"),
    "gzip in gzip": (gzip.compress(gzip.compress(CSV)), "compressed twice", "Decompress it"),
    "Parquet in gzip": (
        gzip.compress(written(FRAME.write_parquet)),
        "compressed Parquet",
        "Decompress it",
    ),
    "Arrow": (written(FRAME.write_ipc), "an Arrow", "as CSV or Parquet"),
    "Arrow stream": (written(FRAME.write_ipc_stream), "an Arrow", "as CSV or Parquet"),
    "Avro": (written(FRAME.write_avro), "an Avro file", "as CSV or Parquet"),
    "ORC": (
        written(lambda file: orc.write_table(FRAME.to_arrow(), file)),
        "an ORC file",
        "as CSV or Parquet",
    ),
    "SQLite": (a_database(), "a SQLite database", "as CSV or Parquet"),
    "pcap": (bytes.fromhex("d4c3b2a102000400") + bytes(16), "a packet capture", "Make connections"),
    "pcapng": (bytes.fromhex("0a0d0d0a1c000000") + bytes(20), "a packet capture", "connections"),
    "nfdump": (bytes.fromhex("0ca501000000000002000000") + b"none", "nfdump", "connections"),
    "EVTX": (b"ElfFile\0" + bytes(99), "a Windows event log", "Make connections"),
    "PDF": (b"%PDF-1.7\n%\xe2\xe3\n", "a PDF document", "Deliver the table itself"),
    "HTML": (b"\n<!DOCTYPE html>\n<html><body>404</body></html>\n", "HTML", "the table itself"),
    "XML": (b"<?xml version='1.0'?>\n<night/>\n", "XML", "Deliver CSV"),
    "XML without a declaration": (b"<night>\n <flow a='1'/>\n</night>", "XML", "Deliver CSV"),
    "ARFF": (ARFF, "ARFF", "Deliver CSV"),
    "ARFF below comments": (b"% made by hand\n%\n\n  @RELATION x\n", "ARFF", "Deliver CSV"),
    "ARFF of another age": (ARFF.replace(b"\n", b"\r"), "ARFF", "Deliver CSV"),
    "ARFF with a mark": (b"\xef\xbb\xbf" + ARFF, "ARFF", "Deliver CSV"),
    "a JSON array": (json.dumps([RECORD], indent=2).encode(), "a JSON array", "one object on each"),
    "a JSON array in gzip": (gzip.compress(b'[{"a": 1}]'), "a JSON array", "one object on each"),
    "a JSON array of arrays": (json.dumps([[1, "http"]]).encode(), "a JSON array", "one object"),
    "JSON by indented lines": (json.dumps(RECORD, indent=2).encode(), "over several", "one object"),
    "JSON sequence": (b'\x1e{"a": 1}\n\x1e{"a": 2}\n', "RFC 7464", "one object on each line"),
    "Zeek": (b"#separator \\x09\n#set_separator\t,\n#path\tconn\n", "a Zeek log", "Deliver CSV"),
    "Zeek without a separator": (b"#fields\tts\tuid\n1\tC\n", "a Zeek log", "Deliver CSV"),
    "Python": (f"{RECORD!r}\n".encode(), "dictionaries of Python", "Deliver CSV"),
    "LibSVM": (b"1 1:0.5 3:1 7:2\n-1 2:4 3:1\n", "LibSVM", "Deliver CSV"),
    "a MySQL dump": (
        b"-- MySQL dump 10.13\n--\n/*!40101 SET NAMES utf8 */;\n\nDROP TABLE IF EXISTS `night`;\n",
        "SQL statements",
        "as CSV or Parquet",
    ),
    "a PostgreSQL dump": (
        b"--\n-- PostgreSQL database dump\n--\n\nSET statement_timeout = 0;\n",
        "SQL statements",
        "as CSV or Parquet",
    ),
    "UTF-16": (CSV.decode().encode("utf-16"), "UTF-16 text", "Convert"),
    "UTF-16 without a mark": (CSV.decode().encode("utf-16-be"), "UTF-16 text", "Convert"),
    "UTF-32": (CSV.decode().encode("utf-32"), "UTF-32 text", "Convert"),
    "UTF-32 without a mark": (CSV.decode().encode("utf-32-le"), "UTF-32 text", "Convert"),
    "a Git LFS pointer": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n",
        "a pointer of Git LFS",
        "Fetch the file",
    ),
    "PGP": (b"-----BEGIN PGP MESSAGE-----\n", "encrypted", "Decrypt it"),
}


def read(folder: Path, content: bytes) -> bytes:
    source = folder / "night.csv"
    source.write_bytes(content)
    return b"".join(read_content(source))


@pytest.mark.parametrize("name", FORMS)
def test_a_form_that_is_not_read_is_named_with_what_to_do(tmp_path: Path, name: str) -> None:
    content, named, advice = FORMS[name]
    with pytest.raises(InputRejectedError, match=rf"it is .*{named}.* {READ}.*{advice}") as refused:
        read(tmp_path, content)
    assert len(str(refused.value).replace(str(tmp_path), "")) < 300


@pytest.mark.parametrize(
    "start",
    [
        b"",
        b"\n",
        b"# exported by hand\nduration,service\n",
        b"-- exported by hand\nduration,service\n",
        b"% exported by hand\nduration,service\n",
        b"{{7*7}},http,0.5\n",
        b'{"duration": 1, "service": "http"}\n' * 2,
        b'{"duration": {"0": 1}}',
        b'{"ts":1754598458.7,"uid":"CSxZf7"}\n',
        b"<script>alert(1)</script>,http,0.5\n",
        b"[duration],[service]\n",
        b"set id,drop table size,insert into\n",
        b"'; DROP TABLE batch; --,http\n",
        b"OR,http\nORC\n"[2:],
        b"1 2,http\n",
        b"PAR2,http\n",
        b"1\0,\0h\0\n" + CSV * 9,
        bytes(70_000),
        b"\n" * 70_000 + CSV,
        b" " * 70_000 + CSV,
        b"%" * 70_000,
    ],
    ids=range(21),
)
def test_text_whose_first_line_is_odd_stays_text(tmp_path: Path, start: bytes) -> None:
    assert read(tmp_path, start) == start
    assert read(tmp_path, gzip.compress(start)) == start
