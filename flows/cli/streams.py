"""A command's standard output and error, where writing to them may fail.

The disk may be full, the stream closed, or its reader gone. Belongs here: what happens to text that
cannot be written. Does not belong here: printing (``flows.cli.printing``). Nothing heavy is
imported: every command begins with this.
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
"""The file number of standard error, the last of a command's three standard streams."""


class OutputError(ServiceUnavailableError):
    """Standard output cannot be written."""


class _Output(io.FileIO):
    """Standard output. The first failed write raises an error; later text is dropped.

    A reader that closes the pipe early, as ``head`` does, is no error: the command goes on, and
    ends with its own exit code.
    """

    _is_lost = False

    def write(self, text: "ReadableBuffer", /) -> int:
        """Write the text.

        Raises:
            OutputError: it cannot be written.
        """
        if not self._is_lost:
            try:
                return super().write(text)
            except OSError as error:
                self._is_lost = True
                if error.errno != errno.EPIPE:
                    message = (
                        f"Cannot write to standard output: {error.strerror}. The command has done"
                        " its work, and what it stored is kept. Free some space, or send the output"
                        " to another place."
                    )
                    raise OutputError(message) from None
        return memoryview(text).nbytes


class _ErrorOutput(io.FileIO):
    """Standard error. Text that cannot be written is dropped: there is no place to report it."""

    def write(self, text: "ReadableBuffer", /) -> int:
        """Write the text, if it can be written."""
        with suppress(OSError):
            return super().write(text)
        return memoryview(text).nbytes


def prepare_streams() -> None:
    """Replace standard output and error by streams whose failures end in a message.

    Streams that a caller has put in their place are not changed.
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
        stream.reconfigure(errors="backslashreplace")  # for other encodings than UTF-8


def _open_closed() -> None:
    """Open closed streams (``>&-``) on ``/dev/null``; the next opened file would become one."""
    while (number := os.open(os.devnull, os.O_RDWR)) <= LAST_STANDARD:
        pass
    os.close(number)
    for name in STREAMS:
        if getattr(sys, name) is None:
            setattr(sys, name, Path(os.devnull).open("w", encoding="utf-8"))  # noqa: SIM115
