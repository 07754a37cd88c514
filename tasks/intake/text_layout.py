"""The layout of a text: whether a header names its columns, and its separator.

Belongs here: that decision, from the first lines, and the refusal of texts that leave it open. Does
not belong here: which name is which column (``tasks.intake.layout``), or reading rows.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from expectations.contract import Contract, Form
from expectations.errors import InputRejectedError
from tasks.intake.fields import NAMED, cut_line, name_separator, split_fields, split_names
from tasks.intake.header import (
    HALF_MESSAGE,
    Header,
    Order,
    count_fields,
    counts_columns,
    filled_lines,
    find_columns,
    find_header,
    name_in_files,
    names_columns,
    show_unknown,
    vote,
)
from tasks.intake.layout import NOT_COUNTED, Layout, arrange_columns
from tasks.intake.lines import HEAD_BYTES
from tasks.intake.misfits import FEWEST_COLUMNS, find_misfits
from tasks.wording import plural, some_of


def recognise_layout(head: bytes, contract: Contract, source: Path) -> Layout:
    """Return the layout of a text.

    If a header names the columns, only its names decide: a header without the contract's names is
    refused, because the order of its columns is not known. If the contract passes headers over, or
    there is none, the file has the one of the contract's orders that has as many fields as most of
    the first lines. ``read_head`` gives the head.

    Raises:
        InputRejectedError: the file is empty, or of no layout that the contract knows.
    """
    require_lines(head, source)
    filled = filled_lines(head, contract.form)
    lines = [line for _, line in filled]
    header = find_header(head, contract)
    order = vote(lines, contract)
    is_named = contract.form.header == "names"
    is_declared = header is not None and header.separator in contract.form.separators
    if header is not None and (
        not is_named or (is_declared and names_columns(header.names, contract))
    ):
        if header.below is not None:
            msg = (
                f"Cannot read {source}: its header is line {header.line_number}, and a line above"
                f" it is neither blank nor a comment ({some_of([header.below])}). Remove the lines"
                " above the header, or begin each with #, and deliver the file again."
            )
            raise InputRejectedError(msg)
        if is_named:
            rows = [line for number, line in filled if number > header.line_number]
            _require_one_separator(header, rows, contract, source)
            layout = arrange_columns(
                header.names,
                contract,
                source,
                header_line=header.line_number,
                separator=header.separator,
            )
            _require_fitting(rows, layout, contract, source)
            return layout
    if order is not None and (header is None or not is_named):
        return _arrange_order(order, contract, source, 0 if header is None else header.line_number)
    if (
        header is not None
        and is_named
        and (order is not None or not names_columns(header.names, contract))
    ):
        raise InputRejectedError(_describe_strange(header, order, contract, source))
    separator = contract.form.separators[0]
    counted = Counter(
        max(count_fields(line, one, contract.form) for one in contract.form.separators)
        for line in lines
    )
    common = counted.most_common(1)[0][0]
    names = split_names(lines[0], separator) if header is None else header.names
    named = sum(map(len, find_columns(names, contract).values()))
    expected = _or_headerless(contract)
    found = ""
    if is_named:
        shown = ", ".join(map(name_in_files, contract.features[:3]))
        expected = f"a header that names its columns ({shown}, ...){expected}"
        found = f"its first line names {named} of these columns and "
    msg = (
        f"Cannot read {source} as {contract.name}: expected {expected.removeprefix(', or ')};"
        f" {found}most lines have {plural(common, 'field')}."
        f" {_suggest_form(lines, header, contract)}"
    )
    raise InputRejectedError(msg)


def require_lines(head: bytes, source: Path) -> None:
    """Refuse a text without lines; ``read_head`` gives the head.

    Raises:
        InputRejectedError: all its lines are blank, or the first line is too long.
    """
    if len(head) >= HEAD_BYTES and b"\n" not in head:
        msg = (
            f"Cannot read {source}: its first line is longer than {HEAD_BYTES} bytes. Expected"
            " lines of separated fields, each ended by a line feed."
        )
        raise InputRejectedError(msg)
    if not filled_lines(head, Form()):
        held = "holds only blank lines" if head else "is empty"
        msg = f"Cannot read {source}: it {held}. Expected connections, one a line."
        raise InputRejectedError(msg)


def _arrange_order(order: Order, contract: Contract, source: Path, header_line: int) -> Layout:
    """Return the layout of a file whose columns have one of the contract's orders."""
    layout = arrange_columns(
        order.names,
        contract,
        source,
        header_line=header_line,
        separator=order.separator,
        is_declared=True,
    )
    return replace(layout, extra=(), respelled=())


