"""Evidently's drift report on two samples: one page, one JSON file, one statistic for each column.

Belongs here: calling Evidently and reading its answer. Does not belong here: how the samples are
drawn, and the index on all rows, which decides whether a batch has drifted (see
``tasks.drift.measure``).

Evidently's distances have fixed thresholds, which suit columns without long tails and samples that
are not small. This module ensures both. Its figures were measured once during development, without
drift: 100 pairs of disjoint samples of KDDTrain+ (seed 42), with a reference of 25,000 rows, each
column by the distance that Evidently chooses and its threshold of 0.1:

- The Wasserstein distance is in units of the reference's standard deviation, and a few very large
  values decide that unit. ``dst_bytes`` was "drifted" in 23 of 100 samples of 25,000 rows, and no
  change of less than a megabyte could be detected. So quantities are compared, and drawn, as
  ``log1p``.
- Below ``MIN_ROWS``, chance alone exceeds the threshold, so Evidently is not run.

Evidently writes every category unchanged into a script of its page, where ``</script>`` would end
the script and the sender's text would follow. So categories are relabelled first; see ``_label``.
"""

import hashlib
import json
import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import polars as pl

from storage.text import printable
from tasks.features.values import OTHER

MIN_ROWS = 2_000
"""Fewest rows of either sample. Measured as above, with ``LOG_ABOVE``, over the 41 columns: of
4,100 results without drift, 15 % were "drifted" at 200 rows (``service`` always), 4.6 % at 500,
0.8 % at 1,000, none at 1,500 and 3 results at 2,000."""

LOG_ABOVE = 1.0
"""Columns that exceed this in the reference are compared as log1p. Rates and flags never exceed 1,
so they keep their scale."""

LABEL_CHARACTERS = 60
"""A longer category is cut and gets a digest. A guess: what fits on an axis."""

MOST_LABELS = 256
"""Categories of a column that are drawn and compared each for itself. Of more, those are that have
at least this part of the reference's rows, so never more of them: the commonest of 100,000 names,
each in a few rows, would be others in the next sample. A guess: three times the services of
NSL-KDD."""

ROOTS = frozenset({"Jensen-Shannon distance"})
"""Methods whose statistic is the square root of a sum."""

STATISTICS = {
    "column": pl.String,
    "method": pl.String,
    "statistic": pl.Float64,
    "threshold": pl.Float64,
    "is_drifted": pl.Boolean,
    "rows_reference": pl.Int64,
    "rows_current": pl.Int64,
}
"""Schema of drift statistics. Grain: one column and one method."""


def write_report(
    reference: pl.DataFrame, current: pl.DataFrame, html: Path, results: Path, *, linear: set[str]
) -> pl.DataFrame:
    """Compare two samples with Evidently; write its page and its JSON.

    It runs one ``ValueDrift`` for each column, not ``DataDriftPreset``: the preset computes and
    draws each column three times, which takes twice the CPU time for the same numbers. Evidently
    chooses the method by type and number of distinct values: Jensen-Shannon distance or normed
    Wasserstein distance.

    Both samples have the same columns and at least ``MIN_ROWS`` rows. Those of the batch are in its
    order, because the page plots means along it. The page needs no network. The numeric columns of
    ``linear`` are never compared as log1p.

    Returns:
        The statistics, with schema ``STATISTICS``. The method has Evidently's name for it, with "of
        log1p" where that applies. A column without a value in one of the samples has no row.
    """
    # Any value stops Evidently's telemetry. Evidently reads it when it is imported.
    os.environ.setdefault("DO_NOT_TRACK", "1")
    from evidently import DataDefinition, Dataset, Report
    from evidently.metrics import ValueDrift

    columns = [
        name
        for name in reference.columns
        if _has_values(reference[name]) and _has_values(current[name])
    ]
    scaled = {name: _express(reference[name], is_linear=name in linear) for name in columns}
    shown = {expression.meta.output_name(): name for name, expression in scaled.items()}
    is_category = {label: reference[name].dtype == pl.String for label, name in shown.items()}
    definition = DataDefinition(
        numerical_columns=[label for label in shown if not is_category[label]],
        categorical_columns=[label for label in shown if is_category[label]],
    )
    common = {name: _list_common(reference[name], current[name]) for name in columns}
    datasets = [
        Dataset.from_pandas(
            _relabel(sample.select(scaled.values()), common).to_pandas(),
            data_definition=definition,
        )
        for sample in (current, reference)
    ]
    snapshot = Report([ValueDrift(column=label) for label in shown], include_tests=True).run(
        *datasets
    )
    snapshot.save_html(str(html))
    # A distance may be NaN, which Python writes and JSON forbids: write null instead.
    answer = json.loads(snapshot.json(), parse_constant=lambda _: None)
    results.write_text(json.dumps(answer, indent=1, allow_nan=False), encoding="utf-8")
    return _read_statistics(answer, shown, reference.height, current.height)


