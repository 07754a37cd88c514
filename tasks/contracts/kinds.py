"""The kind of a column that nobody has described, with the evidence for it.

Belongs here: the order in which kinds are tried, missing values, times, addresses and texts. Does
not belong here: numbers (``tasks.contracts.number_kinds``), what a name says
(``tasks.contracts.known_names``), or columns together (``tasks.contracts.draft``).
"""

from collections.abc import Collection
from dataclasses import replace
from typing import Final

import polars as pl

from tasks.contracts import values
from tasks.contracts.column_guess import (
    FEW_ROWS,
    HALF,
    MOST_UNFIT,
    ColumnGuess,
    count_unmarked,
    example,
    fits,
    say_marked,
    say_values,
    share,
)
from tasks.contracts.known_names import means
from tasks.contracts.number_kinds import guess_number
from tasks.contracts.times import TimeForm, find_times
from tasks.wording import clause

MOST_CATEGORIES: Final = 200
"""Different texts from which on a person should look whether they are categories. A guess."""
MOST_NULL_WORDS: Final = 3
"""Different words among numbers that may mean no value. A guess; more are names."""
PROTOCOLS: Final = frozenset(
    {"tcp", "udp", "icmp", "icmp6", "icmpv6", "ipv6-icmp", "igmp", "gre", "esp", "sctp", "ah",
     "ospf", "arp", "pim", "llc", "man", "rtp", "rtcp", "rarp", "ipv6", "ipip", "egp", "unas"}
)  # fmt: skip
"""Names of protocols that a column must have some of."""
_SAME_NUMBER: Final = frozenset({"number", "count", "interval", "flag", "ratio"})


def guess_column(
    place: int, name: str, cells: pl.Series, nulls: Collection[str] = ()
) -> ColumnGuess:
    """Return what a column of texts seems to be.

    Args:
        place: of the column, from 0.
        name: in the file; empty if the file does not name it.
        cells: the texts; null where empty.
        nulls: words that mean no value, beside those that the column itself shows.
    """
    words = find_null_words(cells)
    if others := set(nulls) - set(words):
        words = tuple(sorted({*words, *cells.filter(cells.is_in(list(others))).unique()}))
    texts = cells.drop_nulls()
    texts = texts.filter(~texts.is_in(list(words))) if words else texts
    is_odd = texts.str.contains(values.NON_FINITE)
    non_finite = int(is_odd.sum())
    if non_finite and share(values.is_number(texts.filter(~is_odd))) == 1:
        texts = texts.filter(~is_odd)
    else:
        non_finite = 0
    base = ColumnGuess(
        place=place,
        name=name,
        rows_null=len(cells) - len(texts) - non_finite,
        null_words=words,
        non_finite=non_finite,
        different=texts.n_unique(),
    )
    if texts.is_empty():
        return replace(base, is_constant=True)
    guess = _guess_kind(base, texts)
    if unknown := set(words) - values.NULL_WORDS:
        look = f"does {' or '.join(map(repr, sorted(unknown)))} mean that there is no value?"
        guess = replace(guess, looks=(*guess.looks, look))
    is_same = base.different == 1
    if guess.kind in _SAME_NUMBER and not is_same:  # such as 0 and 0.0
        numbers = texts.cast(pl.Float64, strict=False)
        is_same = numbers.n_unique() == 1 and not numbers.has_nulls()
    if len(cells) < FEW_ROWS or not is_same or base.rows_null:
        return guess
    return replace(guess, is_constant=True, evidence=f"the same in every row: {example(texts)}")


def _guess_kind(base: ColumnGuess, texts: pl.Series) -> ColumnGuess:
    """Return the kind of a column with values."""
    for guess in (_guess_time, guess_number, _guess_address, _guess_protocol, _guess_set):
        if found := guess(base, texts):
            return found
    return _guess_text(base, texts)


def find_null_words(cells: pl.Series) -> tuple[str, ...]:
    """Return the words in a column that mean no value.

    A word that may be a name counts only where nearly all other values are numbers, times or
    addresses.
    """
    found = set(cells.filter(cells.is_in(list(values.NULL_WORDS))).unique())
    found |= _words_among_numbers(cells)
    if not found:
        return ()
    others = cells.drop_nulls()
    others = others.filter(~others.is_in(list(found)))
    is_plain = (
        share(values.is_number(others)) == 1
        or share(values.is_address(others)) == 1
        or (len(others) > 0 and find_times(others) is not None)
    )
    return tuple(sorted(found if is_plain else found & values.SURE_NULL_WORDS))


def _words_among_numbers(cells: pl.Series) -> set[str]:
    """Return the few words in a column whose other values are numbers: they mean no value."""
    texts = cells.drop_nulls()
    numbers = values.is_number(texts) | texts.str.contains(values.NON_FINITE)
    if share(numbers) < HALF or numbers.all():
        return set()
    words = texts.filter(~numbers).unique()
    is_wordy = len(words) <= MOST_NULL_WORDS and not words.str.contains(r"\d").any()
    return set(words) if is_wordy else set()


