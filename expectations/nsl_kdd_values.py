"""The names that occur in NSL-KDD records: protocols, services, states, attacks and families.

Belongs here: closed or known sets of values. Does not belong here: the columns that hold them (see
``nsl_kdd``) or the conditions that join those (see ``nsl_kdd_rules``).
"""


def _words(text: str) -> tuple[str, ...]:
    """Split a list of names at its spaces."""
    return tuple(text.split())


PROTOCOLS = ("icmp", "tcp", "udp")

ICMP_SERVICES = ("eco_i", "ecr_i", "red_i", "tim_i", "urh_i", "urp_i")
"""KDD names an ICMP message's type as its service: echo request, echo reply, redirect, ..."""

UDP_SERVICES = ("domain_u", "ntp_u", "tftp_u")
"""Services with a name of their own over UDP."""

SHARED_SERVICES = ("other", "private")
"""Ports without a service name, over TCP and UDP alike."""

TCP_SERVICES = _words(
    "IRC X11 Z39_50 aol auth bgp courier csnet_ns ctf daytime discard domain echo efs exec finger "
    "ftp ftp_data gopher harvest hostnames http http_2784 http_443 http_8001 imap4 iso_tsap klogin "
    "kshell ldap link login mtp name netbios_dgm netbios_ns netbios_ssn netstat nnsp nntp pm_dump "
    "pop_2 pop_3 printer remote_job rje shell smtp sql_net ssh sunrpc supdup systat telnet time "
    "uucp uucp_path vmnet whois"
)

SERVICES = tuple(sorted((*TCP_SERVICES, *UDP_SERVICES, *SHARED_SERVICES, *ICMP_SERVICES)))
"""The 70 services of the KDD'99 files."""

FLAGS = _words("OTH REJ RSTO RSTOS0 RSTR RSTRH S0 S1 S2 S3 SF SH SHR")
"""Connection states of Bro (today Zeek), from which KDD'99 was made; RSTRH and SHR are documented
there and never occur in the KDD files."""

UNANSWERED_FLAGS = ("S0", "RSTOS0", "SH")
"""States in which the originator never saw a reply to its SYN."""

_FAMILY_ATTACKS = {
    "DoS": "back land neptune pod smurf teardrop apache2 udpstorm processtable worm mailbomb",
    "Probe": "satan ipsweep nmap portsweep mscan saint",
    "R2L": "guess_passwd ftp_write imap phf multihop warezmaster warezclient spy xlock xsnoop "
    "snmpguess snmpgetattack httptunnel sendmail named exfiltration",
    "U2R": "buffer_overflow loadmodule rootkit perl sqlattack xterm ps",
}
"""The attacks of KDD'99 and its test set by family; ``exfiltration`` is our simulator's."""

FAMILIES = {
    attack: family for family, attacks in _FAMILY_ATTACKS.items() for attack in _words(attacks)
}

TECHNIQUES = {"DoS": "T1499", "Probe": "T1046", "U2R": "T1068"}
"""What MITRE ATT&CK (enterprise, version 17) calls a family, where one technique fits all of it:
T1499 Endpoint Denial of Service, of which SYN floods (neptune), malformed packets (land, pod,
teardrop) and exhausted services (back, apache2, mailbomb, processtable) are sub-techniques; of the
family only smurf and udpstorm fill the network instead (T1498). T1046 Network Service Discovery:
scans of hosts and ports. T1068 Exploitation for Privilege Escalation. R2L has none: its attacks
guess passwords (T1110), abuse servers (T1190) or carry data out (T1048), and saying one of them of
all would be wrong of most."""
