"""What the values of labels mean: normal, an attack and its name, or neither.

Belongs here: one value of a label column, by the contract's page and by what a user says. Does not
belong here: columns or files (``tasks.evaluation.labels``, ``tasks.intake.labelling``,
``tasks.evaluation.label_columns``).
"""

import re
from collections.abc import Callable, Collection, Iterable, Sequence
from functools import cached_property
from typing import Literal, TypeVar

import polars as pl
from pydantic import BaseModel

from expectations.contract import Contract, Labels
from expectations.patterns import ANY, matches

Meaning = Literal["normal", "attack", "none", "unclear"]
"""What a value means; ``none``: the row has no label."""

IS_ATTACK, ATTACK, LABEL = "_is_attack", "_attack", "_label"
"""Columns of our own in frames: whether a row is an attack, the attack's name, and, while a file is
parsed, the label column that a user names. No contract may have a name that begins so."""

NORMAL_WORDS = frozenset({"normal", "benign"})
"""Values that mean normal where the page says nothing of them, as ``fold_value`` returns them:
those of NSL-KDD and of the CIC data sets."""

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

OTHER_FAMILY = "other"
"""The family of an attack that the contract does not list."""

_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
_WHOLE = re.compile(r"^([+-]?\d+)\.0+$")

T = TypeVar("T")


class LabelReading(BaseModel, frozen=True):
    """What a user says about the labels of the files."""

    column: str | None = None
    """The name of the label column in the file; None for the columns that the contract declares."""
    normal: tuple[str, ...] = ()
    """Values that mean normal, besides the contract's own."""


class LabelWords:
    """What the values of a contract's label columns mean.

    Of several declared values that fit, the most specific counts: a value without ``*`` before one
    with it, and then the longer one. The words of a user come before those of the page. The page
    does not count for a column of 0 and 1, or of another such pair, whose normal value the user
    gives, nor for one that the page does not name: 0 may mean an attack there.

    Where neither says what a value means, ``NORMAL_WORDS``, ``NO_WORDS``, numbers and
    ``PAIRED_WORDS`` are unclear; with a reading, ``NORMAL_WORDS`` mean normal. Any other value is
    an attack, unless the page lists the attacks.
    """

    def __init__(self, contract: Contract, reading: LabelReading | None = None) -> None:
        """Take the words of a contract and, where a user gave a reading, the user's words."""
        self._labels = contract.labels or Labels(column="", normal=("normal",))
        self._reading = reading
        column = contract.by_name.get(self._labels.column)
        self._values = () if column is None else tuple(map(str, column.values or ()))
        is_other = reading is not None and reading.column not in {None, *contract.by_name}
        given = tuple(reading.normal) if reading else ()
        replaces_pairs = is_other or any(map(_says_nothing, map(fold_value, given)))
        page: tuple[tuple[str, Meaning], ...] = (
            *((word, "none") for word in self._labels.ignored),
            *((word, "normal") for word in self._labels.normal),
            *((word, "attack") for word in self._labels.attacks),
        )
        self._page = self._rank(
            (word, meaning)
            for word, meaning in page
            if not (replaces_pairs and _says_nothing(fold_value(word)))
        )
        normal: Meaning = "normal"
        self._given = self._rank((word, normal) for word in given)
        self._given_folded = frozenset(map(fold_value, given))
        self._knows_pairs = bool(given and replaces_pairs) or any(
            _says_nothing(fold_value(word)) for word, _ in self._page
        )

    def spell(self, value: str) -> str:
        """Return a value as it is compared and as it names an attack, but with its case.

        Blanks, the page's ``strip`` and its ``prefix`` are removed; 0.0 becomes 0.
        """
        text = value.strip(self._stripped)
        prefix = self._labels.prefix
        if prefix and self._fold(text).startswith(self._fold(prefix)):
            text = text[len(prefix) :].strip(self._stripped)
        return _WHOLE.sub(r"\1", text)

    def find_meaning(self, value: str | None) -> Meaning:
        """Return what a value of the label column means."""
        if value is None:
            return "none"
        return self._find_declared(value) or self._judge(value)

    def _find_declared(self, value: str) -> Meaning | None:
        """Return what the user or the page says of a value; None if they say nothing."""
        word = self._fold(self.spell(value))
        if fold_value(value) in self._given_folded:
            return "normal"
        if not word:
            return "none"
        return _match(self._given, word) or _match(self._page, word)

    def _judge(self, value: str) -> Meaning:
        """Return what a value means of which neither the user nor the page says anything."""
        folded = fold_value(value)
        if folded in NORMAL_WORDS:
            return "unclear" if self._reading is None else "normal"
        if folded in NO_WORDS or any(folded == fold_value(one) for one in self._labels.normal):
            return "unclear"
        if _says_nothing(folded):
            is_attack = self._knows_pairs and not self._lists_attacks
        else:
            is_attack = not self._lists_attacks or self.is_surely_attack(value)
        return "attack" if is_attack else "unclear"

    def find_name_meaning(self, value: str | None) -> Meaning:
        """Return what a value of the column of attack names means beside a label."""
        if value is None:
            return "none"
        folded = fold_value(value)
        if folded in NO_WORDS or _says_nothing(folded):
            return "normal" if folded in self._given_folded else "none"
        found = self._find_declared(value)
        return found or ("normal" if folded in NORMAL_WORDS else "attack")

    def name_attack(self, value: str | None) -> str | None:
        """Return the attack that a value names; None if it names none.

        An attack of the page is named as the page writes it; another one as ``spell`` does.
        """
        if value is None or self.find_name_meaning(value) != "attack":
            return None
        named = self.spell(value)
        word = self._fold(named)
        if fold_value(value) in ATTACK_WORDS or fold_value(named) in ATTACK_WORDS:
            return None
        if word in self._known:
            return self._known[word]
        is_general = word in map(self._fold, map(self.spell, self._values))
        return None if is_general else named

    def find_family(self, attack: str) -> str | None:
        """Return the family of an attack; None if the page has none for it."""
        word = self._fold(self.spell(attack))
        families = self._labels.families or {}
        if word in self._known:
            return families[self._known[word]]
        return _match(self._family_patterns, word)

    def is_surely_attack(self, value: str) -> bool:
        """Return whether a value is declared as an attack, a word for one, or names a known one."""
        word = self._fold(self.spell(value))
        declared = _match(self._page, word)
        if declared is not None:
            return declared == "attack"
        is_word = fold_value(word) in ATTACK_WORDS or word in map(self._fold, self._values)
        return is_word or self.names_known(value)

    def names_known(self, value: str) -> bool:
        """Return whether a value is the name of an attack or a family of the page."""
        return (
            self.find_family(value) is not None or self._fold(self.spell(value)) in self._families
        )

    @property
    def needs_known(self) -> bool:
        """Whether a new name is unclear in a label column that names no known attack.

        It is where the page declares the values of the column.
        """
        return bool(self._values) and self._reading is None

    @property
    def expected(self) -> tuple[str, ...]:
        """The page's words for normal, and the values that it gives for attacks."""
        others = [one for one in self._values if self.find_meaning(one) == "attack"]
        return tuple(dict.fromkeys((*self._labels.normal, *self._labels.attacks, *others)))

    @property
    def _lists_attacks(self) -> bool:
        return bool(self._labels.attacks) and not (self._reading and self._reading.normal)

    @property
    def _stripped(self) -> str:
        return self._labels.strip + " \t\r\n\f\v\u00a0"

    @cached_property
    def _known(self) -> dict[str, str]:
        """The page's attacks by their names as they are compared."""
        named = (one for one in self._labels.families or {} if ANY not in one)
        return {self._fold(self.spell(one)): one for one in named}

    @cached_property
    def _families(self) -> frozenset[str]:
        return frozenset(map(self._fold, (self._labels.families or {}).values()))

    @cached_property
    def _family_patterns(self) -> list[tuple[str, str]]:
        families = self._labels.families or {}
        return self._rank((one, family) for one, family in families.items() if ANY in one)

    def _fold(self, word: str) -> str:
        return word.casefold() if self._labels.folds_case else word

    def _rank(self, words: Iterable[tuple[str, T]]) -> list[tuple[str, T]]:
        """Return words as they are compared, the most specific first."""
        spelled = [(self._fold(self.spell(word)), meaning) for word, meaning in words]
        return sorted(spelled, key=lambda one: (ANY in one[0], -len(one[0])))