def _guess_time(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of times, or of lengths of time with colons."""
    clocks = values.is_clock(texts)
    if fits(clocks):
        return replace(
            base,
            kind="interval",
            unit="s",
            formats=("clock",),
            unfit=count_unmarked(clocks),
            evidence=say_marked(clocks, "are lengths of time", texts),
        )
    dates = values.is_date(texts)
    if fits(dates):
        look = (
            "Noctule reads no date without its time: write both into one column. Until then the"
            " column is ignored"
        )
        evidence = say_marked(dates, "are dates", texts)
        return replace(base, is_unusable=True, evidence=evidence, looks=(look,))
    form = find_times(texts)
    if form is None or form.fitting < (1 - MOST_UNFIT) * len(texts):
        return None
    (pattern,) = form.formats
    shown = "parse as ISO 8601" if pattern == "iso" else f"parse as {pattern}"
    return replace(
        base,
        kind="time",
        formats=form.formats,
        unfit=len(texts) - form.fitting,
        evidence=f"{form.fitting:,} of {len(texts):,} values {shown}, such as {example(texts)}",
        looks=_look_at_times(form),
    )


def _look_at_times(form: TimeForm) -> tuple[str, ...]:
    """Return what the values of a column of times leave open."""
    looks = []
    if form.is_ambiguous:
        looks.append(
            f"day and month may be swapped: no value tells {form.formats[0]} from the other order"
        )
    if form.hours:
        looks.append(
            f"all hours are from {form.hours[0]} to {form.hours[-1]}: if the times have 12 hours"
            " and neither am nor pm, add first_hour = 8, or whichever hour a day begins with"
        )
    if not form.has_zone:
        looks.append('the values name no zone: add zone = "Europe/Berlin" or so if it is not UTC')
    return tuple(looks)


def _guess_address(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of addresses; other names of hosts may be among them."""
    joined = values.is_address_with_port(texts)
    if fits(joined):
        look = (
            "Noctule does not part an address and a port: write them into two columns. Until then"
            " the column is kept for people"
        )
        evidence = say_marked(joined, "are an address and a port", texts)
        return replace(base, kind="id", evidence=evidence, looks=(look,))
    marks = values.is_address(texts)
    if not (fits(marks) or (means(base.name, "src_ip", "dst_ip") and marks.any())):
        return None
    looks: tuple[str, ...] = ()
    if others := count_unmarked(marks):
        kept = example(texts.filter(~marks))
        shown = clause(others, "value", "is no IP address", "are no IP addresses")
        looks = (f"{shown}: kept as written, such as {kept}",)
    evidence = say_marked(marks, "are IP addresses", texts)
    return replace(base, kind="address", evidence=evidence, looks=looks)


def _guess_protocol(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of names of protocols."""
    lowered = texts.str.to_lowercase()
    marks = lowered.is_in(list(PROTOCOLS))
    is_surely = fits(marks) and bool(lowered.is_in(["tcp", "udp"]).any())
    if not is_surely and not (means(base.name, "proto") and share(marks) > HALF):
        return None
    return replace(base, kind="protocol", evidence=say_values(texts))


def _guess_set(base: ColumnGuess, texts: pl.Series) -> ColumnGuess | None:
    """Return a column of sets: some values join names that are values by themselves, too."""
    single = texts.unique(maintain_order=True)
    for mark in (",", ";", "|"):
        joined = single.filter(single.str.contains(mark, literal=True))
        if joined.is_empty() or len(joined) == len(single):
            continue
        parts = set(joined.str.split(mark).explode())
        alone = set(single) - set(joined)
        is_wordy = all(part and part.replace("-", "").replace("_", "").isalnum() for part in parts)
        if is_wordy and parts & alone and len(parts) <= MOST_CATEGORIES:
            evidence = (
                f"{len(joined):,} of {len(single):,} different values join names, such as"
                f" {example(joined)}"
            )
            return replace(base, kind="set", separator=mark, evidence=evidence)
    return None


def _guess_text(base: ColumnGuess, texts: pl.Series) -> ColumnGuess:
    """Return a column of categories, or of texts that tell connections apart."""
    is_id = base.different > HALF * len(texts) or (
        means(base.name, "uid") and base.different > FEW_ROWS
    )
    if len(texts) >= FEW_ROWS and is_id:
        evidence = (
            f"{base.different:,} different texts in {len(texts):,} values, such as {example(texts)}"
        )
        return replace(base, kind="id", evidence=evidence)
    numbers = values.is_number(texts)
    looks: tuple[str, ...] = ()
    if share(numbers) > HALF:
        others = f"{count_unmarked(numbers):,} values, such as {example(texts.filter(~numbers))}"
        looks = (f"{others}, are no numbers: if they mean no value, add them to nulls",)
    elif base.different > MOST_CATEGORIES:
        looks = (f"{base.different:,} different texts are many for a category",)
    return replace(base, evidence=say_values(texts), looks=looks)
