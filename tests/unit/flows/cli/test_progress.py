"""The progress line shows the latest log line on a terminal, and nothing in a pipe."""

import io
import logging
import sys

import pytest

from flows.cli.progress import shown_progress

logger = logging.getLogger("noctule.test")
logger.setLevel(logging.INFO)


class Stream(io.StringIO):
    """A standard error that is a terminal or a pipe."""

    def __init__(self, *, is_terminal: bool) -> None:
        super().__init__()
        self.is_terminal = is_terminal

    def isatty(self) -> bool:
        return self.is_terminal


def shown(monkeypatch: pytest.MonkeyPatch, *, is_terminal: bool) -> str:
    """Return all that is written to standard error while two lines are logged."""
    stream = Stream(is_terminal=is_terminal)
    monkeypatch.setattr(sys, "stderr", stream)
    monkeypatch.setenv("TERM", "xterm")
    with shown_progress("starting"):
        logger.info("began stage=ingest", extra={"words": "n\udcff.csv: ingest [bold]"})
        logger.info("fitted rows=%d", 3)
    return stream.getvalue()


def test_a_terminal_shows_the_latest_line_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    written = shown(monkeypatch, is_terminal=True)
    assert r"n\xff.csv: ingest [bold]" in written
    assert "fitted rows=3" in written
    assert "0:00:0" in written
    assert "began stage" not in written


def test_a_pipe_is_shown_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    assert shown(monkeypatch, is_terminal=False) == ""


def test_nothing_follows_the_log_afterwards(monkeypatch: pytest.MonkeyPatch) -> None:
    before = list(logging.getLogger("noctule").handlers)
    shown(monkeypatch, is_terminal=True)
    assert logging.getLogger("noctule").handlers == before
