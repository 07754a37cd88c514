"""Forms of files that Noctule does not read, recognised by how their content begins.

Belongs here: one table of such forms, each with advice. Does not belong here: opening
a file (``tasks.intake.content``), or what the lines of a text mean
(``tasks.intake.text_layout``).

A form is named only if the beginning leaves no doubt: a table of connections with a damaged first
line must stay a table.
"""

import re
from dataclasses import dataclass
from typing import Final

READ: Final = (
    "Noctule reads tables of text such as CSV, and JSON lines, plain or compressed by gzip or"
    " zstandard, and Parquet."
)

START_BYTES: Final = 64 << 10
"""How much of a content is examined. A guess: an ARFF file begins with pages of comments."""

_CONVERT = "Convert the file."
_DECOMPRESS = "Decompress it, and deliver its content."
_UNPACK = "Unpack it, and deliver the CSV or Parquet file in it."
_EXPORT = "Deliver its table as CSV or Parquet."
_RECORDS = "Deliver CSV or Parquet, a connection in each row."
_RECORD = "Make connections from it, and deliver them as CSV or Parquet."
_AGAIN = "Deliver the table itself, as CSV or Parquet."
_LINES = "Deliver one object on each line, as `jq -c` writes them."


@dataclass(frozen=True)
class Form:
    """A form that is not read."""

    name: str
    """What the file is, in words that follow "it is"."""
    advice: str
    """What to do, a sentence."""


