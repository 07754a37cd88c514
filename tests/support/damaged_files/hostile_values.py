"""Values that break readers of connection files.

Belongs here: the values. Does not belong here: where they are put (see ``text_damage``,
``cell_damage`` and ``table_damage``).
"""

from typing import Final

HOSTILE_CELLS: Final = (
    b"", b" ", b"\t", b"0", b"-0", b"-1", b"+5", b" 7 ", b"007", b"1_0", b"0x1F", b"1,5", b"1.5",
    b"1e3", b"9223372036854775807", b"9223372036854775808", b"-9223372036854775808",
    b"-9223372036854775809", b"340282366920938463463374607431768211456", b"9" * 5_000, b"1e999",
    b"-1e999", b"nan", b"NaN", b"-nan", b"inf", b"-inf", b"Infinity", b"1e-400", b"-0.0",
    b"1.0000001", b"0.5", b".5", b"5.", b"1e", b"\xd9\xa3", b"null", b"NULL", b"N/A", b"-",
    b"true", b"False", b"14.0", b"1.0", b"13.999999999999998", b"1e-17", b"-1e-17",
    b"0.33000001311", b"1.0000000000000002", b"1.2e+3", b"\xc2\xa05", b" tcp", b"tcp\t", b"b'tcp'",
    b"33%", b"=cmd|' /C calc'!A0", b"@SUM(1+1)", b"'; DROP TABLE batch; --", b"' OR '1'='1",
    b"{{7*7}}", b"<script>alert(1)</script>", b"%s%n", b"../../etc/passwd", b"\\", b"\\x00",
    b"\\u0000", b"\x1b[2J\x1b]0;owned\x07", b"\x00", b"a\x00b", b"\x01\x7f", b"\x80", b"\xff\xfe",
    b"\xc3\x28", b"\xed\xa0\x80", b"\xe2\x80\xaegpj.exe", b"\xe2\x80\xa8", b"\xc2\x85",
    b"\xef\xbb\xbf", b"\xf0\x9f\xa6\x87", b"e\xcc\x81", b"x^", b"#", b'"', b'""', b'"""', b'a"b',
    b'"a', b'a"', b'"a"b', b'"a,b"', b'"a\nb"', b'"a\r\nb"', b'"x"', b'"5"', b"\r", b"a\rb",
    b"tcp", b"TCP", b"icmp", b"SF", b"S0", b"private", b"eco_i", b"normal", b"x" * 100,
    b"A" * 3_000, b"\xf0\x9f\xa6\x87" * 400,
)  # fmt: skip
"""Replacements of a cell: numbers, texts and quotes that some reader gets wrong."""

HOSTILE_NAMES: Final = (
    b"", b" ", b"extra", b"duration", b"DURATION", b" duration ", b"class", b"attack",
    b"difficulty", b"*", b"^.*$", b"^d.*$", b"row_index", b"row_number", b"line_number",
    b"reasons", b"raw", b"is_flagged", b"anomaly_score", b"literal", b"column_1", b"stage",
    b"batch_id", b'"a,b"', b"\x1b[31m", b"\xf0\x9f\xa6\x87", b"\xe2\x80\xaexx", b"\xff", b"\x00",
    b"n" * 500, b"'; DROP TABLE batch; --", b"{{7*7}}", b"<b>",
)  # fmt: skip
"""Names of a column: those of our own frames and tables, patterns, and the empty name."""

INSERTED: Final = (
    b"\x00", b"\r", b"\n", b"\r\n", b'"', b",", b"\xff", b"\x80", b"\x1b", b" ", b";", b"0",
    b"\n\n\n", b"\r\r\n", b"\xef\xbb\xbf", b"PAR1", b"\x1f\x8b", b"x^",
)  # fmt: skip

ODD_LINES: Final = (
    b"", b" ", b"\t", b",", b"," * 40, b"," * 41, b",", b'"', b"\r", b"\r\r", b"# a comment",
    b"1,2,3", b"duration", b"EOF", b"\x00" * 41, b"-- 25192 rows --",
)  # fmt: skip

SEPARATORS: Final = (b";", b"\t", b"|", b" ", b"\x1f", b", ")
ENCODINGS: Final = ("utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-7", "cp037")
