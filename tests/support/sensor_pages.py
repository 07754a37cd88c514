"""A second source for tests of several contracts: its page, and files of it.

Belongs here: one small contract of a user, ``sensor``, and connections of it. Does not belong here:
what is done with them.
"""

import random
from pathlib import Path
from typing import Final

SENSOR: Final = """\
name = "sensor"
title = "A sensor at the gate"
source = "its manual"
[form]
separators = ["semicolon"]
nulls = ["-"]
[columns]
started_at = { from = "when", kind = "time", formats = ["epoch_s"] }
src_ip = { from = "who", kind = "address" }
proto = { from = "how", kind = "protocol" }
duration_s = { from = "secs", kind = "interval", nullable = true }
src_bytes = { from = "sent", kind = "count", unit = "bytes" }
dst_bytes = { from = "got", kind = "count", unit = "bytes" }
src_packets = { from = "pkts", kind = "count", unit = "packets" }
[labels]
column = "verdict"
normal = ["good"]
"""
"""The page of ``sensor``."""

HEADER: Final = "when;who;how;secs;sent;got;pkts"


def write_page(folder: Path, name: str = "sensor", page: str = SENSOR) -> Path:
    """Write the page of ``sensor``, or the same under another name, into a folder of contracts."""
    folder.mkdir(exist_ok=True)
    path = folder / f"{name}.toml"
    path.write_text(page.replace('name = "sensor"', f'name = "{name}"'))
    return path


def write_night(path: Path, rows: int, seed: int, *, is_labelled: bool = False) -> Path:
    """Write connections of which every fourth is an attack: many bytes sent, few received."""
    chance = random.Random(seed)  # noqa: S311 - no secret
    lines = [f"{HEADER};verdict" if is_labelled else HEADER]
    for number in range(rows):
        is_attack = number % 4 == 0
        fields = [
            str(1_796_000_000 + number),
            f"192.0.2.{chance.randrange(1, 255)}",
            chance.choice(("tcp", "udp")),
            "-" if chance.random() < 0.1 else f"{chance.expovariate(1):.3f}",
            str(chance.randrange(50_000, 90_000) if is_attack else chance.randrange(40, 2_000)),
            str(chance.randrange(0, 60) if is_attack else chance.randrange(100, 9_000)),
            str(chance.randrange(400, 900) if is_attack else chance.randrange(1, 40)),
            *([("bad" if is_attack else "good")] if is_labelled else []),
        ]
        lines.append(";".join(fields))
    path.write_text("\n".join(lines) + "\n")
    return path