_ZIP: Final = (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08")
_IN_ZIP: Final = (
    (re.compile(rb"\[Content_Types\]\.xml|xl/"), Form("an Excel workbook (.xlsx)", _EXPORT)),
    (re.compile(rb"opendocument\.spreadsheet"), Form("an OpenDocument spreadsheet", _EXPORT)),
)

_BINARY: Final[tuple[tuple[int, tuple[bytes, ...], Form], ...]] = (
    (0, _ZIP, Form("a zip archive", _UNPACK)),
    (0, (b"7z\xbc\xaf\x27\x1c",), Form("a 7z archive", _UNPACK)),
    (0, (b"Rar!\x1a\x07",), Form("a RAR archive", _UNPACK)),
    (257, (b"ustar",), Form("a tar archive", _UNPACK)),
    (0, (b"BZh",), Form("compressed by bzip2", _DECOMPRESS)),
    (0, (b"\xfd7zXZ\x00",), Form("compressed by xz", _DECOMPRESS)),
    (0, (b"]\x00\x00\x80\x00", b"LZIP\x01"), Form("compressed by LZMA", _DECOMPRESS)),
    (0, (b"\x04\x22\x4d\x18", b"\x02\x21\x4c\x18"), Form("compressed by lz4", _DECOMPRESS)),
    (0, (b"\xff\x06\x00\x00sNaPpY",), Form("compressed by snappy", _DECOMPRESS)),
    (0, (b"\x1f\x9d", b"\x1f\xa0"), Form("compressed by compress (.Z)", _DECOMPRESS)),
    (0, (b"\xff\xfe\x00\x00", b"\x00\x00\xfe\xff"), Form("UTF-32 text", _CONVERT)),
    (0, (b"\xff\xfe", b"\xfe\xff"), Form("UTF-16 text", _CONVERT)),
    (0, (b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1",), Form("an Excel workbook (.xls)", _EXPORT)),
    (0, (b"Obj\x01",), Form("an Avro file", _EXPORT)),
    (0, (b"ORC",), Form("an ORC file", _EXPORT)),
    (0, (b"ARROW1", b"FEA1", b"\xff\xff\xff\xff"), Form("an Arrow (Feather) file", _EXPORT)),
    (0, (b"\x89HDF\r\n\x1a\n",), Form("an HDF5 file", _EXPORT)),
    (0, (b"\x93NUMPY",), Form("an array of NumPy", _EXPORT)),
    (0, (b"RDX2\n", b"RDX3\n", b"RDA2\n", b"RDA3\n"), Form("a data file of R", _EXPORT)),
    (0, (b"SQLite format 3\x00",), Form("a SQLite database", _EXPORT)),
    (0, (b"%PDF-",), Form("a PDF document", _AGAIN)),
    (0, (b"{\\rtf",), Form("an RTF document", _AGAIN)),
    (0, (b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF8"), Form("a picture", _AGAIN)),
    (0, (b"\xa1\xb2\xc3\xd4", b"\xd4\xc3\xb2\xa1", b"\xa1\xb2\x3c\x4d", b"\x4d\x3c\xb2\xa1"),
     Form("a packet capture (pcap)", _RECORD)),
    (0, (b"\n\r\r\n",), Form("a packet capture (pcapng)", _RECORD)),
    (0, (b"\x0c\xa5", b"\xa5\x0c"), Form("flows in the binary form of nfdump", _RECORD)),
    (0, (b"\xde\xad\xbe\xef",), Form("flows in the binary form of SiLK", _RECORD)),
    (0, (b"\x83\x10", b"\x83\x01", b"\x85\x10", b"\x85\x01"),
     Form("flows in the binary form of Argus", _RECORD)),
    (0, (b"ElfFile\x00",), Form("a Windows event log (EVTX)", _RECORD)),
    (0, (b"\x7fELF", b"MZ\x90\x00"), Form("a program", _AGAIN)),
)  # fmt: skip
"""The position, the bytes at that position, and what they mean. The first record of Argus says
that it is a management record, its version, and that it is the start."""

_NESTED: Final = (
    ((b"\x1f\x8b", b"\x28\xb5\x2f\xfd"), Form("compressed twice", _DECOMPRESS)),
    ((b"PAR1",), Form("compressed Parquet", "Decompress it and deliver it again.")),
)
"""Content that Noctule reads in a plain file, and refuses in a compressed one."""

_COMMENTS = r"(?:(?:%|--|/\*|#)[^\r\n]*+\s*+)*+"
_TEXT: Final = tuple(
    (re.compile(pattern.encode(), re.IGNORECASE), form)
    for pattern, form in (
        (_COMMENTS + r"@(?:relation|attribute|data)\b", Form("ARFF", _RECORDS)),
        (r"#(?:separator|set_separator|fields|path)[ \t]", Form("a Zeek log", _RECORDS)),
        (r'\[\s*+(?:\{\s*+(?:"|\}|\Z)|\[|"|-?\d|\])', Form("a JSON array", _LINES)),
        (r"\x1e\s*+\{", Form("a sequence of JSON texts (RFC 7464)", _LINES)),
        (r'\{[ \t]*(?:[\r\n]\s*+"|\Z)', Form("JSON over several lines", _LINES)),
        (r"\[?\s*+\{\s*+u?'\w+'\s*:", Form("dictionaries of Python", _RECORDS)),
        (r"(?:<!--[^>]*-->\s*)?<(?:!doctype html|html|head|body)\b", Form("HTML", _AGAIN)),
        (r"<\?xml\b|<[a-z_][\w:.-]*+(?:\s[^<>]*)?>\s*+<[a-z_]", Form("XML", _RECORDS)),
        (
            _COMMENTS + r"(?:(?:create|drop|alter|lock) (?:table|database)|insert (?:ignore )?into"
            r"|begin transaction|pragma \w|set names |set \w+ ?=)",
            Form("SQL statements", _EXPORT),
        ),
        (
            r"[+-]?[\d.]+(?:[ \t]+(?:qid|\d+):[^\s,]+){2,}[ \t]*(?:[\r\n]|\Z)",
            Form("text in the form of LibSVM", _RECORDS),
        ),
        (r"#(?:version|software|fields):", Form("a W3C extended log", _RECORDS)),
        (r"cef:\d+\||leef:\d", Form("a log of security events (CEF or LEEF)", _RECORDS)),
        (r"-----begin pgp message", Form("encrypted", "Decrypt it, and deliver its content.")),
        (
            r"version https://git-lfs\.github\.com/spec/",
            Form("a pointer of Git LFS", "Fetch the file that it points to, and deliver that."),
        ),
    )
)
"""Patterns of how a text begins after blanks and blank lines, in any case of letters."""

_MARK = b"\xef\xbb\xbf"


def name_form(start: bytes, *, is_compressed: bool) -> Form | None:
    """Return the form of a content that is not read; None if it may be a table.

    Args:
        start: the first bytes of the content, decompressed: ``START_BYTES``, or all there are.
        is_compressed: whether they were compressed.
    """
    for magic, form in _NESTED:
        if start.startswith(magic):
            return form if is_compressed else None
    for place, magics, form in _BINARY:
        if start.startswith(magics, place):
            return (_look_into(start) if magics is _ZIP else None) or form
    if wide := _name_wide_text(start):
        return wide
    text = start.removeprefix(_MARK).lstrip()
    return next((form for pattern, form in _TEXT if pattern.match(text)), None)


def _look_into(start: bytes) -> Form | None:
    """Return the form of a zip archive that is a document; None if it is none."""
    return next((form for pattern, form in _IN_ZIP if pattern.search(start)), None)


def _name_wide_text(start: bytes) -> Form | None:
    """Return the form of UTF-16 and UTF-32 without a mark; None if it is neither.

    For ASCII characters, the bytes at the same places are NUL. Most bytes at some places must be
    NUL and none at one place, so that a damaged line is not enough.
    """
    places = [start[place::4].count(0) for place in range(4)]
    least, less, *_ = sorted(places)
    if least == 0 and less > len(start) // 8:
        return Form("UTF-32 text", _CONVERT)
    fewer, more = sorted([places[0] + places[2], places[1] + places[3]])
    if fewer == 0 and more > len(start) // 4:
        return Form("UTF-16 text", _CONVERT)
    return None
