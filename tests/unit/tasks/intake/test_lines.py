from collections.abc import Callable
from functools import partial
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.contract import Form
from tasks.intake.lines import (
    cut_blocks,
    cut_long_lines,
    end_by_feeds,
    ends_in_returns,
    find_lines,
)
from tasks.intake.numbered_lines import NumberedLines, Place, number_block, pass_lines

TEXTS = st.lists(
    st.sampled_from([b"a", b"bb", b"\n", b"\r\n", b"\r", b"\n\n", b"\xef\xbb\xbf", b"ccccc"])
).map(b"".join)


def in_pieces(text: bytes, cuts: set[int]) -> list[bytes]:
    """Cut a text at some of its places."""
    places = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    return [text[first:last] for first, last in pairwise(places)]


def number_from(header_line: int) -> Callable[[bytes, Place], NumberedLines]:
    """Return what numbers the lines of a text with a header."""
    return partial(number_block, form=Form(), header_line=header_line)


def rows_of(text: bytes, header_line: int = 0) -> list[bytes]:
    """List the rows of a text: lines that are not blank, after the header."""
    text += b"" if text.endswith(b"\n") else b"\n"
    lines = text.replace(b"\r\n", b"\n").split(b"\n")
    return [line for number, line in enumerate(lines, 1) if line and number > header_line]


@pytest.mark.parametrize(
    ("pieces", "block_bytes", "blocks"),
    [
        ([b"a\nb\nc"], 1, [b"a\nb\n", b"c\n"]),
        ([b"a\n", b"b\n", b"c\n"], 2, [b"a\n", b"b\n", b"c\n"]),
        ([b"a\n", b"b\n", b"c\n"], 3, [b"a\nb\n", b"c\n"]),
        ([b"lo", b"ng", b"er\nb", b"\n"], 2, [b"longer\n", b"b\n"]),
        ([b"\xef\xbb", b"\xbfa\n", b"b"], 1, [b"a\n", b"b\n"]),
        ([b"\xef\xbb\xbf"], 1, []),
        ([], 1, []),
    ],
)
def test_blocks_hold_whole_lines(
    pieces: list[bytes], block_bytes: int, blocks: list[bytes]
) -> None:
    assert list(cut_blocks(iter(pieces), block_bytes)) == blocks


def test_lines_are_found_by_their_numbers_without_their_ends() -> None:
    found = find_lines(iter([b"a\r\n", b"\nb\n"]), [0, 1, 2, 3, 4])
    assert found == {1: b"a", 2: b"", 3: b"b"}


@given(TEXTS, st.sets(st.integers(0, 30)), st.integers(1, 6))
def test_long_lines_are_cut_to_a_byte_more_than_may_be(
    text: bytes, cuts: set[int], limit: int
) -> None:
    kept = b"".join(cut_long_lines(iter(in_pieces(text, cuts)), limit))
    assert kept == b"\n".join(line[: limit + 1] for line in text.split(b"\n"))


def test_a_line_without_end_takes_no_memory() -> None:
    pieces = iter([b"x" * 1_000] * 1_000)
    held = [len(piece) for piece in cut_long_lines(pieces, 1_500)]
    assert held == [1_000, 501]
    assert next(pieces, None) is None


@given(TEXTS, st.integers(0, 40), st.sets(st.integers(0, 40)), st.integers(0, 2))
def test_lines_that_are_passed_and_those_after_them_are_all_lines_once(
    text: bytes, size: int, cuts: set[int], header_line: int
) -> None:
    text = text.replace(b"\xef\xbb\xbf", b"")
    size = min(size, len(text))
    passed = pass_lines(iter(in_pieces(text, cuts)), size, number_from(header_line))
    rest = b"".join(passed.rest)
    beginning = text[: len(text) - len(rest)]
    assert text.endswith(rest)
    lines = beginning.count(b"\n") + (bool(beginning) and beginning[-1:] != b"\n")
    assert passed.next.line == lines + 1
    assert passed.rows == len(rows_of(beginning, header_line))
    together = rows_of(beginning, header_line) + rows_of(rest, max(0, header_line - lines))
    assert together == rows_of(text, header_line)
    assert len(beginning) <= size + 2, "a line end just behind belongs to its line"
    assert rest == b"" or beginning[-1:] in {b"", b"\n"}, "what is left begins with a line"
    if text[:size].endswith(b"\n"):
        assert len(beginning) == size


@pytest.mark.parametrize(
    ("known", "new", "rows", "rest"),
    [
        (b"h\n1\n2\n", b"3\n", 2, b"3\n"),
        (b"h\n1\n2", b"\n3\n", 2, b"3\n"),
        (b"h\n1\n2", b"\r\n3\n", 2, b"3\n"),
        (b"h\n1\n2", b"2\n3\n", 1, b"22\n3\n"),
        (b"h\n1\n2", b"", 2, b""),
        (b"h\n1\n\n", b"\n", 1, b"\n"),
        (b"\xef\xbb\xbfh\n1", b"1\n", 0, b"11\n"),
        (b"\xef\xbb\xbf1", b"1\n", 0, b"11\n"),
        (b"\xef\xbb\xbf", b"1\n", 0, b"1\n"),
    ],
    ids=[
        "whole",
        "end to come",
        "CRLF to come",
        "half",
        "all",
        "blank",
        "marked",
        "first line",
        "only a mark",
    ],
)
def test_a_half_last_line_is_left_to_be_read_whole(
    known: bytes, new: bytes, rows: int, rest: bytes
) -> None:
    header = int(b"h" in known)
    passed = pass_lines(iter([known + new]), len(known), number_from(header))
    assert (passed.rows, b"".join(passed.rest)) == (rows, rest)


@given(TEXTS, st.sets(st.integers(0, 30)))
def test_carriage_returns_become_line_feeds_in_their_places(text: bytes, cuts: set[int]) -> None:
    ended = b"".join(end_by_feeds(iter(in_pieces(text, cuts))))
    assert len(ended) == len(text)
    assert ended.replace(b"\r\n", b"\n").split(b"\n") == (
        text.replace(b"\r\n", b"\n").replace(b"\r", b"\n").split(b"\n")
    )
    assert [place for place in range(len(text)) if text[place] != ended[place]] == [
        place
        for place in range(len(text))
        if text[place : place + 1] == b"\r" and text[place + 1 : place + 2] != b"\n"
    ]


@pytest.mark.parametrize(
    ("start", "is_so"),
    [
        (b"a\rb\r", True),
        (b"a\rb\rc\n", True),
        (b"\r\ra\r", True),
        (b"a\r", True),
        (b"a\rb\nc\n", False),
        (b"a,b\r1,2\r3,4\n5,6\n7,8\n9,0\n", True),
        (b"1,2\r,3\n1,2,3\n1,2,3\n", False),
        (b"a\nb\rc\rd\re\r", False),
        (b"a\r\nb\rc\r", False),
        (b"a\r\r\nb\r\r\n", False),
        (b"a", False),
        (b"", False),
    ],
)
def test_line_ends_are_told_by_the_first_and_by_most(start: bytes, *, is_so: bool) -> None:
    assert ends_in_returns(start) == is_so
