"""Names that tools give to columns: what a name says of the meaning and the unit of its values.

Belongs here: tables of names, and looking one up. Does not belong here: values
(``tasks.contracts.kinds``). A name alone never decides: the values must agree.
"""

import re
from collections.abc import Mapping
from typing import Final

from expectations.names import fold, plain_name

CANONICAL: Final[Mapping[str, tuple[str, ...]]] = {
    "started_at": (
        "flow.start", "StartTime", "Stime", "first seen", "Date first seen", "Date flow start",
        "first switched", "FLOW_START_MILLISECONDS", "flowStartMilliseconds", "flowStartSeconds",
        "event.start", "start time", "start_ts", "started", "started_at", "begin", "time_start",
        "first_time", "first", "start", "ts", "Timestamp", "@timestamp", "time", "datetime",
        "date_time", "date", "frame.time", "event_time", "when", "beginn", "zeit", "startzeit",
    ),
    "duration_s": (
        "duration", "dur", "td", "Flow Duration", "FLOW_DURATION_MILLISECONDS", "duration_s",
        "duration_ms", "duration_us", "duration_sec", "duration_seconds", "duration_milliseconds",
        "duration_microseconds", "event.duration", "flow.age", "elapsed", "elapsed_ms", "dauer",
        "ms", "seconds", "length_s",
        "flow_duration_ms", "flow_duration_us", "flow_duration_s", "flowDurationMilliseconds",
    ),
    "src_ip": (
        "src_ip", "srcip", "Source IP", "SrcAddr", "Src IP Addr", "sa", "saddr", "id.orig_h",
        "orig_h", "IPV4_SRC_ADDR", "IPV6_SRC_ADDR", "sourceIPv4Address", "sourceIPv6Address",
        "source.ip", "source.address", "src_endpoint.ip", "source address", "src addr",
        "src_host", "srchost", "source host", "client_ip", "client", "client address",
        "initiator", "sip", "ip_src", "ip.src", "src",
        "source", "quelle", "quell_ip",
    ),
    "src_port": (
        "src_port", "Source Port", "Sport", "sp", "id.orig_p", "orig_p", "L4_SRC_PORT",
        "sourceTransportPort", "source.port", "src_endpoint.port", "srcpt", "client_port",
        "port_src", "tcp.srcport", "udp.srcport", "quellport",
    ),
    "dst_ip": (
        "dst_ip", "dest_ip", "dstip", "Destination IP", "DstAddr", "Dst IP Addr", "da", "daddr",
        "id.resp_h", "resp_h", "IPV4_DST_ADDR", "IPV6_DST_ADDR", "destinationIPv4Address",
        "destinationIPv6Address", "destination.ip", "destination.address", "dst_endpoint.ip",
        "destination address", "dst addr", "dest addr", "dst_host", "dsthost", "dest_host",
        "server_ip", "server", "server address", "responder", "dip", "ip_dst", "ip.dst", "dst",
        "dest", "destination", "ziel", "ziel_ip",
    ),
    "dst_port": (
        "dst_port", "dest_port", "Destination Port", "Dport", "dsport", "dp", "id.resp_p",
        "resp_p", "L4_DST_PORT", "destinationTransportPort", "destination.port",
        "dst_endpoint.port", "dstpt", "dest port", "server_port", "port_dst", "tcp.dstport",
        "zielport",
    ),
    "proto": (
        "proto", "protocol", "pr", "prot", "protocol_type", "network.transport", "ip_proto",
        "protocolIdentifier", "l4_proto", "transport", "connection_info.protocol_name",
        "protokoll", "ip.proto",
    ),
    "service": ("service", "app_proto", "application", "app", "network.protocol", "l7_protocol"),
    "conn_state": ("conn_state", "state", "connection state", "flow.state"),
    "src_bytes": (
        "src_bytes", "SrcBytes", "sbytes", "orig_bytes", "IN_BYTES", "ibyt", "source.bytes",
        "flow.bytes_toserver", "Total Length of Fwd Packets", "TotLen Fwd Pkts",
        "Total Length of Fwd Packet", "bytes_out", "bytes_sent", "sent_bytes", "sent",
        "out_bytes_src",
        "traffic.bytes_out", "bytes_toserver",
    ),
    "dst_bytes": (
        "dst_bytes", "DstBytes", "dbytes", "resp_bytes", "OUT_BYTES", "obyt", "destination.bytes",
        "flow.bytes_toclient", "Total Length of Bwd Packets", "TotLen Bwd Pkts",
        "Total Length of Bwd Packet", "bytes_in", "bytes_received", "received_bytes", "received",
        "traffic.bytes_in", "bytes_toclient",
    ),
    "src_packets": (
        "src_packets", "SrcPkts", "spkts", "orig_pkts", "IN_PKTS", "ipkt", "source.packets",
        "flow.pkts_toserver", "Total Fwd Packets", "Tot Fwd Pkts", "Total Fwd Packet",
        "packets_out", "packets_sent", "pkts_sent", "traffic.packets_out", "pkts_toserver",
    ),
    "dst_packets": (
        "dst_packets", "DstPkts", "dpkts", "resp_pkts", "OUT_PKTS", "opkt", "destination.packets",
        "flow.pkts_toclient", "Total Backward Packets", "Tot Bwd Pkts", "Total Bwd packets",
        "packets_in", "packets_received", "pkts_received", "traffic.packets_in", "pkts_toclient",
    ),
    "uid": ("uid", "flow_id", "Flow ID", "flow uuid", "connection id", "conn_id", "session_id"),
}  # fmt: skip
"""Canonical name -> names in files, the best first: Zeek, Suricata, Argus, nfdump, NetFlow v9 and
IPFIX, CICFlowMeter, UNSW-NB15, ECS, OCSF, and words of people."""

