"""A command prints one safe line, whatever the text holds and whatever the stream can encode."""

import io
import json
import sys
from typing import Never

import pytest

from expectations.errors import InputRejectedError
from flows.cli import commands
from flows.cli.printing import print_json, say


def test_an_error_ends_in_one_line_that_no_terminal_obeys(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse() -> Never:
        message = "Cannot read n\udcff.csv: column '\x1b[2J\nnoctule: all is well' occurs twice"
        raise InputRejectedError(message)

    monkeypatch.setattr(commands, "app", refuse)
    with pytest.raises(SystemExit) as ended:
        commands.main()
    assert ended.value.code == 3
    told = r"noctule: Cannot read n\xff.csv: column '\x1b[2J\nnoctule: all is well' occurs twice"
    assert capsys.readouterr().err == f"{told}\n"


def test_a_stream_that_lacks_a_character_gets_it_written_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    written = io.BytesIO()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(written, encoding="latin-1"))
    monkeypatch.setattr(commands, "app", lambda: say("größe 東", is_error=True))
    commands.main()
    assert written.getvalue().decode("latin-1") == "größe \\u6771\n"


def test_json_is_printable_and_whole(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"reason": "\x9b2J" + "x" * 10_000})
    shown = capsys.readouterr().out
    assert "\x9b" not in shown
    assert json.loads(shown) == {"reason": "\x9b2J" + "x" * 10_000}
