"""Lines of a text, split at line feeds only: what the damage to text and to cells both need."""

from collections.abc import Sequence

from hypothesis import strategies as st


def split_lines(text: bytes) -> list[bytes]:
    """Split a text at line feeds; each line keeps its own."""
    return text.splitlines(keepends=True) if b"\r" not in text else _split_at_feeds(text)


def _split_at_feeds(text: bytes) -> list[bytes]:
    lines = [line + b"\n" for line in text.split(b"\n")]
    lines[-1] = lines[-1][:-1]
    return lines if lines[-1] else lines[:-1]


def draw_place(draw: st.DrawFn, lines: Sequence[bytes]) -> int:
    """Draw the index of a line; 0 where there is none."""
    return draw(st.integers(0, max(len(lines) - 1, 0)))