_CANONICAL_OF: Final = {
    fold(name): (canonical, rank)
    for canonical, names in CANONICAL.items()
    for rank, name in reversed(list(enumerate(names)))
}

_LABELS: Final = frozenset(
    map(fold, (
        "label", "labels", "class", "classification", "target", "y", "attack", "attacks",
        "attack_cat", "attack category", "attack type", "attack_name", "is_attack", "attack_flag",
        "malicious", "is_malicious", "malware", "anomaly", "is_anomaly", "ground truth", "truth",
        "detailed-label", "detailed_label", "category", "subcategory", "traffic category",
        "threat", "intrusion", "verdict", "outcome", "klasse", "angriff", "bewertung",
        "binary_label",
        "multiclass_label", "label_binary", "type of attack", "tunnel_parents label",
    ))
)  # fmt: skip
"""Names of columns that people label."""
_LEAKS: Final = frozenset(
    map(fold, ("difficulty", "difficulty_level", "dataset", "data set", "split", "fold",
               "source_file", "scenario", "capture", "level", "success", "successful_prediction"))
)  # fmt: skip
"""Names of columns that say how a data set was made, and so may tell the label."""
_ROW_NUMBERS: Final = frozenset(
    map(fold, ("id", "index", "no", "no.", "nr", "row", "row_number", "line", "unnamed: 0",
               "record", "record_id", "seq", "pcap_cnt"))
)  # fmt: skip
"""Names of columns that may number the rows."""

