"""Outcomes and stored rows as Markdown: what Prefect's artifacts hold.

Belongs here: rendering. Does not belong here: queries, or Prefect itself (``tasks.publish``).

Prefect's first UI renders descriptions, and the text cells of table artifacts, as Markdown with
images, links and bare addresses; its second shows those cells as they are. Every text from outside
therefore passes ``escape``, which touches as little of it as it can.
"""

import json
import re
import shlex
from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Final

from storage.cost import Cost
from storage.text import printable
from tasks.decide import RetrainOutcome
from tasks.gate import Verdict
from tasks.metrics import OperatingPoint
from tasks.outcomes import FileOutcome, NightOutcome
from tasks.paired import Interval
from tasks.shown import ID_DIGITS, plural, reason_text
from tasks.thresholds import NOVEL_SHARE
from tasks.train import TrainingOutcome

RATES: Final = "change of the false-positive rate"
DIGITS_SHOWN: Final = 5
"""Significant digits of figures in artifacts; SQL has them all."""

# A bare address is a link even where a backslash stands in it (GitHub's extension looks for it
# after escapes are resolved), so it is written as analysts pass one on: http[:]//, www[.], a[@]b.
_ADDRESS = re.compile(r"(:)(?=//)|(?<=www)(\.)|(?<=[\w.+-])(@)(?=[\w-])", re.IGNORECASE)

_MARKUP = re.compile(
    r"""
      [\\`*\[<|~]                    # escapes, code, emphasis, links, HTML, cells, deletions
    | (?<![^\W_])_ | _(?![^\W_])     # emphasis; within a word, as in src_bytes, it is none
    | &(?=\#?\w+;)                  # entities
    | ^[>\#+-](?=[>\#+\s-]|$) | ^>   # at the beginning: quotes, headings, lists, rules
    """,
    re.VERBOSE,
)
_NUMBERED = re.compile(r"^(\d+)([.)])(?=\s|$)")


def escape(text: str) -> str:
    """Return outside text as Markdown that renders as just that text, on one line.

    What is not printable is written out, a long text is cut, and addresses are no links.
    """
    line = " ".join(printable(text).split())
    line = _ADDRESS.sub(lambda found: f"[{found[0]}]", line)
    return _NUMBERED.sub(r"\1\\\2", _MARKUP.sub(r"\\\g<0>", line))


def table_cell(value: object) -> object:
    """Return a stored value as a table artifact shows it: numbers stay numbers."""
    if isinstance(value, float):
        return float(f"{value:.{DIGITS_SHOWN}g}")
    if isinstance(value, datetime):
        return f"{value:%Y-%m-%d %H:%M:%S}"
    if isinstance(value, list):
        return escape(reason_text(value))
    if isinstance(value, Mapping):
        return escape(json.dumps(value, ensure_ascii=False))
    return escape(value) if isinstance(value, str) else value


def describe(outcome: FileOutcome, what: str) -> str:
    """Say under an artifact which file it is of."""
    return f"{escape(outcome.file_name)}, {outcome.batch_date}: {escape(what)}"


def batch_markdown(outcome: FileOutcome, host: str = "localhost") -> str:
    """Render the summary of one batch.

    Args:
        outcome: what became of it.
        host: the machine on which its reports lie.
    """
    short = (outcome.batch_id or "-")[:ID_DIGITS]
    lines = [f"# {escape(outcome.file_name)}", ""]
    lines += [f"| Batch | `{short}` |", "| --- | --- |"]
    lines += [f"| {name} | {value} |" for name, value in _facts(outcome).items()]
    if outcome.advisories:
        lines += ["", "## Reported, not refused", ""]
        lines += [f"- {escape(advisory)}" for advisory in outcome.advisories]
    if outcome.status == "rejected":
        lines += ["", "## To do", "", "Have it delivered anew, replay it, or dismiss it:", ""]
        lines += [
            *_typed(f"noctule replay {short} [FILE]", f"noctule dismiss {short} --reason WHY")
        ]
    if outcome.reports:
        lines += ["", "## Reports", "", *_reports(outcome.reports, host)]
    if outcome.costs:
        lines += ["", "## Stages", "", *_stages(outcome.costs)]
    return "\n".join(lines)


