"""Lines that a sensor would not have written: what bad disks, bad exports and bad edits leave.

Belongs here: ways to spoil a line of a CSV file, so that no reader could make a connection of it.
Does not belong here: traffic that is merely strange; every one of these must be quarantined.
"""

from collections.abc import Callable, Mapping, Sequence

import numpy as np

Spoil = Callable[[list[bytes], Mapping[str, int]], list[bytes]]
"""Given the fields of a line and the place of each column, return the fields to write."""


def _replace(column: str, value: bytes) -> Spoil:
    def spoil(fields: list[bytes], place: Mapping[str, int]) -> list[bytes]:
        fields[place[column]] = value
        return fields

    return spoil


WAYS: dict[str, Spoil] = {
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
"""Each way to spoil a line, by what is wrong with it afterwards."""


def spoil_lines(
    rng: np.random.Generator, lines: Sequence[bytes], header: bytes, chosen: np.ndarray
) -> list[bytes]:
    """Spoil the chosen lines, each way in turn.

    Args:
        rng: decides which line is spoilt which way.
        lines: the data lines, without line ends.
        header: the header line.
        chosen: places in ``lines``, (n_spoilt,); each way occurs if there are as many as ``WAYS``.

    Returns:
        All lines, the others untouched.
    """
    place = {name: index for index, name in enumerate(header.decode().split(","))}
    ways = list(WAYS.values())
    spoilt = list(lines)
    for turn, index in enumerate(rng.permutation(chosen)):
        fields = ways[turn % len(ways)](lines[index].split(b","), place)
        spoilt[index] = b",".join(fields)
    return spoilt