_UNITS: Final = (
    (re.compile(r"(nanoseconds?|_ns|nsec)$"), 1e-9),
    (re.compile(r"(microseconds?|_us|usec)$"), 1e-6),
    (re.compile(r"(milliseconds?|millis|_ms|msec)$"), 1e-3),
    (re.compile(r"(minutes|_min)$"), 60.0),
    (re.compile(r"(seconds|_s|_secs?)$"), 1.0),
)
_MICROSECONDS: Final = frozenset(map(fold, ("Flow Duration", "duration_us")))
"""Durations that their tool writes in microseconds: CICFlowMeter."""
_SECONDS: Final = frozenset(map(fold, ("td", "flow.age")))
"""Durations that nfdump and Suricata write in seconds."""
_NANOSECONDS: Final = frozenset(map(fold, ("event.duration",)))
"""ECS's duration."""
_DURATION: Final = re.compile(r"(duration|(^|[_ .])dur([_ .]|$)|elapsed|dauer)", re.IGNORECASE)
_BYTES: Final = re.compile(r"(bytes?|octets?|byt$|bytes_|len(gth)?$)", re.IGNORECASE)
_PACKETS: Final = re.compile(r"(packets|pkts)", re.IGNORECASE)
_PER: Final = re.compile(
    r"(/|rate|_per_|per$|persec|second|mean|avg|std|var|ratio|throughput)", re.IGNORECASE
)
_RATIO: Final = re.compile(r"(ratio|share|_rate$|percent|probability)", re.IGNORECASE)
_IN_BRACKETS: Final = re.compile(r"\s*[(\[][^)\]]*[)\]]")
_FLAG: Final = re.compile(r"(^|[_ .])(is|has|was)[_ .]|flag$", re.IGNORECASE)
_PORT: Final = re.compile(r"^(\w+[_ .])?(s|d|src|dst|dest)?_?port$", re.IGNORECASE)
_TIME: Final = re.compile(
    r"(time|date|(^|[_. ])(ts|start|end|begin|first|last|first_seen|last_seen|te)([_. ]|$))",
    re.IGNORECASE,
)
_INNER_TIME: Final = re.compile(r"(timeout|runtime|time_to_live|ttl)", re.IGNORECASE)


def canonical_of(name: str) -> tuple[str, int] | None:
    """Return the canonical name that a column's name means, and its rank; the best rank is 0.

    What stands in brackets, such as a unit, does not count.
    """
    return _CANONICAL_OF.get(fold(name)) or _CANONICAL_OF.get(fold(_IN_BRACKETS.sub("", name)))


def means(name: str, *canonical: str) -> bool:
    """Return whether a column's name means one of some canonical names."""
    found = canonical_of(name)
    return found is not None and found[0] in canonical


def is_label(name: str) -> bool:
    """Return whether a name says that the values are labels."""
    return fold(name) in _LABELS


def is_leak(name: str) -> bool:
    """Return whether a name says how a data set was made, so that the values may tell the label."""
    return fold(name) in _LEAKS


def is_row_number(name: str) -> bool:
    """Return whether a name says that the values may number the rows."""
    return fold(name) in _ROW_NUMBERS


def seconds_of(name: str) -> float | None:
    """Return the seconds in a unit that a name ends with; None if it names none."""
    lowered = f"_{plain_name(name)}"
    if fold(name) in _MICROSECONDS:
        return 1e-6
    if fold(name) in _NANOSECONDS:
        return 1e-9
    if fold(name) in _SECONDS:
        return 1.0
    return next((seconds for pattern, seconds in _UNITS if pattern.search(lowered)), None)


def is_duration(name: str) -> bool:
    """Return whether a name says that the values are lengths of time."""
    return means(name, "duration_s") or bool(_DURATION.search(name))


def is_time(name: str) -> bool:
    """Return whether a name says that the values may be moments."""
    is_known = means(name, "started_at")
    return is_known or bool(_TIME.search(_split(name)) and not _INNER_TIME.search(name))


def is_port(name: str) -> bool:
    """Return whether a name says that the values are ports."""
    is_known = means(name, "src_port", "dst_port")
    return is_known or bool(_PORT.search(_split(name)))


def is_ratio(name: str) -> bool:
    """Return whether a name says that the values are shares of a whole."""
    return bool(_RATIO.search(_split(name)))


def is_averaged(name: str) -> bool:
    """Return whether a name says that the values are means, rates or spreads, so not whole."""
    return bool(_PER.search(_split(name)))


def is_flag(name: str) -> bool:
    """Return whether a name says that the values are no and yes."""
    return bool(_FLAG.search(_split(name)))


def unit_of(name: str) -> str:
    """Return the unit that a name tells: ``bytes``, ``packets`` or none."""
    if _PER.search(name):
        return ""
    if _BYTES.search(name) and not _PACKETS.search(name):
        return "bytes"
    if means(name, "src_bytes", "dst_bytes"):
        return "bytes"
    return "packets" if _PACKETS.search(name) and not _BYTES.search(name) else ""


def _split(name: str) -> str:
    """Return a name whose words have underscores between them, not capitals."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name)
