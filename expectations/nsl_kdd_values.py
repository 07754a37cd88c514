"""The names that occur in NSL-KDD records: protocols, services, states, attacks and families.

Belongs here: sets of values. Does not belong here: the columns that hold them (``nsl_kdd``) or the
conditions on those columns (``nsl_kdd_rules``).
"""


def _words(text: str) -> tuple[str, ...]:
    """Split a text at its spaces."""
    return tuple(text.split())


PROTOCOLS = ("icmp", "tcp", "udp")

ICMP_SERVICES = ("eco_i", "ecr_i", "red_i", "tim_i", "urh_i", "urp_i")
"""In KDD, the service of an ICMP record is its message type: echo request, echo reply, redirect."""

UDP_SERVICES = ("domain_u", "ntp_u", "tftp_u")
"""Services that have a separate name over UDP."""

SHARED_SERVICES = ("other", "private")
"""The services of ports without a name, over TCP and UDP."""

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
"""Connection states of Bro (today Zeek), which produced KDD'99. RSTRH and SHR are documented there
but never occur in the KDD files."""

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
"""The technique of MITRE ATT&CK (enterprise, version 17) for a family, if one fits all its attacks.
T1499 is Endpoint Denial of Service: SYN floods (neptune), malformed packets (land, pod, teardrop)
and exhausted services (back, apache2, mailbomb, processtable) are its sub-techniques; only smurf
and udpstorm flood the network instead (T1498). T1046 is Network Service Discovery: scans of hosts
and ports. T1068 is Exploitation for Privilege Escalation. R2L has no technique: its attacks guess
passwords (T1110), exploit servers (T1190) or exfiltrate data (T1048), so no single one fits
most."""
