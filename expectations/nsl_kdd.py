"""The contract of NSL-KDD connection records: 41 features and the labels of a labelled file.

Belongs here: one declaration of each column, after the KDD'99 task description. Does not belong
here: sets of values (``nsl_kdd_values``), conditions that join columns (``nsl_kdd_rules``), reading
files or running checks.
"""

from expectations.contract import Column, Contract, Form, Labels
from expectations.nsl_kdd_rules import ADVISORY_RULES, PROFILE, REQUIRED_RULES
from expectations.nsl_kdd_values import FAMILIES, FLAGS, PROTOCOLS, SERVICES, TECHNIQUES

RATE_RESOLUTION = 1e-6
"""A rate is a share of at most 511 connections (``nsl_kdd_rules.WINDOW_LIMIT``), so two different
rates are at least 1 / (511 * 510) = 3.8e-6 apart. Smaller differences are rounding errors."""


def _count(name: str, unit: str, meaning: str) -> Column:
    """Declare a count: a whole number from 0, without a documented upper bound."""
    return Column(name=name, kind="count", unit=unit, resolution=1, minimum=0, meaning=meaning)


def _flag(name: str, meaning: str) -> Column:
    """Declare a flag, written as 1 or 0."""
    return Column(name=name, kind="flag", resolution=1, values=(0, 1), meaning=meaning)


def _rate(name: str, meaning: str) -> Column:
    """Declare a share of connections, written with two decimals."""
    return Column(
        name=name,
        kind="ratio",
        unit="ratio",
        resolution=RATE_RESOLUTION,
        minimum=0,
        maximum=1,
        meaning=meaning,
    )


_BASIC = (
    _count("duration", "s", "Length of the connection."),
    Column(
        name="protocol_type",
        kind="category",
        values=PROTOCOLS,
        meaning="Protocol of the connection.",
    ),
    Column(
        name="service",
        kind="category",
        values=SERVICES,
        severity="advisory",
        meaning="Network service at the destination, from its port or ICMP message type. "
        "A row with an unlisted service is scored, and reported.",
    ),
    Column(
        name="flag",
        kind="category",
        values=FLAGS,
        meaning="State in which the connection ended, as Bro (Zeek) names it: SF is normal, S0 an "
        "attempt without a reply, REJ a rejected attempt.",
    ),
    _count("src_bytes", "bytes", "Data sent from source to destination."),
    _count("dst_bytes", "bytes", "Data sent from destination to source."),
    _flag("land", "1 if source and destination have the same address and port."),
    _count("wrong_fragment", "fragments", "Fragments with an error."),
    _count("urgent", "packets", "Packets with the urgent bit of TCP."),
)

_CONTENT = (
    _count(
        "hot",
        "events",
        "Noteworthy actions in the payload, such as entering a system "
        "directory or running a program.",
    ),
    _count("num_failed_logins", "attempts", "Failed attempts to log in."),
    _flag("logged_in", "1 if a login succeeded."),
    _count("num_compromised", "events", "Conditions that suggest a compromise."),
    _flag("root_shell", "1 if a root shell was obtained."),
    Column(
        name="su_attempted",
        kind="count",
        resolution=1,
        values=(0, 1, 2),
        meaning="1 if `su root` was attempted. Documented as 0 or 1; the KDD files also have 2.",
    ),
    _count("num_root", "accesses", "Accesses as root."),
    _count("num_file_creations", "operations", "Operations that create a file."),
    _count("num_shells", "prompts", "Shell prompts."),
    _count("num_access_files", "operations", "Operations on access-control files."),
    _count(
        "num_outbound_cmds",
        "commands",
        "Outbound commands in an FTP session; always 0 in the KDD files.",
    ),
    _flag("is_host_login", "1 if the login is a privileged one, such as root."),
    _flag("is_guest_login", "1 if the login is a guest login."),
)

