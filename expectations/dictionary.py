"""The data dictionary: every contract as a page for people, generated from the declaration.

Belongs here: rendering contracts as Markdown, and writing ``docs/data-dictionary.md`` anew
(``python -m expectations.dictionary``). Does not belong here: anything the contract does not say.
"""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from expectations.contract import Column, Contract
from expectations.registry import CONTRACTS
from expectations.suites import describe_range

DEFAULT_PATH = Path("docs/data-dictionary.md")
"""From the root of the repository."""

_PREAMBLE = """\
# Data dictionary

Generated from the contracts in `expectations/` by `python -m expectations.dictionary`; a test fails
when this page is behind them.

A violation **quarantines** its row (kept with its reasons, not scored) or is **reported** (the row
is scored). A value of the wrong type, a null or a NaN in a feature always quarantines. Bounds on
the whole batch **reject** it, or are reported. A number is read as the nearest multiple of its
column's **resolution**, the smallest difference that means something; in a column of whole numbers
a decimal that is not within 0.000001 of one is of the wrong type.
"""

_HEADER = (
    "A header may name the columns in any order, with or without the labels; other columns are "
    "ignored and reported. Case, blanks, dashes, underscores, dots and quotes do not count in a "
    "name."
)


def render_dictionary(contracts: Iterable[Contract]) -> str:
    """Render the page.

    Args:
        contracts: in the order of the page.

    Returns:
        Markdown, ending with a line end.
    """
    return "\n".join([_PREAMBLE, *(_render_contract(contract) for contract in contracts)])


def write_dictionary(path: Path) -> None:
    """Write the page of all contracts."""
    path.write_text(render_dictionary(CONTRACTS.values()), encoding="utf-8")


def _render_contract(contract: Contract) -> str:
    """Render one contract's section."""
    sections = [
        f"## {contract.title} (`{contract.name}`)",
        f"Source: {contract.source}.",
        "### Files",
        _HEADER,
    ]
    if contract.headerless:
        sections.append(
            "Without a header the number of fields tells the columns, which come in the order of "
            "the table:\n\n" + _bullets(map(_describe_shape, contract.headerless))
        )
    sections += [
        "### Columns",
        _table(
            ("column", "type", "unit", "resolution", "allowed", "outside it", "role", "meaning"),
            map(_column_cells, contract.columns),
        ),
        "### Conditions of a row",
        _table(
            ("name", "columns", "condition", "if broken"),
            (
                (
                    f"`{rule.name}`",
                    ", ".join(f"`{name}`" for name in rule.columns),
                    rule.meaning,
                    "quarantined" if rule.severity == "required" else "reported",
                )
                for rule in contract.row_rules
            ),
        ),
        "### Bounds of a batch",
        _table(
            ("statistic", "allowed", "outside it", "meaning"),
            (
                (
                    f"`{bound.name}`",
                    describe_range(bound.minimum, bound.maximum),
                    "rejected" if bound.severity == "required" else "reported",
                    bound.meaning,
                )
                for bound in contract.profile
            ),
        ),
    ]
    if contract.families:
        sections += ["### Attack families", _bullets(_describe_families(contract.families))]
    return "\n\n".join(sections) + "\n"


def _column_cells(column: Column) -> tuple[str, ...]:
    """Return the cells of one column's row."""
    if column.values is not None:
        allowed = ", ".join(f"`{value}`" for value in column.values)
    else:
        allowed = describe_range(column.minimum, column.maximum)
    return (
        f"`{column.name}`",
        f"{column.dtype}",
        column.unit,
        "" if column.resolution is None else f"{column.resolution:f}".rstrip("0").rstrip("."),
        allowed + (", or nothing" if column.nullable else ""),
        "quarantined" if column.severity == "required" else "reported",
        column.role,
        column.meaning,
    )


def _describe_shape(columns: Sequence[str]) -> str:
    """Name a headerless shape by its length and its last column."""
    return f"{len(columns)} fields, up to `{columns[-1]}`"


def _describe_families(families: Mapping[str, str]) -> Iterable[str]:
    """List each family's attacks."""
    return [
        f"{family}: {', '.join(f'`{name}`' for name, of in families.items() if of == family)}"
        for family in dict.fromkeys(families.values())
    ]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """Render a Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _bullets(items: Iterable[str]) -> str:
    """Render a Markdown list."""
    return "\n".join(f"- {item}" for item in items)


if __name__ == "__main__":
    write_dictionary(Path(sys.argv[1]) if len(sys.argv) > 1 else DEFAULT_PATH)
