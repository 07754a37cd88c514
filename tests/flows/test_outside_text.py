"""Names and headers with control characters are printed with escapes."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from expectations.registry import get_contract

if TYPE_CHECKING:
    from tests.flows.conftest import Ended


@pytest.mark.parametrize("command", ["run", "train"])
def test_a_file_whose_name_cannot_be_shown_is_refused_before_anything_is_done(
    home: Path, tmp_path: Path, noctule: "Callable[..., Ended]", command: str
) -> None:
    file = Path(os.fsdecode(os.fsencode(tmp_path) + b"/n\xff\x1b[2J.csv"))
    file.write_text("duration\n1\n")
    ended = noctule(command, file)
    assert ended.code == 2
    assert ended.err == (
        rf"noctule: Cannot work on {tmp_path}/n\xff\x1b[2J.csv: its path has characters that"
        " cannot be printed. Rename it and run the command again.\n"
    )


def test_a_header_that_a_terminal_would_obey_is_quoted_and_not_obeyed(
    home: Path, prefect_server: str, tmp_path: Path, noctule: "Callable[..., Ended]"
) -> None:
    file = tmp_path / "twice-2026-11-04.csv"
    names = [*get_contract("nsl_kdd").feature_names, *["\x1b]0;owned\x07"] * 2]
    file.write_text(",".join(names) + "\n")
    for command in ("run", "evaluate"):
        ended = noctule(command, file)
        assert ended.code == 3
        assert r"\x1b]0;owned\x07" in ended.out + ended.err
        assert all(line.isprintable() for line in (ended.out + ended.err).splitlines())