_TIME_WINDOW = (
    _count(
        "count", "connections", "Connections to the same destination host in the past two seconds."
    ),
    _count("srv_count", "connections", "Connections to the same service in the past two seconds."),
    _rate("serror_rate", "Share of the connections in `count` with a SYN error."),
    _rate("srv_serror_rate", "Share of the connections in `srv_count` with a SYN error."),
    _rate("rerror_rate", "Share of the connections in `count` that were rejected."),
    _rate("srv_rerror_rate", "Share of the connections in `srv_count` that were rejected."),
    _rate("same_srv_rate", "Share of the connections in `count` to the same service."),
    _rate("diff_srv_rate", "Share of the connections in `count` to other services."),
    _rate("srv_diff_host_rate", "Share of the connections in `srv_count` to other hosts."),
)

_HOST_WINDOW = (
    _count(
        "dst_host_count",
        "connections",
        "Connections to the same destination host among the latest ones.",
    ),
    _count(
        "dst_host_srv_count",
        "connections",
        "Connections to the same service among the latest ones.",
    ),
    _rate(
        "dst_host_same_srv_rate",
        "Share of the connections in `dst_host_count` to the same service.",
    ),
    _rate(
        "dst_host_diff_srv_rate",
        "Share of the connections in `dst_host_count` to other services.",
    ),
    _rate(
        "dst_host_same_src_port_rate",
        "Share of the connections in `dst_host_count` from the same source port.",
    ),
    _rate(
        "dst_host_srv_diff_host_rate",
        "Share of the connections in `dst_host_srv_count` from other source hosts.",
    ),
    _rate("dst_host_serror_rate", "Share of the connections in `dst_host_count` with a SYN error."),
    _rate(
        "dst_host_srv_serror_rate",
        "Share of the connections in `dst_host_srv_count` with a SYN error.",
    ),
    _rate(
        "dst_host_rerror_rate", "Share of the connections in `dst_host_count` that were rejected."
    ),
    _rate(
        "dst_host_srv_rerror_rate",
        "Share of the connections in `dst_host_srv_count` that were rejected.",
    ),
)

_FEATURES = _BASIC + _CONTENT + _TIME_WINDOW + _HOST_WINDOW

_LABELS = (
    Column(
        name="class",
        kind="category",
        role="label",
        nullable=True,
        values=("normal", "anomaly"),
        severity="advisory",
        meaning="Whether the connection is an attack. Never used for scoring.",
    ),
    Column(
        name="attack",
        kind="category",
        role="label",
        nullable=True,
        values=("normal", *FAMILIES),
        severity="advisory",
        meaning="Name of the attack, or normal. Never used for scoring.",
    ),
    Column(
        name="difficulty",
        kind="count",
        unit="learners",
        resolution=1,
        role="ignored",
        nullable=True,
        minimum=0,
        maximum=21,
        severity="advisory",
        meaning="How many of 21 classifiers were right about the row (Tavallaee et al.). It "
        "reveals the label, so no model gets it.",
    ),
)


_FEATURE_NAMES = tuple(column.name for column in _FEATURES)

NSL_KDD = Contract(
    name="nsl_kdd",
    title="NSL-KDD connection records",
    source="KDD Cup 1999 task description (kdd.ics.uci.edu/databases/kddcup99/task.html), after "
    "Stolfo, Fan, Lee, Prodromidis and Chan; NSL-KDD: Tavallaee, Bagheri, Lu and Ghorbani, "
    "CISDA 2009",
    columns=_FEATURES + _LABELS,
    row_rules=REQUIRED_RULES + ADVISORY_RULES,
    profile=PROFILE,
    labels=Labels(
        column="class",
        normal=("normal",),
        names="attack",
        strip=".",
        families=FAMILIES,
        techniques=TECHNIQUES,
    ),
    form=Form(
        orders=(
            _FEATURE_NAMES,
            (*_FEATURE_NAMES, "attack"),
            (*_FEATURE_NAMES, "attack", "difficulty"),
        )
    ),
)
