"""The text of a drafted contract: a page of TOML, with the evidence for each line as a comment.

Belongs here: how a draft is written. Does not belong here: what it says
(``tasks.contracts.draft``).
"""

import json
import shlex
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from expectations.names import fold, plain_name
from storage.text import printable
from tasks.contracts.draft import Draft, DraftColumn
from tasks.contracts.known_names import CANONICAL
from tasks.contracts.label_guess import LabelGuess
from tasks.wording import clause, plural, some_of

LOOK: Final = "# LOOK: "
"""How a comment begins that a person must read and decide on."""
LINE_WIDTH: Final = 96
"""Characters of a comment line. A guess: a page beside a file in an editor."""
COMMENT_CHARACTERS: Final = 600
"""Most characters of one comment; names and values of a file may be long. A guess."""


def write_page(draft: Draft, name: str, file_name: str) -> str:
    """Return a draft as a page of TOML: ``read_page`` reads it as it is.

    Args:
        draft: of a file.
        name: of the contract.
        file_name: of the file, for comments.
    """
    blocks = [
        _write_head(draft, name, file_name),
        _write_form(draft),
        _write_columns(draft),
        _write_labels(draft),
    ]
    return "\n\n".join(block for block in blocks if block) + "\n"


def count_looks(page: str) -> tuple[int, ...]:
    """Return the numbers of the lines of a page that a person must look at."""
    lines = enumerate(page.split("\n"), start=1)
    return tuple(number for number, line in lines if line.startswith(LOOK))


def write_text(text: str) -> str:
    """Return a text as a string of TOML, with every character that cannot be printed escaped."""
    plain = text.encode("utf-8", "replace").decode()
    return "".join(
        one if one.isprintable() else rf"\U{ord(one):08X}"
        for one in json.dumps(plain, ensure_ascii=False)
    )


def _write_list(texts: Sequence[str]) -> str:
    return f"[{', '.join(map(write_text, texts))}]"


def _comment(text: str, *, is_look: bool = False) -> str:
    """Return a text as lines of a comment."""
    shown = printable(text, COMMENT_CHARACTERS)
    first = LOOK if is_look else "# "
    return textwrap.fill(
        shown, LINE_WIDTH, initial_indent=first, subsequent_indent="#   ",
        break_long_words=True, break_on_hyphens=False,
    )  # fmt: skip


def _look(text: str) -> str:
    """Return a comment that a person must read, as a sentence."""
    return _comment(text if text.endswith("?") else f"{text}.", is_look=True)


def _write_head(draft: Draft, name: str, file_name: str) -> str:
    """Return the opening comment and the keys of the contract itself."""
    sample = draft.sample
    part = "all" if sample.is_whole else "the first"
    rows = plural(sample.rows, "row")
    opening = (
        f"A draft, made by `noctule contracts draft` from {part} {rows} of {file_name}. Read each"
        " line that begins with LOOK, decide, and delete it. Then see how the file fits:"
    )
    lines = [
        _comment(opening),
        _comment(f"noctule contracts check {shlex.quote(file_name)} --contract {name}"),
        *map(_look, draft.looks),
        f"name = {write_text(name)}",
        f"title = {write_text(f'Connections as in {printable(file_name, 80)}')}",
        _look("where are the columns documented? Write the address or the title"),
        f"source = {write_text('not documented yet')}",
    ]
    return "\n".join(lines)


def _write_form(draft: Draft) -> str:
    """Return the table ``[form]``; empty where all is as usual."""
    sample = draft.sample
    lines = [*_write_text_form(draft), *_write_values(draft.columns)]
    if sample.kind == "json":
        lines.insert(0, 'kind = "json"')
    if sample.records:
        pairs = ", ".join(
            f"{write_text(key)} = {write_text(value)}" for key, value in sample.records.items()
        )
        lines.append(f"records = {{ {pairs} }}")
    return "\n".join(["[form]", *lines]) if lines else ""


def _write_text_form(draft: Draft) -> Iterator[str]:
    """Yield the lines on the form of a delimited text."""
    sample, form = draft.sample, draft.sample.text
    if form is None:
        return
    if form.separator != "comma":
        yield f"separators = [{write_text(form.separator)}]"
    if not form.has_quotes:
        yield _comment("Most lines with a quote do not quote whole fields.")
        yield "has_quotes = false"
    if sample.encoding != "utf-8":
        yield _comment(f"Not all bytes are UTF-8; all can be read as {sample.encoding}.")
        yield f"encoding = {write_text(sample.encoding)}"
    if not draft.has_names:
        yield from _write_order(draft)
    if any(column.reason.startswith("an earlier column") for column in draft.columns):
        yield 'repeated = "first"'
    if form.comment:
        yield f"comment = {write_text(form.comment)}"
    if sample.trailer:
        first = sample.trailer[0]
        yield _comment(
            f"At its end, {clause(len(sample.trailer), 'line', 'is no row', 'are no rows')}."
        )
        yield f"trailer = {write_text(first[:40])}"
        yield f"trailer_lines = {len(sample.trailer)}"
    if sample.rows_ragged:
        yield _comment(
            f"{clause(sample.rows_ragged, 'line', 'has', 'have')} another number of fields than"
            f" {form.width}: such lines go to quarantine."
        )


def _write_order(draft: Draft) -> Iterator[str]:
    """Yield the lines on the columns of a text whose header does not name them."""
    if draft.sample.text is not None and draft.sample.text.header is not None:
        yield 'header = "ignored"'
    yield _comment("A name that is not declared below is a field that is not read.")
    names = ", ".join(write_text(column.name) for column in draft.columns)
    filled = textwrap.fill(
        names, LINE_WIDTH, initial_indent="    ", subsequent_indent="    ",
        break_long_words=False, break_on_hyphens=False,
    )  # fmt: skip
    yield f"orders = [[\n{filled},\n]]"