def label_columns(contract: Contract) -> tuple[str, ...]:
    """Return the contract's label column and its column of attack names, where it has them."""
    return tuple(name for name in (contract.label, contract.attack) if name)


def map_labels(column: str, find: Callable[[str | None], T], dtype: "type[pl.DataType]") -> pl.Expr:
    """Return the expression of a function's result for each value of a column, read as text."""
    return pl.col(column).map_batches(
        lambda values: replace_values(values.cast(pl.String), find, dtype),
        return_dtype=dtype(),
        is_elementwise=True,
    )


def replace_values(
    values: pl.Series, find: Callable[[str | None], T], dtype: "type[pl.DataType]"
) -> pl.Series:
    """Return a column with a function's result for each of its values."""
    by = {value: find(value) for value in values.unique()}
    return values.replace_strict(list(by), list(by.values()), return_dtype=dtype)


def fold_value(value: str) -> str:
    """Return a value in lower case, without surrounding blanks and full stops.

    A whole number loses its point and zeros, so that 0.0 and 0 are the same.
    """
    word = value.strip().rstrip(".").strip().lower()
    return _WHOLE.sub(r"\1", word)


def says_which(values: Collection[str]) -> bool:
    """Return whether values show by themselves which of them means normal."""
    return not all(_says_nothing(fold_value(value)) for value in values)


def looks_labelled(values: Collection[str], contract: Contract) -> bool:
    """Return whether the values of a column may be labels.

    They may if one means normal or surely an attack, or if they are a pair: 0 and 1, -1 and 1,
    true and false, yes and no.
    """
    known = LabelWords(contract)
    words = {fold_value(value) for value in values} - {""}
    telling = [word for word in words if not _says_nothing(word)]
    if any(word in NORMAL_WORDS or known.is_surely_attack(word) for word in telling):
        return True
    return len(words) == 2 and (words <= PAIRED_WORDS or words in ({"0", "1"}, {"-1", "1"}))  # noqa: PLR2004 - a pair


def _says_nothing(folded: str) -> bool:
    """Return whether a value by itself means neither normal nor attack."""
    return folded in PAIRED_WORDS or _NUMBER.fullmatch(folded) is not None


def _match(words: Sequence[tuple[str, T]], word: str) -> T | None:
    """Return the meaning of the first of the words that fits, as ``_rank`` orders them."""
    return next((meaning for one, meaning in words if matches(one, word)), None)
