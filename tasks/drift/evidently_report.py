"""Evidently's drift report: one page, one JSON file and one statistic a column, from two samples.

Belongs here: how Evidently is asked and how its answer is read. Does not belong here: how the
samples are drawn, and the index on all rows, which is what the verdict of a night rests on (see
``tasks.drift.measure``).

Evidently's distances have fixed thresholds, made for columns without long tails and samples that
are not small. Both conditions are seen to here. The figures were measured once while building,
without any drift: 100 pairs of disjoint samples of KDDTrain+ (seed 42), the reference of 25,000
rows, each column by the distance Evidently chooses and its threshold of 0.1:

- Its Wasserstein distance is in units of the reference's standard deviation, which a few huge
  values decide: ``dst_bytes`` was called drifted in 23 of 100 samples of 25,000 rows, and no change
  below a megabyte could ever be. Quantities are therefore compared, and drawn, as ``log1p``.
- Below ``MIN_ROWS`` chance alone crosses its threshold, so it gives no verdict there.

Its page holds every category as it is, within a script, where ``</script>`` would end it and what
follows would be the sender's. Categories are therefore relabelled first; see ``_label``.
"""

import hashlib
import json
import math
import os
from pathlib import Path
from typing import Any

import polars as pl

from storage.text import printable

MIN_ROWS = 2_000
"""Fewest rows of either sample. Measured as above, with ``LOG_ABOVE``, over the 41 columns: of
4,100 verdicts without drift 15 % were "drifted" at 200 rows (``service`` always), 4.6 % at 500,
0.8 % at 1,000, none at 1,500 and 3 at 2,000."""

LOG_ABOVE = 1.0
"""Quantities that exceed this in the reference are compared as log1p; rates and flags do not, and
keep their scale: 1 is the most they can be."""

LABEL_CHARACTERS = 60
"""A longer category is cut, and told from its like by a digest. A guess: what an axis can show."""

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
"""Schema of drift statistics. Grain: one column and method."""


def write_report(
    reference: pl.DataFrame, current: pl.DataFrame, html: Path, results: Path, *, linear: set[str]
) -> pl.DataFrame:
    """Compare two samples with Evidently and write its page and its JSON.

    One ``ValueDrift`` a column, not ``DataDriftPreset``: the preset computes and draws each column
    three times, for twice the CPU and the same numbers. The method is Evidently's own choice, by
    type and distinct values: Jensen-Shannon distance or normed Wasserstein distance.

    Args:
        reference: a sample of the reference, at least ``MIN_ROWS`` rows.
        current: a sample of the batch with the same columns, at least ``MIN_ROWS`` rows, in the
            order of the batch (the page plots means along it).
        html: where the page goes; it needs no network.
        results: where Evidently's numbers and tests go, as JSON.
        linear: numeric columns to compare as they are, whatever their size.

    Returns:
        The statistics, with schema ``STATISTICS``; the method is named as Evidently names it, and
        says so where it is of log1p. A column without a value on either side has no row.
    """
    # Any value stops Evidently's telemetry; it is read when the module is imported.
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
    datasets = [
        Dataset.from_pandas(
            _relabel(sample.select(scaled.values())).to_pandas(), data_definition=definition
        )
        for sample in (current, reference)
    ]
    snapshot = Report([ValueDrift(column=label) for label in shown], include_tests=True).run(
        *datasets
    )
    snapshot.save_html(str(html))
    # A distance may come out as NaN, which Python writes and JSON forbids: null instead.
    answer = json.loads(snapshot.json(), parse_constant=lambda _: None)
    results.write_text(json.dumps(answer, indent=1, allow_nan=False), encoding="utf-8")
    return _read_statistics(answer, shown, reference.height, current.height)


def _has_values(values: pl.Series) -> bool:
    return values.null_count() < values.len()


def _express(values: pl.Series, *, is_linear: bool) -> pl.Expr:
    """Say how a column is shown to Evidently; the expression's name is its label on the page."""
    if values.dtype == pl.String:
        return pl.col(values.name)
    number = pl.col(values.name).cast(pl.Float64)
    largest = values.cast(pl.Float64).abs().max()
    if is_linear or not isinstance(largest, float) or largest <= LOG_ABOVE:
        return number
    # Mirrored for negative values, so that one in a batch cannot become a NaN.
    return (number.sign() * number.abs().log1p()).alias(f"log1p({values.name})")


def _relabel(sample: pl.DataFrame) -> pl.DataFrame:
    """Label every category so that it is mere text wherever it stands; numbers stay."""
    return sample.with_columns(
        values.replace_strict(
            names := values.unique().drop_nulls(),
            [_label(name) for name in names],
            default=None,
            return_dtype=pl.String,
        )
        for values in sample.iter_columns()
        if values.dtype == pl.String
    )


def _label(category: str) -> str:
    r"""Write out what a page, a script or a chart would obey, as ``\x3c`` for ``<``.

    Two categories never share a label, so the statistic is that of the categories themselves.
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
    """Read one row a column out of Evidently's JSON.

    The verdict is read from the test rather than computed anew: some methods are distances, others
    p-values, and Evidently knows in which direction each one drifts.
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
                "statistic": settle(value, method),
                "threshold": metric["config"]["threshold"],
                "is_drifted": status[metric["id"]] == "FAIL",
                "rows_reference": rows_reference,
                "rows_current": rows_current,
            }
        )
    return pl.DataFrame(rows, schema=STATISTICS)


def settle(value: float | None, method: str) -> float | None:
    """Round a statistic to what is the same in every run; None where there is none.

    Evidently adds categories up in the order of a set, which differs from process to process. The
    rounding of those sums is in the last digits, but a distance that is the root of one turns
    1e-16 into 1e-8 near zero.
    """
    if value is None or not math.isfinite(value):
        return None
    return round(value, 7) if method in ROOTS else float(f"{value:.9g}")
