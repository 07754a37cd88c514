"""The words of labels: which mean normal, which an attack, and which neither.

Belongs here: what one value of a label column means by itself. Does not belong here: columns or
files (``tasks.evaluation.labels``, ``tasks.intake.labelling``, ``tasks.evaluation.label_columns``).
"""

import re
from collections.abc import Collection

from expectations.contract import Contract

NORMAL_WORDS = frozenset({"normal", "benign"})
"""Values that mean normal in any column, as ``fold_value`` returns them: those of NSL-KDD and of
the CIC data sets."""

ATTACK_WORDS = frozenset(
    {"anomaly", "anomalous", "abnormal", "attack", "intrusion", "malicious", "malware", "outlier"}
)
"""Values that mean an attack without its name, as ``fold_value`` returns them."""

PAIRED_WORDS = frozenset({"true", "false", "yes", "no", "t", "f", "y", "n"})
"""Values that come in pairs, as ``fold_value`` returns them. Like a number, such a value by itself
means neither normal nor attack, and names no attack."""

NO_WORDS = frozenset({"-", "?", "none", "null", "nan", "na", "n/a", "background"})
"""Values that mean neither normal nor attack, as ``fold_value`` returns them. ``background`` is
from CTU-13: traffic without a label."""

NUMBER = r"[+-]?\d+(\.\d+)?"
"""A number. By itself it means neither normal nor attack."""

_NUMBER = re.compile(NUMBER)
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")


def declared_values(contract: Contract, column: str | None) -> tuple[str, ...]:
    """Return the declared values of the label column; none for another column."""
    declared = contract.by_name.get(column) if column and column == contract.label else None
    return tuple(map(str, declared.values or ())) if declared else ()


def known_attacks(contract: Contract) -> list[str]:
    """List the attacks that the contract knows."""
    return list(contract.families or {})


def sure_attacks(contract: Contract) -> list[str]:
    """List the words for attack and the names of known attacks and families, in lower case."""
    families = {family.lower() for family in (contract.families or {}).values()}
    return sorted({*ATTACK_WORDS, attack_word(contract), *families, *known_attacks(contract)})


def name_attack(value: str, contract: Contract) -> str | None:
    """Return the attack that a value names; None if it names none.

    Args:
        value: of a label or an attack column.
        contract: lists the known attacks; the case of letters, surrounding blanks and full stops at
            the end do not count.
    """
    word = fold_value(value)
    if word in ATTACK_WORDS | PAIRED_WORDS | NO_WORDS or not word or _NUMBER.fullmatch(word):
        return None
    return word if word in known_attacks(contract) else value.strip().rstrip(".")


def attack_word(contract: Contract) -> str:
    """Return the contract's word for an attack in its label column."""
    declared = declared_values(contract, contract.label)
    return next((value for value in declared if value != contract.normal_label), "anomaly")


def fold_value(value: str) -> str:
    """Return a value in lower case, without surrounding blanks and full stops.

    A whole number loses its point and zeros, so that 0.0 and 0 are the same.
    """
    word = value.strip().rstrip(".").strip().lower()
    return _WHOLE.sub(r"\1", word)


def says_which(values: Collection[str]) -> bool:
    """Return whether values show by themselves which of them means normal."""
    words = {fold_value(value) for value in values}
    return not all(word in PAIRED_WORDS or _NUMBER.fullmatch(word) for word in words)


def is_surely_attack(value: str, contract: Contract) -> bool:
    """Return whether a value is a word for attack, or the name of a known attack or family."""
    return fold_value(value) in sure_attacks(contract)


def looks_labelled(values: Collection[str], contract: Contract) -> bool:
    """Return whether the values of a column may be labels.

    They may if one means normal or surely an attack, or if they are a pair: 0 and 1, -1 and 1,
    true and false, yes and no.
    """
    words = {fold_value(value) for value in values} - {""}
    if any(word in NORMAL_WORDS or is_surely_attack(word, contract) for word in words):
        return True
    return len(words) == 2 and (words <= PAIRED_WORDS or words in ({"0", "1"}, {"-1", "1"}))  # noqa: PLR2004 - a pair