def _has_values(values: pl.Series) -> bool:
    """Return whether any value is present."""
    return values.null_count() < values.len()


def _express(values: pl.Series, *, is_linear: bool) -> pl.Expr:
    """Return the expression that Evidently compares; its name is the column's label on the page."""
    if values.dtype == pl.String:
        return pl.col(values.name)
    number = pl.col(values.name).cast(pl.Float64)
    largest = values.cast(pl.Float64).abs().max()
    if is_linear or not isinstance(largest, float) or largest <= LOG_ABOVE:
        return number
    # Mirrored for negative values, which would give NaN.
    return (number.sign() * number.abs().log1p()).alias(f"log1p({values.name})")


def _list_common(reference: pl.Series, current: pl.Series) -> pl.Series | None:
    """Return the commonest categories of the reference; None for numbers, and for few."""
    if reference.dtype != pl.String:
        return None
    if pl.concat([reference, current]).n_unique() <= MOST_LABELS:
        return None
    counted = reference.drop_nulls().value_counts(name="rows")
    return counted.filter(pl.col("rows") * MOST_LABELS >= reference.len())[reference.name]


def _relabel(sample: pl.DataFrame, common: Mapping[str, pl.Series | None]) -> pl.DataFrame:
    """Replace every category by its label, which is plain text in any place; numbers stay.

    Where ``common`` lists the categories of a column, all others are one.
    """
    kept = sample.with_columns(
        pl.when(pl.col(name).is_in(names.implode()) | pl.col(name).is_null())
        .then(name)
        .otherwise(pl.lit(OTHER))
        .alias(name)
        for name, names in common.items()
        if names is not None
    )
    return kept.with_columns(
        values.replace_strict(
            names := values.unique().drop_nulls(),
            [_label(name) for name in names],
            default=None,
            return_dtype=pl.String,
        )
        for values in kept.iter_columns()
        if values.dtype == pl.String
    )


def _label(category: str) -> str:
    r"""Return a category with all markup written out, such as ``\x3c`` for ``<``.

    Different categories have different labels, so the statistic is that of the categories.
    """
    text = "".join(f"\\x{ord(one):02x}" if one in r"\<>&" else one for one in category)
    label = printable(text, limit=len(text))
    if len(label) <= LABEL_CHARACTERS:
        return label
    digest = hashlib.sha256(category.encode()).hexdigest()
    return f"{label[:LABEL_CHARACTERS]}... {digest[:8]}"


def _read_statistics(
    answer: dict[str, Any], shown: dict[str, str], rows_reference: int, rows_current: int
) -> pl.DataFrame:
    """Return one row of statistics for each column in Evidently's JSON.

    Whether a column has drifted is read from Evidently's test: some methods are distances and
    others p-values, and Evidently knows which side of the threshold is drift.
    """
    status = {test["metric_config"]["metric_id"]: test["status"] for test in answer["tests"]}
    rows = []
    for metric in answer["metrics"]:
        label, value = metric["config"]["column"], metric["value"]
        name, method = shown[label], metric["config"]["method"]
        rows.append(
            {
                "column": name,
                "method": method if label == name else f"{method} of log1p",
                "statistic": round_statistic(value, method),
                "threshold": metric["config"]["threshold"],
                "is_drifted": status[metric["id"]] == "FAIL",
                "rows_reference": rows_reference,
                "rows_current": rows_current,
            }
        )
    return pl.DataFrame(rows, schema=STATISTICS)


def round_statistic(value: float | None, method: str) -> float | None:
    """Round a statistic to the digits that are the same in every run; return None if not finite.

    Evidently sums over categories in the order of a set, which differs between processes. The sums
    differ in their last digits only, but the square root of 1e-16 is 1e-8.
    """
    if value is None or not math.isfinite(value):
        return None
    return round(value, 7) if method in ROOTS else float(f"{value:.9g}")
