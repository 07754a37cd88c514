"""The conditions on NSL-KDD records: rules on the columns of a row, and bounds on a whole batch.

Belongs here: row rules and batch bounds. Does not belong here: bounds of a single column
(``nsl_kdd``) or the code that checks them.

A rule is *required* if a row that breaks it contradicts the definitions: two disjoint shares that
add up to more than one, or a handshake state on a protocol without handshakes. Such a row does not
describe what happened. A rule is *advisory* if it merely holds in all data seen: a row that breaks
it may be the anomaly that analysts look for, so it is scored and reported. All rules hold in every
row of Train_data.csv, Test_data.csv and KDDTrain+.txt, except ``windows_hold_the_connection``,
which 1, 2 and 16 of their rows break.
"""

from collections.abc import Iterable

import polars as pl

from expectations.contract import BatchBound, RowRule
from expectations.nsl_kdd_values import (
    ICMP_SERVICES,
    SHARED_SERVICES,
    TCP_SERVICES,
    UDP_SERVICES,
    UNANSWERED_FLAGS,
)

ROUNDING = 0.005
"""Rates are written with two decimals, so each differs by at most this from the exact value."""

EPSILON = 1e-9
"""Tolerance for the sum of two floats; far below ``ROUNDING``."""

WINDOW_LIMIT = 511
"""The largest count of a two-second window in the KDD files (measured; not documented)."""

HOST_WINDOW_LIMIT = 255
"""The largest count of a destination host's window in the KDD files (measured; the task description
says 100 connections)."""


def _implies(condition: pl.Expr, consequence: pl.Expr) -> pl.Expr:
    """Return an expression that is false only if the condition holds without the consequence."""
    return ~condition | consequence


def _disjoint_rates(first: str, second: str, window: str) -> RowRule:
    """Require that two error rates of one window count different connections."""
    return RowRule(
        name=f"{first}_and_{second.removeprefix('dst_host_')}_are_disjoint",
        columns=(first, second),
        meaning=f"a connection of {window} has a SYN error or was rejected, not both, so "
        f"{first} and {second} add up to at most 1",
        holds=pl.col(first) + pl.col(second) <= 1 + 2 * ROUNDING + EPSILON,
    )


def _subset(rate: str, count: str, service_count: str) -> RowRule:
    """Require that connections to one host and service are not more than those to the service."""
    return RowRule(
        name=f"{rate}_within_{service_count}",
        columns=(rate, count, service_count),
        meaning=f"connections to the same host and service ({rate} of {count}) are not more than "
        f"those to the same service ({service_count})",
        holds=(pl.col(rate) - ROUNDING) * pl.col(count) <= pl.col(service_count) + EPSILON,
    )


def _at_most(name: str, columns: tuple[str, ...], limit: int) -> RowRule:
    """Expect counts to stay within the largest value in the KDD files."""
    return RowRule(
        name=name,
        columns=columns,
        meaning=f"{' and '.join(columns)} are at most {limit}, the largest value of the KDD files",
        holds=pl.all_horizontal(pl.col(column) <= limit for column in columns),
        severity="advisory",
    )


def _needs_login(name: str, columns: tuple[str, ...]) -> RowRule:
    """Expect actions of a session only after a login."""
    return RowRule(
        name=name,
        columns=(*columns, "logged_in"),
        meaning=f"{', '.join(columns)} are above 0 only after a login",
        holds=_implies(_any_positive(columns), pl.col("logged_in") == 1),
        severity="advisory",
    )


def _any_positive(columns: Iterable[str]) -> pl.Expr:
    return pl.any_horizontal(pl.col(column) > 0 for column in columns)


_PROTOCOL = pl.col("protocol_type")
_SERVICE = pl.col("service")

