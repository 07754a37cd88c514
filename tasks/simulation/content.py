"""KDD's content features of ordinary connections: what their payload shows.

Belongs here: the random content of each service. Does not belong here: bytes, states and logins
(see ``ordinary``), and the content of attacks.

Probabilities and amounts are those of NSL-KDD's normal rows of the service, rounded. Where it has
few such rows (ssh, imap4) they are guesses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np

from tasks.simulation.connections import Array, happens
from tasks.simulation.patterns import TrafficPattern

Features: TypeAlias = Mapping[str, Array]
"""Content features by name, (n_connections,) each; a feature that is left out is 0."""


@dataclass(frozen=True)
class _Sampler:
    """Draws content for the connections of one traffic pattern."""

    rng: np.random.Generator
    logged_in: Array
    is_turned_away: Array
    """Whether each connection was answered and has no login."""

    @property
    def rows(self) -> int:
        """The number of connections."""
        return self.logged_in.size

    def flag(self, probability: float, among: Array) -> Array:
        """Draw 1 with a probability among some connections, and 0 elsewhere."""
        return np.asarray(happens(self.rng, probability, self.rows) & among, dtype=np.int64)

    def count(self, probability: float, decay: float, among: Array) -> Array:
        """Draw a count as ``flag`` does; it is geometric with mean 1 / decay where not 0."""
        return np.asarray(self.flag(probability, among) * self.rng.geometric(decay, self.rows))


def draw_content(
    rng: np.random.Generator, pattern: TrafficPattern, logged_in: Array, is_answered: Array
) -> Features:
    """Draw the content features of a traffic pattern's connections.

    ``logged_in`` and ``is_answered`` (bytes were exchanged) are boolean, (n_connections,).
    """
    draw = _Sampler(rng, logged_in, is_answered & ~logged_in)
    if pattern.protocol == "udp":
        return {"wrong_fragment": draw.flag(0.0002, is_answered)}
    if pattern.service in SERVICES:
        return SERVICES[pattern.service](draw)
    return {
        name: draw.flag(share, logged_in) if decay is None else draw.count(share, decay, logged_in)
        for name, (share, decay) in LOGIN_FEATURES.get(pattern.service, {}).items()
    }


FTP_INDICATORS = {
    30: 0.29, 4: 0.17, 6: 0.15, 24: 0.08, 5: 0.06, 22: 0.06, 19: 0.06, 18: 0.05, 14: 0.04, 1: 0.04,
}  # fmt: skip
"""Values of ``hot`` above 0 in normal ftp rows, with their shares; the rarest count as 1. A guest
who lists a tree of directories causes up to thirty indicators."""


def _draw_ftp(draw: _Sampler) -> Features:
    guest = draw.flag(0.6, draw.logged_in)
    indicators = draw.rng.choice(list(FTP_INDICATORS), draw.rows, p=list(FTP_INDICATORS.values()))
    return {
        "is_guest_login": guest,
        "hot": draw.flag(0.9, guest == 1) * indicators,
        "num_failed_logins": draw.flag(0.6, draw.is_turned_away),
        "num_file_creations": draw.flag(0.01, draw.logged_in),
    }


def _draw_telnet(draw: _Sampler) -> Features:
    is_root = draw.flag(0.1, draw.logged_in) == 1
    return {
        "num_failed_logins": np.minimum(draw.count(0.04, 0.6, draw.logged_in), 5)
        + draw.flag(0.5, draw.is_turned_away),
        "hot": draw.count(0.06, 0.5, draw.logged_in),
        "root_shell": draw.flag(0.5, is_root),
        "su_attempted": draw.flag(0.3, is_root),
        "num_root": draw.count(0.9, 0.1, is_root),
        "num_compromised": draw.count(0.8, 0.12, is_root),
        "num_file_creations": draw.count(0.3, 0.4, is_root),
        "num_shells": draw.flag(0.08, is_root),
        "num_access_files": draw.count(0.25, 0.7, is_root),
        "urgent": draw.flag(0.001, draw.logged_in),
    }


def _draw_mailbox(draw: _Sampler) -> Features:
    return {"num_failed_logins": draw.flag(0.6, draw.is_turned_away)}


SERVICES: Mapping[str, Callable[[_Sampler], Features]] = {
    "ftp": _draw_ftp,
    "telnet": _draw_telnet,
    "pop_3": _draw_mailbox,
    "imap4": _draw_mailbox,
}
"""Services whose content is of several kinds."""

LOGIN_FEATURES: Mapping[str, Mapping[str, tuple[float, float | None]]] = {
    "http": {"hot": (0.007, 0.6), "num_access_files": (0.005, None),
             "num_compromised": (0.001, None)},
    "smtp": {"hot": (0.003, 0.6), "num_root": (0.003, None), "num_file_creations": (0.01, None),
             "num_access_files": (0.01, None)},
    "ftp_data": {"num_root": (0.09, 0.3), "num_file_creations": (0.01, None)},
}  # fmt: skip
"""The probability of each feature after a login, and the decay of its count; None for a flag. Other
services, such as the encrypted ssh, have no content features."""
