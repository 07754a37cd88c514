"""Reading the page of a contract: a TOML file becomes the classes of ``expectations.contract``.

Belongs here: the keys of a page beside its columns, and the order of reading. Does not belong here:
TOML and places (``page_text``), values of keys (``page_keys``), columns (``page_columns``), what
must hold between parts (``page_checks``), or which pages there are (``registry``).
"""

import re
import stat
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

from expectations.contract import BatchBound, Column, Contract, Form, Labels, RowRule
from expectations.errors import PageError
from expectations.names import CONTRACT_NAME_LENGTH, RESERVED_CONTRACTS, fold, plain_name
from expectations.page_checks import (
    require_bounds,
    require_columns,
    require_labels,
    require_rules,
    resolve_orders,
    turn_round,
)
from expectations.page_columns import make_label, read_columns
from expectations.page_keys import (
    Reader,
    Toml,
    any_text,
    column_name,
    number,
    one_of,
    plain,
    read_keys,
    read_value,
    refuse,
    table,
    text,
    texts,
    whole,
    yes_or_no,
)
from expectations.page_text import SIZE_LIMIT, Page, Place
from expectations.rules import LENGTH_LIMIT

SEPARATORS: Final = {
    "comma": ",", "tab": "\t", "semicolon": ";", "bar": "|", "blanks": "blanks"
}  # fmt: skip
"""The words for separators."""
_NO_SEPARATORS: Final = frozenset("\"'\r\n\0.-+_ ")
"""Characters that quotes, numbers, names and times have."""

TABLE_LIMIT: Final = 500
"""Most rules, and most bounds, of a page. A guess: 20 times those of NSL-KDD."""

_TEXT_ONLY: Final = (
    "separators", "has_quotes", "header", "orders", "comment", "trailer", "trailer_lines"
)  # fmt: skip
"""Keys of a form that mean nothing for JSON."""

_TECHNIQUE = re.compile(r"T\d{4}(\.\d{3})?")


def read_page(path: Path) -> Contract:
    """Return the contract of a page.

    Raises:
        PageError: the file cannot be read, or is no page; the message names the file, the line and
            the key, and says what was expected and what was found.
    """
    return parse_page(path, read_bytes(path))


def read_bytes(path: Path) -> bytes:
    """Return the bytes of a page, at most one more than a page may have.

    Raises:
        PageError: the file cannot be read.
    """
    try:
        # A pipe would never end.
        if not stat.S_ISREG(path.stat().st_mode):
            raise PageError(path, None, "", "a page is a regular file")
        with path.open("rb") as file:
            return file.read(SIZE_LIMIT + 1)
    except OSError as error:
        raise PageError(path, None, "", f"cannot read the page: {error.strerror}") from None


def parse_page(path: Path, content: bytes) -> Contract:
    """Return the contract of a page's bytes; ``path`` is only for messages. See ``read_page``."""
    page = Page(path, content)
    top = read_keys(page, (), page.content, _PAGE_KEYS, ("name",))
    labels = _read_labels(page, top["labels"]) if "labels" in top else None
    named = () if labels is None else tuple(filter(None, (labels.column, labels.names)))
    declared = read_columns(page, frozenset(map(fold, named)))
    if labels is not None:
        declared, labels = _place_labels(page, declared, labels)
    require_columns(page, declared)
    columns = tuple(column for _, column in declared)
    form = _read_form(page, top.get("form", {}), columns)
    if labels is not None:
        require_labels(page, labels, form.nulls)
    contract = Contract(
        name=top["name"],
        title=top.get("title", top["name"]),
        source=top.get("source", ""),
        form=form,
        match=top.get("match", ()),
        columns=columns,
        row_rules=_read_rules(page, top.get("rules", [])),
        profile=_read_bounds(page, top.get("bounds", [])),
        labels=labels,
    )
    require_rules(page, contract)
    require_bounds(page, contract)
    return contract


def _read_labels(page: Page, content: Toml) -> Labels:
    """Return the labels of a page; their columns are still called as the page calls them."""
    place: Place = ("labels",)
    keys = read_keys(page, place, content, _LABEL_KEYS, ("column", "normal"))
    if "families" in keys:
        keys["families"] = turn_round(page, keys["families"])
    return Labels(**keys)


def _place_labels(
    page: Page, declared: Sequence[tuple[Place, Column]], labels: Labels
) -> tuple[list[tuple[Place, Column]], Labels]:
    """Return the columns with those of the labels, and the labels with the names of columns."""
    columns = list(declared)
    named: dict[str, str] = {}
    for key in ("column", "names"):
        written = getattr(labels, key)
        if written is None:
            continue
        place: Place = ("labels", key)
        known = (
            column.name for _, column in columns
            if fold(written) in map(fold, (column.name, *column.sources))
        )  # fmt: skip
        name = next(known, None)
        if name is None:
            name = read_value(page, place, plain_name(written), column_name)
            columns.append((place, make_label(name, written)))
        named[key] = name
    return columns, replace(labels, column=named["column"], names=named.get("names"))


