"""The names of transport protocols by their numbers.

Belongs here: the table of IANA, in lower case. Does not belong here: how a column is read (see
``tasks.intake.names``).

Source: IANA, Assigned Internet Protocol Numbers, 2024. Numbers without a name there are left out.
"""

from collections.abc import Mapping
from typing import Final

_FIRST = """
hopopt icmp igmp ggp ipv4 st tcp cbt egp igp bbn-rcc-mon nvp-ii pup argus emcon xnet chaos udp mux
dcn-meas hmp prm xns-idp trunk-1 trunk-2 leaf-1 leaf-2 rdp irtp iso-tp4 netblt mfe-nsp merit-inp
dccp 3pc idpr xtp ddp idpr-cmtp tp++ il ipv6 sdrp ipv6-route ipv6-frag idrp rsvp gre dsr bna esp ah
i-nlsp swipe narp mobile tlsp skip ipv6-icmp ipv6-nonxt ipv6-opts
"""
"""From 0 to 60 without a gap."""

_LATER: Final[Mapping[int, str]] = {
    62: "cftp", 64: "sat-expak", 65: "kryptolan", 66: "rvd", 67: "ippc", 69: "sat-mon", 70: "visa",
    71: "ipcv", 72: "cpnx", 73: "cphb", 74: "wsn", 75: "pvp", 76: "br-sat-mon", 77: "sun-nd",
    78: "wb-mon", 79: "wb-expak", 80: "iso-ip", 81: "vmtp", 82: "secure-vmtp", 83: "vines",
    84: "iptm", 85: "nsfnet-igp", 86: "dgp", 87: "tcf", 88: "eigrp", 89: "ospf",
    90: "sprite-rpc", 91: "larp", 92: "mtp", 93: "ax.25", 94: "ipip", 95: "micp", 96: "scc-sp",
    97: "etherip", 98: "encap", 100: "gmtp", 101: "ifmp", 102: "pnni", 103: "pim", 104: "aris",
    105: "scps", 106: "qnx", 107: "a/n", 108: "ipcomp", 109: "snp", 110: "compaq-peer",
    111: "ipx-in-ip", 112: "vrrp", 113: "pgm", 115: "l2tp", 116: "ddx", 117: "iatp", 118: "stp",
    119: "srp", 120: "uti", 121: "smp", 122: "sm", 123: "ptp", 124: "isis", 125: "fire",
    126: "crtp", 127: "crudp", 128: "sscopmce", 129: "iplt", 130: "sps", 131: "pipe", 132: "sctp",
    133: "fc", 134: "rsvp-e2e-ignore", 135: "mobility", 136: "udplite", 137: "mpls-in-ip",
    138: "manet", 139: "shim6", 140: "wesp", 141: "rohc", 142: "ethernet", 143: "aggfrag",
    144: "nsh",
}  # fmt: skip

PROTOCOLS: Final[Mapping[int, str]] = {**dict(enumerate(_FIRST.split())), **_LATER}
"""Number -> name."""
