"""The data dictionary: every contract as a page for people, generated from its declaration.

Belongs here: writing ``docs/data-dictionary.md`` (``python -m expectations.dictionary``), and a
form, a conversion and labels in words. Does not belong here: the text of the page
(``dictionary.md.j2``), or anything that no contract declares.
"""

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

from expectations.contract import Column, Contract, Form, Labels
from expectations.registry import own_contracts
from expectations.suites import (
    GENERAL_BOUNDS,
    batch_bounds,
    describe_bound,
    describe_range,
    format_number,
)

DEFAULT_PATH = Path("docs/data-dictionary.md")
"""From the root of the repository."""

_SEPARATOR_WORDS: Final = {
    ",": "commas", "\t": "tabs", ";": "semicolons", "|": "vertical bars", "blanks": "blanks"
}  # fmt: skip


def render_dictionary(contracts: Iterable[Contract]) -> str:
    """Return the page of some contracts, in their order, as Markdown that ends with a line end."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(  # noqa: S701 - Markdown, and nothing in it is from outside
        loader=FileSystemLoader(Path(__file__).parent),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    words = (
        batch_bounds, describe_allowed, describe_bound, describe_conversion, describe_form,
        describe_labels,
    )  # fmt: skip
    template = environment.get_template("dictionary.md.j2")
    return template.render(
        contracts=contracts, general=GENERAL_BOUNDS, **{one.__name__: one for one in words}
    )


def write_dictionary(path: Path) -> None:
    """Write the page of all our contracts to a file."""
    path.write_text(render_dictionary(own_contracts().values()), encoding="utf-8")


def describe_form(contract: Contract) -> Iterator[str]:
    """Yield how the files of a contract are written and recognised, a sentence each."""
    form = contract.form
    if form.kind == "json":
        yield "JSON: an object on each line, or Parquet."
    else:
        words = [_SEPARATOR_WORDS.get(one, f"`{one}`") for one in form.separators]
        yield f"Text: lines of fields with {' or '.join(words)} between them; or Parquet."
    if contract.match:
        yield f"Recognised by these names in the header: {_code(contract.match)}."
    else:
        yield "Recognised by the names of the features in the header."
    yield (
        "Columns may be in any order. Other columns are ignored and reported. Case, blanks, dashes,"
        " underscores, dots and quotes in a name do not count."
    )
    yield from _describe_orders(form)
    yield from _describe_values(form)


def _describe_orders(form: Form) -> Iterator[str]:
    """Yield how a file without names is read."""
    if form.header == "ignored":
        yield "The header is passed over; it does not name the columns."
    for order in form.orders:
        yield f"Without a header, {len(order)} fields are `{order[0]}` to `{order[-1]}`."
    if form.repeated == "first":
        yield "Of several columns with one name, the first is read."


def _describe_values(form: Form) -> Iterator[str]:
    """Yield which lines are no rows, and how values are written."""
    if form.comment is not None:
        yield f"A line that begins with `{form.comment}` is no row."
    if form.trailer is not None:
        yield f"The last {form.trailer_lines} lines, from `{form.trailer}` on, are no rows."
    for field, value in (form.records or {}).items():
        yield f"Only records count whose `{field}` is `{value}`."
    if form.encoding != "utf-8":
        yield f"A line that is no UTF-8 is read as {form.encoding}."
    nulls = f", {_code(form.nulls)}" if form.nulls else ""
    yield f"A missing value is an empty field{nulls}."
    if form.non_finite == "null":
        yield "Infinity and NaN are missing values."


def describe_conversion(column: Column) -> str:
    """Return how the values of a column are read, beside what its kind says."""
    parts = [_code(column.formats)] if column.formats else []
    if column.kind == "time" and column.zone != "UTC":
        parts.append(f"in {column.zone}")
    if column.first_hour is not None:
        parts.append(f"12 hours, from {column.first_hour} in the morning")
    if column.scale != 1:
        parts.append(f"times {format_number(column.scale)}")
    if column.resolution is not None and not (column.resolution == 1 and column.dtype.is_integer()):
        parts.append(f"to {f'{column.resolution:f}'.rstrip('0').rstrip('.')}")
    return "; ".join(parts)


def describe_allowed(column: Column) -> str:
    """Return which values a column without a list of them may have."""
    if column.dtype.is_numeric():
        is_whole = column.dtype.is_integer()
        has_bound = column.minimum is not None or column.maximum is not None
        if is_whole and not has_bound:
            return "a whole number"
        return describe_range(column.minimum, column.maximum)
    return "any moment" if column.kind == "time" else "any text"


def describe_labels(labels: Labels) -> Iterator[str]:
    """Yield which column has the labels and what its values mean, a sentence each."""
    yield f"`{labels.column}` says whether a connection is an attack. Labels are never for scoring."
    if labels.names is not None:
        yield f"`{labels.names}` names the attack."
    yield f"Normal: {_code(labels.normal)}."
    yield f"Attacks: {_code(labels.attacks) if labels.attacks else 'all other values'}."
    if labels.ignored:
        yield f"Neither: {_code(labels.ignored)}."
    if labels.prefix:
        yield f"`{labels.prefix}` at the beginning of a value is left out."
    if labels.strip:
        yield f"`{labels.strip}` around a value is left out."
    if not labels.folds_case:
        yield "Upper and lower case letters differ."


def _code(names: Iterable[str]) -> str:
    """Return words in the type of code, with commas."""
    return ", ".join(f"`{name}`" for name in names)


if __name__ == "__main__":
    write_dictionary(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