def _read_form(page: Page, content: Toml, columns: Sequence[Column]) -> Form:
    """Return the form of a page's files."""
    place: Place = ("form",)
    keys = read_keys(page, place, content, _FORM_KEYS, ())
    if keys.get("kind") == "json":
        for key in _TEXT_ONLY:
            if key in keys:
                raise page.error((*place, key), "a form of kind json has no such key")
    if "trailer_lines" in keys and "trailer" not in keys:
        raise page.error((*place, "trailer_lines"), "expected trailer too, found no such key")
    if keys.get("header") == "ignored" and "orders" not in keys:
        raise page.error((*place, "header"), "expected orders too: the header names no columns")
    if "orders" in keys:
        keys["orders"] = resolve_orders(page, keys["orders"], columns)
    return Form(**keys)


def _read_rules(page: Page, content: Toml) -> tuple[RowRule, ...]:
    """Return the rules of a page."""
    return tuple(
        RowRule(**{"meaning": keys["holds"], **keys})
        for keys in _read_tables(page, "rules", content, _RULE_KEYS, ("name", "holds"))
    )


def _read_bounds(page: Page, content: Toml) -> tuple[BatchBound, ...]:
    """Return the bounds of a page."""
    return tuple(
        BatchBound(name=keys.pop("statistic"), **keys)
        for keys in _read_tables(page, "bounds", content, _BOUND_KEYS, ("statistic",))
    )


def _read_tables(
    page: Page, key: str, content: Toml, readers: Mapping[str, Reader], needed: Sequence[str]
) -> list[dict[str, Any]]:
    """Return the keys of each table of an array."""
    if not isinstance(content, list) or len(content) > TABLE_LIMIT:
        raise page.unfit((key,), f"at most {TABLE_LIMIT} tables, each as [[{key}]]", content)
    return [
        read_keys(page, (key, ordinal), one, readers, needed) for ordinal, one in enumerate(content)
    ]


def _contract_name(value: Toml) -> str:
    """Return the name of a contract."""
    name = plain(value)
    if name in RESERVED_CONTRACTS:
        refuse("another name: Noctule uses this one")
    if len(name) > CONTRACT_NAME_LENGTH:
        refuse(f"a name of at most {CONTRACT_NAME_LENGTH} characters")
    return name


def _separators(value: Toml) -> tuple[str, ...]:
    """Return the separators of a text: characters, or ``blanks``."""
    found = tuple(value if isinstance(value, list) else [value])
    wanted = f"{', '.join(SEPARATORS)}, or one character that no number or name has"
    separators = tuple(SEPARATORS.get(one, one) if isinstance(one, str) else "" for one in found)
    for one in separators:
        is_character = len(one) == 1 and one.isascii() and not one.isalnum()
        if one != "blanks" and not (is_character and one not in _NO_SEPARATORS):
            refuse(wanted)
    if not separators or len(set(separators)) < len(separators):
        refuse(f"{wanted}; or a list of some of them")
    return separators


def _orders(value: Toml) -> list[tuple[str, ...]]:
    """Return lists of names of columns."""
    if not isinstance(value, list) or not value or not all(isinstance(one, list) for one in value):
        refuse("a list of lists of names")
    if not all(isinstance(name, str) and name.strip() for one in value for name in one):
        refuse("a list of lists of names")
    if not all(value):
        refuse("lists that name columns")
    return [tuple(one) for one in value]


def _rule(value: Toml) -> str:
    """Return the text of a rule."""
    if not isinstance(value, str) or not value.strip() or len(value) > LENGTH_LIMIT:
        refuse(f"a condition in SQL of at most {LENGTH_LIMIT:,} characters")
    return value


def _nulls(value: Toml) -> tuple[str, ...]:
    """Return the words for a missing value."""
    return texts(value) if value != [] else ()


def _technique(value: Toml) -> str:
    """Return the identifier of a technique of MITRE ATT&CK."""
    if not isinstance(value, str) or not _TECHNIQUE.fullmatch(value):
        refuse("a technique of MITRE ATT&CK, such as T1499")
    return value


def _as_it_is(value: Toml) -> Toml:
    """Return a value that is read later."""
    return value


_PAGE_KEYS: Final[Mapping[str, Reader]] = {
    "name": _contract_name,
    "title": text,
    "source": text,
    "match": texts,
    "form": _as_it_is,
    "columns": _as_it_is,
    "alike": _as_it_is,
    "labels": _as_it_is,
    "rules": _as_it_is,
    "bounds": _as_it_is,
}
_FORM_KEYS: Final[Mapping[str, Reader]] = {
    "kind": one_of("text", "json"),
    "separators": _separators,
    "has_quotes": yes_or_no,
    "encoding": one_of("utf-8", "latin-1", "cp1252"),
    "header": one_of("names", "ignored"),
    "orders": _orders,
    "repeated": one_of("refused", "first"),
    "comment": text,
    "trailer": text,
    "trailer_lines": whole(1, 1_000),
    "nulls": _nulls,
    "non_finite": one_of("quarantined", "null"),
    "records": table(text),
}
_LABEL_KEYS: Final[Mapping[str, Reader]] = {
    "column": text,
    "normal": texts,
    "attacks": texts,
    "ignored": texts,
    "names": text,
    "prefix": any_text,
    "strip": any_text,
    "folds_case": yes_or_no,
    "families": table(texts),
    "techniques": table(_technique),
}
_RULE_KEYS: Final[Mapping[str, Reader]] = {
    "name": plain,
    "holds": _rule,
    "meaning": text,
    "severity": one_of("required", "advisory"),
}
_BOUND_KEYS: Final[Mapping[str, Reader]] = {
    "statistic": text,
    "minimum": number,
    "maximum": number,
    "severity": one_of("required", "advisory"),
    "meaning": text,
}
