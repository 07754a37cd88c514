"""Malformed lines, like those from bad disks, bad exports and bad edits.

Belongs here: ways to corrupt a line of a CSV file so that no reader can parse a connection from it.
Does not belong here: unusual traffic. Every line that this module makes must be quarantined.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Corruption = Callable[[list[bytes], Mapping[str, int]], list[bytes]]
"""Takes the fields of a line and the position of each column; returns the fields to write."""


def _replace(column: str, value: bytes) -> Corruption:
    """Return a corruption that writes a value into a column."""

    def replace(fields: list[bytes], position: Mapping[str, int]) -> list[bytes]:
        fields[position[column]] = value
        return fields

    return replace


CORRUPTIONS: dict[str, Corruption] = {
    "too few fields": lambda fields, _: fields[: len(fields) // 2],
    "too many fields": lambda fields, _: [*fields, b"0", b"0"],
    "a word for a number": _replace("src_bytes", b"many"),
    "a negative count": _replace("count", b"-1"),
    "a rate above 1": _replace("serror_rate", b"1.7"),
    "not a number": _replace("dst_host_serror_rate", b"NaN"),
    "infinite": _replace("same_srv_rate", b"inf"),
    "an unknown protocol": _replace("protocol_type", b"sctp"),
    "an unknown state": _replace("flag", b"OPEN"),
    "an empty field": _replace("duration", b""),
    "a NUL byte": _replace("service", b"ht\0tp"),
    "not UTF-8": _replace("service", b"ht\xfftp"),
    "a fraction of a byte": _replace("dst_bytes", b"17.5"),
}
"""Each corruption, by what is wrong with the line."""


def corrupt_lines(
    rng: np.random.Generator, lines: Sequence[bytes], header: bytes, chosen: np.ndarray
) -> list[bytes]:
    """Return the lines with the chosen ones corrupted, by each corruption in turn.

    Args:
        rng: decides which line gets which corruption.
        lines: the data lines, without line ends.
        header: the header line.
        chosen: positions in ``lines``, (n_corrupted,). Every corruption occurs if there are at
            least as many as ``CORRUPTIONS``.
    """
    position = {name: index for index, name in enumerate(header.decode().split(","))}
    corruptions = list(CORRUPTIONS.values())
    written = list(lines)
    for turn, index in enumerate(rng.permutation(chosen)):
        fields = corruptions[turn % len(corruptions)](lines[index].split(b","), position)
        written[index] = b",".join(fields)
    return written