REQUIRED_RULES = (
    RowRule(
        name="handshake_states_are_tcp",
        columns=("protocol_type", "flag"),
        meaning="udp and icmp have no handshake, so their flag is SF",
        holds=_implies(_PROTOCOL.is_in(["udp", "icmp"]), pl.col("flag") == "SF"),
    ),
    RowRule(
        name="icmp_services_are_icmp",
        columns=("protocol_type", "service"),
        meaning=f"the services {', '.join(ICMP_SERVICES)} are message types of icmp",
        holds=_implies(_SERVICE.is_in(ICMP_SERVICES), _PROTOCOL == "icmp"),
    ),
    RowRule(
        name="icmp_has_no_port_service",
        columns=("protocol_type", "service"),
        meaning="icmp has no ports, so its service is not one named after a tcp or udp port",
        holds=_implies(
            _PROTOCOL == "icmp",
            ~_SERVICE.is_in((*TCP_SERVICES, *UDP_SERVICES, *SHARED_SERVICES)),
        ),
    ),
    RowRule(
        name="land_has_ports",
        columns=("protocol_type", "land"),
        meaning="land compares ports, and icmp has none",
        holds=_implies(pl.col("land") == 1, _PROTOCOL != "icmp"),
    ),
    RowRule(
        name="urgent_is_tcp",
        columns=("protocol_type", "urgent"),
        meaning="only tcp has an urgent bit",
        holds=_implies(pl.col("urgent") > 0, _PROTOCOL == "tcp"),
    ),
    RowRule(
        name="unanswered_has_no_reply_bytes",
        columns=("flag", "dst_bytes"),
        meaning=f"with flag {', '.join(UNANSWERED_FLAGS)} no reply was seen, so dst_bytes is 0",
        holds=_implies(pl.col("flag").is_in(UNANSWERED_FLAGS), pl.col("dst_bytes") == 0),
    ),
    _disjoint_rates("serror_rate", "rerror_rate", "count"),
    _disjoint_rates("srv_serror_rate", "srv_rerror_rate", "srv_count"),
    _disjoint_rates("dst_host_serror_rate", "dst_host_rerror_rate", "dst_host_count"),
    _disjoint_rates("dst_host_srv_serror_rate", "dst_host_srv_rerror_rate", "dst_host_srv_count"),
    _subset("same_srv_rate", "count", "srv_count"),
    _subset("dst_host_same_srv_rate", "dst_host_count", "dst_host_srv_count"),
)

ADVISORY_RULES = (
    RowRule(
        name="udp_service_is_known_for_udp",
        columns=("protocol_type", "service"),
        meaning="udp carries no service that is named after a tcp port",
        holds=_implies(_PROTOCOL == "udp", ~_SERVICE.is_in(TCP_SERVICES)),
        severity="advisory",
    ),
    RowRule(
        name="udp_names_are_udp",
        columns=("protocol_type", "service"),
        meaning=f"the services {', '.join(UDP_SERVICES)} are seen over udp",
        holds=_implies(_SERVICE.is_in(UDP_SERVICES), _PROTOCOL == "udp"),
        severity="advisory",
    ),
    RowRule(
        name="icmp_is_one_message",
        columns=("protocol_type", "duration", "dst_bytes"),
        meaning="an icmp record is one message: duration and dst_bytes are 0",
        holds=_implies(_PROTOCOL == "icmp", (pl.col("duration") == 0) & (pl.col("dst_bytes") == 0)),
        severity="advisory",
    ),
    RowRule(
        name="rejected_carries_no_data",
        columns=("flag", "src_bytes", "dst_bytes"),
        meaning="a rejected attempt (flag REJ) carries no data",
        holds=_implies(
            pl.col("flag") == "REJ", (pl.col("src_bytes") == 0) & (pl.col("dst_bytes") == 0)
        ),
        severity="advisory",
    ),
    RowRule(
        name="content_is_tcp",
        columns=("protocol_type", "hot", "num_failed_logins", "logged_in"),
        meaning="payloads are read from tcp only: hot, num_failed_logins and "
        "logged_in are 0 elsewhere",
        holds=_implies(
            _any_positive(("hot", "num_failed_logins", "logged_in")), _PROTOCOL == "tcp"
        ),
        severity="advisory",
    ),
    _needs_login("privilege_needs_login", ("root_shell", "su_attempted", "num_root")),
    _needs_login("activity_needs_login", ("num_compromised", "num_shells", "num_access_files")),
    RowRule(
        name="host_or_guest_login",
        columns=("is_host_login", "is_guest_login"),
        meaning="a login is a privileged one or a guest's, not both",
        holds=~((pl.col("is_host_login") == 1) & (pl.col("is_guest_login") == 1)),
        severity="advisory",
    ),
    RowRule(
        name="lone_connection_is_its_service",
        columns=("count", "same_srv_rate", "diff_srv_rate"),
        meaning="with count 1 the window holds only this connection: same_srv_rate is 1 and "
        "diff_srv_rate is 0",
        holds=_implies(
            pl.col("count") == 1, (pl.col("same_srv_rate") == 1) & (pl.col("diff_srv_rate") == 0)
        ),
        severity="advisory",
    ),
    RowRule(
        name="lone_service_has_one_host",
        columns=("srv_count", "srv_diff_host_rate"),
        meaning="with srv_count 1 there is no other host: srv_diff_host_rate is 0",
        holds=_implies(pl.col("srv_count") == 1, pl.col("srv_diff_host_rate") == 0),
        severity="advisory",
    ),
    RowRule(
        name="windows_hold_the_connection",
        columns=("count", "srv_count", "dst_host_count", "dst_host_srv_count"),
        meaning="a window holds at least the connection itself, so no count is 0",
        holds=pl.all_horizontal(
            pl.col(column) >= 1
            for column in ("count", "srv_count", "dst_host_count", "dst_host_srv_count")
        ),
        severity="advisory",
    ),
    _at_most("time_window_within_limit", ("count", "srv_count"), WINDOW_LIMIT),
    _at_most(
        "host_window_within_limit", ("dst_host_count", "dst_host_srv_count"), HOST_WINDOW_LIMIT
    ),
)