def _write_values(columns: Sequence[DraftColumn]) -> Iterator[str]:
    """Yield the lines on missing and infinite values."""
    words: dict[str, list[str]] = {}
    for column in columns:
        for word in column.guess.null_words if column.is_declared or column.is_label else ():
            words.setdefault(word, []).append(column.name)
    if words:
        seen = "; ".join(f"{word!r} in {some_of(names)}" for word, names in words.items())
        yield _comment(f"Words that mean no value, as the sample has them: {seen}.")
        yield f"nulls = {_write_list(sorted(words))}"
    odd = [column for column in columns if column.guess.non_finite and column.is_declared]
    if odd:
        count = sum(column.guess.non_finite for column in odd)
        yield _comment(
            f"{clause(count, 'value', 'is', 'are')} infinite or NaN, in"
            f" {some_of([column.name for column in odd])}."
        )
        yield 'non_finite = "null"'


def _write_columns(draft: Draft) -> str:
    """Return the table ``[columns]``: canonical names first, then in the file's order."""
    order = {name: place for place, name in enumerate(CANONICAL)}
    declared = [
        column
        for column in draft.columns
        if column.is_declared and (not column.is_label or _needs_name(draft, column))
    ]
    declared.sort(key=lambda column: order.get(column.name, len(order)))
    lines = ["[columns]"]
    for column in declared:
        lines += _write_column(column, has_names=draft.has_names)
    left = [column for column in draft.columns if not column.is_declared]
    if left:
        lines.append("")
        lines.append(_comment("Not declared, so not read; to read one, remove its first #."))
        for column in left:
            reason = column.guess.evidence if column.guess.is_constant else column.reason
            shown = printable(f"{column.guess.name!r}: {reason}", LINE_WIDTH * 2)
            if column.reason.startswith(("an earlier", "it has no name")):
                lines.append(f"# {shown}")
            else:
                lines.append(f"# {_column_line(column, has_names=draft.has_names)}  # {shown}")
    return "\n".join(lines)


def _write_column(column: DraftColumn, *, has_names: bool) -> list[str]:
    """Return the lines of one column: its evidence, what to look at, and itself."""
    evidence = column.guess.evidence
    if column.reason:
        evidence += f"; {column.reason}"
    if column.guess.rows_null:
        evidence += f"; {plural(column.guess.rows_null, 'row')} without a value"
    return [
        _comment(evidence),
        *map(_look, column.looks),
        _column_line(column, has_names=has_names),
    ]


def _column_line(column: DraftColumn, *, has_names: bool) -> str:
    """Return the declaration of a column."""
    guess = column.guess
    keys: dict[str, str] = {}
    if has_names and fold(guess.name) != fold(column.name):
        keys["from"] = write_text(guess.name)
    keys["kind"] = write_text(guess.kind)
    if guess.unit and guess.kind != "interval":
        keys["unit"] = write_text(guess.unit)
    if guess.scale != 1:
        keys["scale"] = f"{guess.scale:.9f}".rstrip("0")
    if guess.formats:
        keys["formats"] = _write_list(guess.formats)
    if guess.separator and guess.separator != ",":
        keys["separator"] = write_text(guess.separator)
    if guess.rows_null or guess.non_finite or (guess.unfit and guess.kind == "port"):
        keys["nullable"] = "true"
    if column.is_label:
        keys = {"from": write_text(guess.name), "kind": write_text("category")}
        keys["role"] = write_text("label")
    if column.is_ignored:
        keys["role"] = write_text("ignored")
    if list(keys) == ["kind"]:
        return f"{column.name} = {keys['kind']}"
    return f"{column.name} = {_write_table(keys)}"


def _write_table(keys: Mapping[str, str]) -> str:
    return "{ " + ", ".join(f"{key} = {value}" for key, value in keys.items()) + " }"


def _write_labels(draft: Draft) -> str:
    """Return the table ``[labels]``; as a comment where no value is known to mean normal."""
    labels = draft.labels
    if labels is None:
        return _comment("No column seems to have labels: a model is trained on traffic alone.")
    column = draft.columns[labels.column]
    lines = list(_label_lines(draft, labels))
    if labels.normal:
        return "\n".join([_comment(labels.evidence), *map(_look, labels.looks), *lines])
    look = (
        f"{column.guess.name!r} seems to have labels, and no value of the sample is known to mean"
        " normal. Write it below, and remove the first # of these lines; until then a model is"
        " trained on traffic alone"
    )
    return "\n".join(
        [
            _comment(labels.evidence),
            *map(_look, (*labels.looks, look)),
            *(f"# {one}" for one in lines),
        ]
    )


def _label_lines(draft: Draft, labels: LabelGuess) -> Iterator[str]:
    """Yield the lines of the table ``[labels]``."""
    yield "[labels]"
    yield f"column = {write_text(_label_name(draft, labels.column))}"
    if labels.names is not None:
        yield f"names = {write_text(_label_name(draft, labels.names))}"
    yield f"normal = {_write_list(labels.normal)}"
    if labels.ignored:
        yield f"ignored = {_write_list(labels.ignored)}"


def _label_name(draft: Draft, place: int) -> str:
    """Return how the table of labels calls a column: by its name in the file, if that will do."""
    column = draft.columns[place]
    is_plain = draft.has_names and not _needs_name(draft, column)
    return column.guess.name if is_plain else column.name


def _needs_name(draft: Draft, column: DraftColumn) -> bool:
    """Return whether a column of labels must be declared, because its name gives no plain one."""
    return column.is_label and draft.has_names and plain_name(column.guess.name) != column.name
