"""Standard output and error of a command, which may be full, closed, or left by their reader.

Belongs here: what becomes of text that cannot be written. Does not belong here: what is printed
(``flows.cli.printing``). Nothing heavy is imported: every command begins with this.
"""

import errno
import io
import os
import sys
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from expectations.errors import ServiceUnavailableError

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer

STREAMS = ("stdout", "stderr")
LAST_STANDARD = 2
"""The number of standard error, the last of the three files that a command is given."""


class OutputError(ServiceUnavailableError):
    """Standard output takes no more."""


class _Output(io.FileIO):
    """Standard output: what cannot be written is said once, and the rest is dropped.

    Nothing is said where its reader wants no more, as ``head`` does: the command goes on to its own
    end and exit code.
    """

    _is_lost = False

    def write(self, text: "ReadableBuffer", /) -> int:
        """Write what there is room for.

        Raises:
            OutputError: there is none.
        """
        if not self._is_lost:
            try:
                return super().write(text)
            except OSError as error:
                self._is_lost = True
                if error.errno != errno.EPIPE:
                    message = (
                        f"Cannot write to standard output: {error.strerror}. What the command did"
                        " is done, and what it stored is stored. Free some room, or send the output"
                        " elsewhere."
                    )
                    raise OutputError(message) from None
        return memoryview(text).nbytes


class _ErrorOutput(io.FileIO):
    """Standard error: what cannot be written is dropped, since nobody can be told."""

    def write(self, text: "ReadableBuffer", /) -> int:
        """Write what there is room for."""
        with suppress(OSError):
            return super().write(text)
        return memoryview(text).nbytes


def prepare_streams() -> None:
    """Let standard output and error end a command in words, whatever they are.

    Streams that somebody has put in their place are left as they are.
    """
    _open_closed()
    for name, kind in zip(STREAMS, (_Output, _ErrorOutput), strict=True):
        stream: IO[str] = getattr(sys, name)
        if not isinstance(stream, io.TextIOWrapper):
            continue
        if stream is getattr(sys, f"__{name}__"):
            stream.flush()
            raw = kind(stream.fileno(), "wb", closefd=False)
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw), stream.encoding, line_buffering=stream.line_buffering
            )
            setattr(sys, name, stream)
        stream.reconfigure(errors="backslashreplace")  # for what its encoding cannot say


def _open_closed() -> None:
    """Open what was closed (``>&-``), or the next file that is opened takes its place."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)
    for name in STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
