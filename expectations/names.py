"""Names of columns: how two names in files are compared, and which plain name one becomes.

Belongs here: those two, the form of a plain name, and names that no contract may use. Does not
belong here: finding columns in a header (``tasks.intake.header``).
"""

import re
import unicodedata
from typing import Final

PLAIN_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
"""The form of the names of columns, rules and contracts. Names that begin with ``_`` are ours."""

NAME_LENGTH: Final = 63
"""Longest plain name. PostgreSQL cuts names after 63 bytes."""
CONTRACT_NAME_LENGTH: Final = 55
"""Longest name of a contract: its view has the name ``flagged_<contract>``."""

RESERVED_COLUMNS: Final = frozenset({
    "connection_id", "batch_id", "batch_date", "contract", "file_name", "row_number",
    "line_number", "anomaly_score", "classifier_score", "one_class_score", "classifier_tail",
    "one_class_tail", "threshold", "is_flagged", "operating_point", "reasons", "is_explained",
    "attack_category", "category_probability", "attack_technique", "record", "model_version",
})  # fmt: skip
"""Columns of our frames and views, which no column of a contract may have as its name."""

RESERVED_CONTRACTS: Final = frozenset({"connection", "connections", "unrecognised"})
"""Names of no contract: ``flagged_connection`` and ``flagged_connections`` exist already, and files
that no contract fits are kept as ``unrecognised``."""

_UNCOUNTED = re.compile(r"[\s'\"`.#_-]+")
_UNCOUNTED_CATEGORIES = frozenset({"Cf", "Pc", "Pd", "Pf", "Pi"})
"""Categories of Unicode: marks without width, underscores, dashes, opening and closing quotes."""

_NO_LETTERS = re.compile(r"[^a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z])(?=[A-Z])")


def fold(name: str) -> str:
    """Return a name without case, blanks, dashes, underscores, dots and quotes, for comparison."""
    text = name
    if not name.isascii():
        known = unicodedata.normalize("NFKC", name)
        text = "".join(
            one for one in known if unicodedata.category(one) not in _UNCOUNTED_CATEGORIES
        )
    return _UNCOUNTED.sub("", text).casefold()


def plain_name(name: str) -> str:
    """Return the plain name that a name in a file becomes; empty if it has no letter.

    ``Total Length of Fwd Packets`` becomes ``total_length_of_fwd_packets``, ``SrcAddr`` becomes
    ``src_addr``, ``Größe`` becomes ``grosse``.
    """
    known = unicodedata.normalize("NFKD", _CAMEL.sub("_", name)).casefold()
    known = "".join(one for one in known if not unicodedata.combining(one))
    return _NO_LETTERS.sub("_", known).lstrip("_0123456789").rstrip("_")