def _bound(
    name: str, meaning: str, minimum: float | None = None, maximum: float | None = None
) -> BatchBound:
    """Declare an advisory bound. Each is a guess that the three KDD files meet with a margin."""
    return BatchBound(name=name, minimum=minimum, maximum=maximum, meaning=meaning)


PROFILE = (
    BatchBound(
        name="rows_accepted",
        minimum=1,
        severity="required",
        meaning="Rows left to score; without any, there is nothing to do.",
    ),
    BatchBound(
        name="quarantine_ratio",
        maximum=0.5,
        severity="required",
        meaning="Share of the rows read that ingest and validation quarantine. The bound is a "
        "setting. The default is a guess: above half, the file more likely has another format "
        "than poor quality.",
    ),
    _bound("rows_read", "Rows in the file; fewer tell little about a night.", minimum=100),
    _bound("unparsed_ratio", "Share of the rows read that could not be parsed.", maximum=0.01),
    _bound(
        "null_ratio.highest", "Share of null and NaN in the feature that has most.", maximum=0.01
    ),
    _bound("constant_features", "Features with a single value; 2 in Train_data.csv.", maximum=12),
    _bound("unseen_ratio.service", "Share of rows with an undeclared service.", maximum=0.01),
    _bound("distinct.protocol_type", "Protocols seen.", minimum=2, maximum=3),
    _bound("distinct.service", "Services seen; 64 to 70 in the KDD files.", minimum=3, maximum=200),
    _bound("distinct.flag", "Connection states seen; 11 in the KDD files.", minimum=2),
    _bound("share.protocol_type.tcp", "Connections over tcp.", minimum=0.1),
    _bound("share.protocol_type.udp", "Connections over udp.", maximum=0.8),
    _bound("share.protocol_type.icmp", "Connections over icmp.", maximum=0.8),
    _bound("share.flag.SF", "Connections that ended normally.", minimum=0.1),
    _bound("share.flag.S0", "Attempts without a reply.", maximum=0.8),
    _bound("share.flag.REJ", "Rejected attempts.", maximum=0.8),
    _bound("share.logged_in.1", "Connections with a login.", minimum=0.01),
    _bound("zero_ratio.src_bytes", "Connections that sent nothing.", maximum=0.9),
    _bound("zero_ratio.dst_bytes", "Connections that received nothing.", maximum=0.95),
    _bound("zero_ratio.count", "Windows without their own connection.", maximum=0.01),
    _bound("zero_ratio.dst_host_count", "The same for a host's window.", maximum=0.01),
    _bound("mean.serror_rate", "Average share of SYN errors.", maximum=0.8),
    _bound("mean.rerror_rate", "Average share of rejections.", maximum=0.8),
    _bound("mean.same_srv_rate", "Average share of the same service.", minimum=0.1),
    _bound("maximum.duration", "The longest connection, in seconds: a day.", maximum=86_400),
    _bound("maximum.src_bytes", "The largest transfer sent: a terabyte.", maximum=1e12),
    _bound("maximum.dst_bytes", "The largest transfer received: a terabyte.", maximum=1e12),
)