def _facts(outcome: FileOutcome) -> dict[str, str]:
    """Return what is known of a batch, by what it is called."""
    rows = {
        "Date": f"{outcome.batch_date}",
        "Status": f"**{outcome.status}**",
        "Rows read": f"{outcome.rows_read:,}",
        "Scored": f"{outcome.rows_scored:,}",
        "Quarantined": f"{outcome.rows_quarantined:,}",
        "Rejected": f"{outcome.rows_rejected:,}",
        "Already known": f"{outcome.rows_known:,}",
    }
    if outcome.rows_flagged is not None:
        share = _share(outcome.rows_flagged, outcome.rows_scored)
        rows["Flagged"] = f"{outcome.rows_flagged:,}{share}"
    if outcome.model_version is not None and outcome.threshold is not None:
        rows["Model"] = f"`{outcome.model_version}`"
        rows["Threshold"] = f"{outcome.threshold:.3f} ({outcome.operating_point})"
    if outcome.target_flag_rate is not None:
        rows["To be flagged"] = f"{outcome.target_flag_rate:.2%}"
    if outcome.false_positive_rate is not None:
        rows["False-positive rate"] = f"{outcome.false_positive_rate:.2%} of those labelled normal"
    if outcome.drifted:
        rows["Drifted"] = ", ".join(f"`{name}`" for name in outcome.drifted)
    if outcome.exit_code:
        rows["Status"] += f": {escape(outcome.message)}"
    return rows


def _stages(costs: Mapping[str, Cost]) -> list[str]:
    """Render what each stage used."""
    return [
        "| stage | wall s | CPU s | own peak MB | peak MB of the process |",
        "| --- | ---: | ---: | ---: | ---: |",
        *(
            f"| {stage} | {cost.wall_s:.1f} | {cost.cpu_s:.1f} | {_megabytes(cost.own_peak_mb)} "
            f"| {_megabytes(cost.peak_mb)} |"
            for stage, cost in costs.items()
        ),
    ]


def _reports(reports: Sequence[Path], host: str) -> list[str]:
    """Say how to open files of the machine that ran the batch: a browser opens no path of it."""
    files = [shlex.quote(str(report)) for report in reports]
    copies = [shlex.quote(f"{host}:{report}") for report in reports]
    return [
        f"On {escape(host)}, which ran this:",
        "",
        *_typed(*(f"xdg-open {file}" for file in files)),
        "",
        "From another machine:",
        "",
        *_typed(f"scp {' '.join(copies)} ."),
    ]


def _typed(*commands: str) -> list[str]:
    """Render commands to be typed; nothing in them is markup."""
    fence = "~" * 8
    return [f"{fence}sh", *(printable(command, len(command)) for command in commands), fence]


def _megabytes(value: float | None) -> str:
    """Write an amount of memory; a dash where it is not known."""
    return "-" if value is None else f"{value:,.0f}"


def night_markdown(night: NightOutcome) -> str:
    """Render the summary of a night."""
    lines = ["# Night", "", night.summary, ""]
    if night.files:
        lines += ["| file | date | status | read | scored | quarantined | flagged |"]
        lines += ["| --- | --- | --- | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {escape(one.file_name)} | {one.batch_date} | {one.status} | {one.rows_read:,} "
            f"| {one.rows_scored:,} | {one.rows_quarantined:,} | {one.rows_flagged or 0:,} |"
            for one in night.files
        ]
    unscored = [one for one in night.files if one.is_unscored]
    if unscored:
        lines += ["", "## Not scored", ""]
        lines += [f"- {escape(one.file_name)}: {escape(one.message)}" for one in unscored]
    if night.open_rejections:
        lines += ["", "## Rejected earlier, and open", ""]
        lines += [f"- {escape(one.says)}" for one in night.open_rejections]
        lines += ["", f"{escape(night.advice)}."]
    if night.skipped:
        lines += ["", "## Left for next time", ""]
        lines += [f"- {escape(one.file_name)}: {escape(one.reason)}" for one in night.skipped]
    return "\n".join(lines)


def training_markdown(outcome: TrainingOutcome) -> str:
    """Render what a training came to."""
    fit = outcome.fit
    place = "champion" if outcome.is_champion else "challenger"
    lines = [
        f"# {outcome.model_version}",
        "",
        f"{place}, fitted on {plural(fit.rows, 'connection')}",
        "",
    ]
    metrics = fit.metrics
    if metrics.known is not None:
        lines += ["## Rows held out of the fit (random split)", ""]
        lines += points_table(metrics.known.operating_points)
        lines += ["", f"ROC AUC {_figure(metrics.known.roc_auc)}"]
    for made_from, unknown in (
        (metrics.unknown_made_from, metrics.unknown),
        ("name", metrics.unknown_attacks),
    ):
        if not unknown:
            continue
        lines += ["", f"## Attacks held out, by {made_from}", ""]
        lines += ["Recall, and the false-positive rate at the same threshold:", ""]
        lines += ["| kind | rows | ROC AUC | default | low_alert | p50 |"]
        lines += ["| --- | ---: | ---: | ---: | ---: | ---: |"]
        lines += [
            f"| {escape(kind)} | {held_out.rows:,} | {_figure(held_out.roc_auc)} "
            f"| {held_out.recall_default:.4f} at {held_out.false_positive_rate_default:.4f} "
            f"| {held_out.recall_low_alert:.4f} at {held_out.false_positive_rate_low_alert:.4f} "
            f"| {held_out.recall_p50:.4f} at {held_out.false_positive_rate_p50:.4f} |"
            for kind, held_out in unknown.items()
        ]
    if metrics.mixed:
        title = f"## To expect where {NOVEL_SHARE:.0%} of the attacks are of a kind never met"
        lines += ["", title, "", *points_table(metrics.mixed)]
    if outcome.advisories:
        lines += ["", "## Reported, not refused", ""]
        lines += [f"- {escape(advisory)}" for advisory in outcome.advisories]
    return "\n".join(lines)


