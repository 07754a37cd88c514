"""Cases: the bytes of a file, and what happens to the file while it is processed.

Belongs here: compression, Parquet, damage to their bytes, and the strategy that draws cases. Does
not belong here: damage to text or tables (see ``text_damage``, ``table_damage``), or what must
become of a case (``tests.support.oracles.file_oracle``).
"""

import gzip
import io
from dataclasses import dataclass, field, replace
from typing import Final, Literal, get_args

import polars as pl
import zstandard
from hypothesis import strategies as st

from tests.support.damaged_files.originals import Original
from tests.support.damaged_files.table_damage import DAMAGES as TABLE_DAMAGES
from tests.support.damaged_files.table_damage import damaged_tables
from tests.support.damaged_files.text_damage import DAMAGES as TEXT_DAMAGES
from tests.support.damaged_files.text_damage import (
    add_garbage,
    damaged_texts,
    delete_bytes,
    draw_kinds,
    flip_bytes,
    insert_bytes,
    truncate,
)
from tests.support.oracles.file_oracle import ExpectedFile, expect_frame, expect_text

Form = Literal["plain", "gzip", "zstandard", "Parquet", "Parquet in gzip", "gzip in gzip"]
Trouble = Literal["vanishes", "is cut", "grows", "is replaced"]
Moment = Literal["ingest", "validate", "score"]

FORMS: Final[tuple[Form, ...]] = (
    *("plain",) * 10, *("gzip",) * 4, *("zstandard",) * 4, *("Parquet",) * 6,
    "Parquet in gzip", "gzip in gzip",
)  # fmt: skip
"""Each form as often as its weight. Guesses: most files are text, which has the most faults."""

SUITE_ODDS: Final = 100
"""One case in so many is validated by Great Expectations. That takes about 0.35 s, some fifteen
times the rest of a case (measured), and so an eighth of the total time."""
TROUBLE_ODDS: Final = 16
"""In one case in so many, something happens to the file while it is processed. A guess."""

GROWTH_ODDS: Final = 8
"""One text in so many is also delivered before it has grown. A guess."""

COMPRESSIONS: Final = ("zstd", "uncompressed", "snappy", "lz4", "gzip")
SKIPPABLE_FRAME: Final = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"
BYTE_DAMAGES: Final = {
    "stored bytes flipped": flip_bytes,
    "stored bytes inserted": insert_bytes,
    "stored bytes deleted": delete_bytes,
    "stored ends cut off": truncate,
    "garbage behind the stored end": add_garbage,
}


@dataclass(frozen=True)
class OtherFile:
    """A file that is delivered before or after the file of a case."""

    stored: bytes = field(repr=False)
    expected: ExpectedFile = field(repr=False)


@dataclass(frozen=True)
class Case:
    """A file, and what happens to it while it is processed."""

    stored: bytes = field(repr=False)
    expected: ExpectedFile | None = field(repr=False)
    """What must become of it; None if plain Python cannot tell, as for damaged Parquet."""
    form: Form
    kinds: tuple[str, ...]
    """The kinds of its damage."""
    earlier: OtherFile | None = None
    """The shorter file that was delivered earlier under the same name."""
    inner: OtherFile | None = None
    """The file that its rejection asks for: the same content, decompressed."""
    trouble: Trouble | None = None
    """What happens to it while it is processed."""
    moment: Moment = "ingest"
    """The stage before which that happens."""
    asks_suite: bool = False
    """Whether Great Expectations validates it, not a stand-in."""


