"""Original files, from which damaged ones are made, and slices of them.

Belongs here: reading or simulating undamaged lines. Does not belong here: damage (see
``text_damage``, ``table_damage`` and ``cases``).
"""

from dataclasses import dataclass
from datetime import date
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Final

from hypothesis import strategies as st

from tasks.simulation.simulate import simulate_night

NSL_KDD_FOLDER: Final = Path(__file__).parents[2] / "shared" / "data" / "nsl-kdd"
"""The folder of the real files, beside the project; it may be absent."""
REAL_FILES: Final = ("Test_data.csv", "Train_data.csv", "KDDTrain+.txt")

MOST_ROWS: Final = 60
"""Most rows of a slice. A guess: more than any damage needs, and few enough to be fast."""
KEPT_ROWS: Final = 2_000
"""Rows of a file that are read. A guess: they hold all common services and flags."""


@dataclass(frozen=True)
class Original:
    """The first rows of one file."""

    name: str
    header: bytes | None
    """Without the line end; None if the file has no header."""
    rows: tuple[bytes, ...]
    """Without line ends."""

    def _repr_pretty_(self, printer: Any, _is_cycle: bool) -> None:  # noqa: ANN401, FBT001
        """Print only the name when Hypothesis shows the arguments of a strategy."""
        printer.text(self.name)


@dataclass(frozen=True)
class Slice:
    """Some consecutive rows of an original."""

    header: bytes | None
    rows: tuple[bytes, ...]

    @property
    def lines(self) -> list[bytes]:
        """The header, if there is one, and the rows."""
        return [*(() if self.header is None else (self.header,)), *self.rows]


def read_real(folder: Path = NSL_KDD_FOLDER) -> tuple[Original, ...]:
    """Read the NSL-KDD files that are there."""
    return tuple(_read(folder / name) for name in REAL_FILES if (folder / name).is_file())


def simulate_originals() -> tuple[Original, ...]:
    """Simulate one original of each kind; the result is the same each time."""
    with TemporaryDirectory() as name:
        made = []
        for is_labelled in (False, True):
            path = Path(name) / f"{'labelled' if is_labelled else 'plain'}.csv"
            night = date(2026, 11, 1)
            simulate_night(path, rows=KEPT_ROWS, seed=1, night=night, labelled=is_labelled)
            made.append(_read(path))
        headless = Original("headerless", None, made[0].rows)
        return (*made, headless)


def _read(path: Path) -> Original:
    with path.open("rb") as file:
        lines = [line.rstrip(b"\r\n") for line, _ in zip(file, range(KEPT_ROWS), strict=False)]
    has_header = lines[0].startswith(b"duration")
    return Original(path.name, lines[0] if has_header else None, tuple(lines[has_header:]))


@st.composite
def slices(draw: st.DrawFn, originals: tuple[Original, ...]) -> Slice:
    """Draw a slice of one of several originals, with or without its header."""
    original = draw(st.sampled_from(originals))
    first = draw(st.integers(0, len(original.rows) - MOST_ROWS))
    rows = draw(st.integers(1, MOST_ROWS))
    has_header = original.header is not None and draw(st.sampled_from((True, True, True, False)))
    return Slice(original.header if has_header else None, original.rows[first : first + rows])