def retraining_markdown(outcome: RetrainOutcome) -> str:
    """Render what a retraining decided, with the evidence."""
    nights = ", ".join(f"{night}" for night in outcome.judged_nights) or "none"
    lines = ["# Retraining", "", f"**{escape(outcome.message)}**", ""]
    lines += ["| | |", "| --- | --- |"]
    lines += [f"| Fitted on | {plural(outcome.rows_fit, 'connection')} |"]
    lines += [f"| Judged by | {plural(outcome.rows_judged, 'labelled connection')} |"]
    lines += [f"| Left out as copies of rows fitted on | {outcome.rows_seen:,} |"]
    lines += [f"| Nights judged by | {nights} |", ""]
    lines += ["| recipe | version | decision |", "| --- | --- | --- |"]
    lines += [
        f"| {escape(one.recipe)} | {escape(one.model_version or '-')} | **{one.decision}** |"
        for one in outcome.decisions
    ]
    for one in outcome.decisions:
        lines += ["", f"## {escape(one.recipe)}", "", f"{one.decision}: {escape(one.reason)}"]
        if one.verdict is not None:
            lines += ["", *_verdict_lines(one.verdict)]
    if outcome.notes:
        lines += ["", "## Not used", ""]
        lines += [f"- {escape(note)}" for note in outcome.notes]
    return "\n".join(lines)


def _verdict_lines(verdict: Verdict) -> list[str]:
    """Render what the gate asked of a challenger, and each comparison."""
    lines = [
        f"- {check.name}: {'passed' if check.is_passed else '**not passed**'}, {escape(check.says)}"
        for check in verdict.checks
    ]
    title = f"| evidence | rows | attacks | found by champion | by challenger | gain | {RATES} |"
    lines += ["", title, "| --- | ---: | ---: | ---: | ---: | --- | --- |"]
    lines += [
        f"| {one.name} | {one.rows:,} | {one.attacks:,} "
        f"| {_figure(one.champion)} | {_figure(one.challenger)} | {_difference(one.gain)} "
        f"| {_difference(one.false_positives)} |"
        for one in verdict.comparisons
    ]
    for one in verdict.comparisons:
        for role, points in one.points.items():
            lines += ["", f"The {role} on {one.name}:", "", *points_table(points)]
    return lines


def _difference(interval: Interval | None) -> str:
    """Write a difference with its interval; a dash where it is not defined."""
    if interval is None:
        return "-"
    return f"{interval.value:+.4f} ({interval.low:+.4f} to {interval.high:+.4f})"


def points_table(points: Mapping[str, OperatingPoint]) -> list[str]:
    """Render operating points, one a row: accuracy never without the false alarms."""
    return [
        "| operating point | threshold | accuracy | false-positive rate (95 %) | recall | F1 |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        *(
            f"| {name} | {point.threshold:.3f} | {_figure(point.accuracy)} "
            f"| {_figure(point.false_positive_rate)}{_interval(point)} "
            f"| {_figure(point.recall)} | {_figure(point.f1)} |"
            for name, point in points.items()
        ),
    ]


def _interval(point: OperatingPoint) -> str:
    """Write the interval of a false-positive rate in brackets; nothing where there is none."""
    if point.false_positive_rate_interval is None:
        return ""
    low, high = point.false_positive_rate_interval
    return f" ({low:.4f} to {high:.4f})"


def _figure(value: float | None) -> str:
    """Write a ratio; a dash where it is not defined."""
    return "-" if value is None else f"{value:.4f}"


def _share(part: int, whole: int) -> str:
    """Return a percentage in brackets, or nothing where there is no whole."""
    return f" ({part / whole:.1%})" if whole else ""