def _require_one_separator(
    header: Header, rows: Sequence[str], contract: Contract, source: Path
) -> None:
    """Refuse a file whose rows have another separator than its header."""
    form, width = contract.form, len(header.names)
    if any(count_fields(line, header.separator, form) == width for line in rows):
        return
    for other in (*form.separators, *NAMED):
        is_so = [len(cut_line(line, other)) == width for line in rows]
        if other != header.separator and 2 * sum(is_so) > len(rows):
            raise InputRejectedError(_describe_separators(header, other, contract, source))


def _require_fitting(rows: Sequence[str], layout: Layout, contract: Contract, source: Path) -> None:
    """Refuse a file whose header cannot be that of its rows."""
    form = layout.form
    fields = (split_fields(row, layout.separator, has_quotes=form.has_quotes) for row in rows)
    misfits = find_misfits([one for one in fields if one is not None], layout)
    if len(misfits) < FEWEST_COLUMNS:
        return
    held = some_of([f"{one.called} is {one.example}" for one in misfits])
    msg = (
        f"Cannot read {source} as {contract.name}: its header in line {layout.header_line} cannot"
        f" be that of its rows. In most of its first rows, {plural(len(misfits), 'column')} of"
        f" numbers hold something else: {held}. If the header is that of another table, declare"
        ' under [form] in the contract header = "ignored", and the columns of the rows as an order'
        " in orders. If it is right, declare there under nulls what stands for no value, and"
        " correct the kinds of these columns. None of its rows is stored."
    )
    raise InputRejectedError(msg)


def _describe_separators(header: Header, other: str, contract: Contract, source: Path) -> str:
    """Return the message for a header whose separator is not that of the rows."""
    return (
        f"Cannot read {source} as {contract.name}: line {header.line_number} is a header. Its"
        f" fields are separated by {name_separator(header.separator)}, and those of its rows by"
        f" {name_separator(other)}. Write the header with {name_separator(other)} and deliver the"
        " file again; none of its rows is stored."
    )


def _describe_strange(header: Header, order: Order | None, contract: Contract, source: Path) -> str:
    """Return the message for a header that does not fit the contract."""
    is_declared = header.separator in contract.form.separators
    if order is not None and not is_declared:
        return _describe_separators(header, order.separator, contract, source)
    where = f"Cannot read {source} as {contract.name}: line {header.line_number}"
    first, second, third, *_ = (*map(name_in_files, contract.features), "", "", "")
    separated = ""
    if not is_declared:
        separated = (
            f" Its fields are separated by {name_separator(header.separator)}: deliver the file"
            f" with {_list_separators(contract)}."
        )
    remove = (
        f" Or, if the columns are in the order of the contract ({first}, {second}, ...), remove the"
        " line."
        if order is not None and len(order.names) == len(header.names)
        else ""
    )
    if counts_columns(header.names, contract):
        return (
            f"{where} numbers the columns ({some_of(header.names, HALF_MESSAGE)}) and does not name"
            f" them. Replace the numbers by names: {first}, {second}, {third}, ...{remove} None of"
            " the file's rows is stored."
        )
    needed = [column.name for column in contract.features if not column.optional]
    return (
        f"{where} holds words where connections have numbers, so it is a header, and"
        f" {contract.name} does not know its names: "
        f"{show_unknown(header.names, needed, contract)} Expected"
        f" {plural(len(needed), 'column')}: {first}, {second}, {third}, ... ({NOT_COUNTED})."
        f"{separated} Correct the names, or deliver a file of this source.{remove} None of its rows"
        " is stored."
    )


def _list_separators(contract: Contract) -> str:
    """Return the contract's separators in words."""
    return " or ".join(map(name_separator, contract.form.separators))


def _or_headerless(contract: Contract) -> str:
    """Return in words which lines without a header are expected."""
    widths = " or ".join(str(width) for width in sorted(map(len, contract.form.orders)))
    without = " without a header" if contract.form.header == "names" else ""
    separators = _list_separators(contract)
    return f", or lines of {widths} fields separated by {separators}{without}" if widths else ""


def _suggest_form(lines: Sequence[str], header: Header | None, contract: Contract) -> str:
    """Return a guess at what is wrong with a file that fits no layout, from its first lines."""
    if any("\0" in line for line in lines):
        return "It holds NUL bytes, which no text does: it may be of another format."
    widths = {len(order) for order in contract.form.orders}
    for separator in NAMED:
        is_headers = header is not None and header.separator == separator
        if separator not in contract.form.separators and (
            is_headers or len(lines[0].split(separator)) in widths - {1}
        ):
            return (
                f"Its fields are separated by {name_separator(separator)}: deliver it with"
                f" {_list_separators(contract)}."
            )
    return "Check the separator, and that the file is of this source."