@st.composite
def cases(draw: st.DrawFn, originals: tuple[Original, ...], kind: str | None = None) -> Case:
    """Draw a file in any form, with or without damage, and what happens to it.

    Args:
        draw: the draw function of Hypothesis.
        originals: the files from which it is made.
        kind: the one kind of damage; None for any or no damage.
    """
    form: Form = draw(st.sampled_from([form for form in FORMS if _can_have(form, kind)]))
    made = _draw_table(draw, originals, kind) if form.startswith("Parquet") else None
    text, kinds = (made[0].stored, made[1]) if made else draw(damaged_texts(originals, kind))
    stored = text
    if form != "plain":
        intact = stored = _wrap(draw, form, text)
        for name in draw(draw_kinds(BYTE_DAMAGES, 2, kind)):
            stored = BYTE_DAMAGES[name](draw, stored)
            kinds = (*kinds, name)
        made = made if stored == intact else None
    expected_file = made[0].expected if made else None
    case = Case(
        stored=stored,
        expected=expected_file if stored.startswith(b"PAR1") else expect_text(stored),
        form=form,
        kinds=kinds,
        inner=made[0] if made and form == "Parquet in gzip" else None,
        asks_suite=draw(one_in(SUITE_ODDS)),
    )
    if draw(one_in(TROUBLE_ODDS)):
        trouble: Trouble = draw(st.sampled_from(get_args(Trouble)))
        return replace(case, trouble=trouble, moment=draw(st.sampled_from(get_args(Moment))))
    if not form.startswith("Parquet") and draw(one_in(GROWTH_ODDS)):
        return replace(case, earlier=_draw_earlier(draw, text))
    return case


def _can_have(form: Form, kind: str | None) -> bool:
    """Tell whether a form can have a kind of damage."""
    is_table = form.startswith("Parquet")
    if kind in BYTE_DAMAGES:
        return form != "plain"
    return kind is None or (kind in TABLE_DAMAGES) == is_table


def _draw_table(
    draw: st.DrawFn, originals: tuple[Original, ...], kind: str | None
) -> tuple[OtherFile, tuple[str, ...]]:
    """Draw a table as Parquet, and the kinds of its damage."""
    frame, kinds = draw(damaged_tables(originals, kind))
    stored = _write_parquet(draw, frame)
    return OtherFile(stored, expect_frame(frame, stored)), kinds


def _draw_earlier(draw: st.DrawFn, text: bytes) -> OtherFile | None:
    """Draw the beginning of a text, in any form, as an earlier delivery."""
    cut = text[: draw(st.integers(0, len(text)))]
    forms: tuple[Form, ...] = ("plain", "gzip", "zstandard")
    form = draw(st.sampled_from(forms))
    stored = cut if form == "plain" else _wrap(draw, form, cut)
    return None if stored.startswith(b"PAR1") else OtherFile(stored, expect_text(stored))


DAMAGE_KINDS: Final = (*TEXT_DAMAGES, *TABLE_DAMAGES, *BYTE_DAMAGES)
"""All kinds of damage."""


def one_in(odds: int) -> st.SearchStrategy[bool]:
    """Draw True once in so many times; it shrinks to False."""
    return st.sampled_from((*(False,) * (odds - 1), True))


def _wrap(draw: st.DrawFn, form: Form, content: bytes) -> bytes:
    """Compress a content in one of the ways that each format allows."""
    if form == "Parquet":
        return content
    cut = draw(st.integers(0, len(content))) if draw(st.booleans()) else 0
    parts = (content[:cut], content[cut:]) if cut else (content,)
    if form == "zstandard":
        has_sum = draw(st.booleans())
        compressor = zstandard.ZstdCompressor(write_checksum=has_sum)
        frames = [compressor.compress(part) for part in parts]
        return draw(st.sampled_from((b"", b"", SKIPPABLE_FRAME))) + b"".join(frames)
    stored = b"".join(gzip.compress(part, draw(st.sampled_from((6, 0)))) for part in parts)
    stored += draw(st.sampled_from((b"", b"", b"\0" * 20)))
    return gzip.compress(stored) if form == "gzip in gzip" else stored


def _write_parquet(draw: st.DrawFn, frame: pl.DataFrame) -> bytes:
    """Write a table in one of the ways that Parquet allows."""
    buffer = io.BytesIO()
    frame.write_parquet(
        buffer,
        compression=draw(st.sampled_from(COMPRESSIONS)),
        statistics=draw(st.booleans()),
        row_group_size=draw(st.sampled_from((None, 7))),
    )
    return buffer.getvalue()
