"""What the payload of an ordinary connection shows: KDD's content features.

Belongs here: the draw of each service's content. Does not belong here: bytes, states and logins
(see ``habits``), or what attacks show.

Chances and amounts are those of NSL-KDD's normal rows of the service, rounded; where it has few
such rows (ssh, imap4) they are guesses.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np

from tasks.simulation.events import Array, happens
from tasks.simulation.habits import Habit


@dataclass(frozen=True)
class _Draw:
    """A draw for the connections of one habit."""

    rng: np.random.Generator
    logged_in: Array
    is_turned_away: Array
    """Answered, and not logged in."""

    @property
    def rows(self) -> int:
        """Connections drawn for."""
        return self.logged_in.size

    def one(self, chance: float, among: Array) -> Array:
        """Draw 1 by chance, 0 elsewhere."""
        return np.asarray(happens(self.rng, chance, self.rows) & among, dtype=np.int64)

    def some(self, chance: float, decay: float, among: Array) -> Array:
        """Draw 1 or more by chance, geometrically with mean 1 / decay; 0 elsewhere."""
        return np.asarray(self.one(chance, among) * self.rng.geometric(decay, self.rows))


def draw_content(
    rng: np.random.Generator, habit: Habit, logged_in: Array, is_answered: Array
) -> Mapping[str, Array]:
    """Draw the content features of a habit's connections; those left out are 0.

    Args:
        rng: the night's source of chance.
        habit: whose connections they are.
        logged_in: where somebody logged in; boolean, (n_connections,).
        is_answered: where bytes were exchanged; boolean, (n_connections,).
    """
    draw = _Draw(rng, logged_in, is_answered & ~logged_in)
    if habit.protocol == "udp":
        return {"wrong_fragment": draw.one(0.0002, is_answered)}
    show = SERVICES.get(habit.service)
    return show(draw) if show else {}


FTP_INDICATORS = {
    30: 0.29, 4: 0.17, 6: 0.15, 24: 0.08, 5: 0.06, 22: 0.06, 19: 0.06, 18: 0.05, 14: 0.04, 1: 0.04,
}  # fmt: skip
"""``hot`` of normal ftp rows where it is above 0, and its shares; the rarest counted as 1. A
guest's listing of a tree of directories shows as up to thirty indicators."""


def _show_ftp(draw: _Draw) -> Mapping[str, Array]:
    guest = draw.one(0.6, draw.logged_in)
    indicators = draw.rng.choice(list(FTP_INDICATORS), draw.rows, p=list(FTP_INDICATORS.values()))
    return {
        "is_guest_login": guest,
        "hot": draw.one(0.9, guest == 1) * indicators,
        "num_failed_logins": draw.one(0.6, draw.is_turned_away),
        "num_file_creations": draw.one(0.01, draw.logged_in),
    }


def _show_telnet(draw: _Draw) -> Mapping[str, Array]:
    is_root = draw.one(0.1, draw.logged_in) == 1
    return {
        "num_failed_logins": np.minimum(draw.some(0.04, 0.6, draw.logged_in), 5)
        + draw.one(0.5, draw.is_turned_away),
        "hot": draw.some(0.06, 0.5, draw.logged_in),
        "root_shell": draw.one(0.5, is_root),
        "su_attempted": draw.one(0.3, is_root),
        "num_root": draw.some(0.9, 0.1, is_root),
        "num_compromised": draw.some(0.8, 0.12, is_root),
        "num_file_creations": draw.some(0.3, 0.4, is_root),
        "num_shells": draw.one(0.08, is_root),
        "num_access_files": draw.some(0.25, 0.7, is_root),
        "urgent": draw.one(0.001, draw.logged_in),
    }


def _show_http(draw: _Draw) -> Mapping[str, Array]:
    return {
        "hot": draw.some(0.007, 0.6, draw.logged_in),
        "num_access_files": draw.one(0.005, draw.logged_in),
        "num_compromised": draw.one(0.001, draw.logged_in),
    }


def _show_smtp(draw: _Draw) -> Mapping[str, Array]:
    return {
        "hot": draw.some(0.003, 0.6, draw.logged_in),
        "num_root": draw.one(0.003, draw.logged_in),
        "num_file_creations": draw.one(0.01, draw.logged_in),
        "num_access_files": draw.one(0.01, draw.logged_in),
    }


def _show_ftp_data(draw: _Draw) -> Mapping[str, Array]:
    return {
        "num_root": draw.some(0.09, 0.3, draw.logged_in),
        "num_file_creations": draw.one(0.01, draw.logged_in),
    }


def _show_mailbox(draw: _Draw) -> Mapping[str, Array]:
    return {"num_failed_logins": draw.one(0.6, draw.is_turned_away)}


SERVICES: Mapping[str, Callable[[_Draw], Mapping[str, Array]]] = {
    "ftp": _show_ftp,
    "telnet": _show_telnet,
    "http": _show_http,
    "smtp": _show_smtp,
    "ftp_data": _show_ftp_data,
    "pop_3": _show_mailbox,
    "imap4": _show_mailbox,
}
"""Services whose payload shows something; ssh, for one, is sealed."""
