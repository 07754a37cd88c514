"""What artifacts say, and that text from outside renders as text only."""

import re
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from storage.cost import Cost
from storage.text import printable
from tasks.reporting.markdown import escape, table_cell
from tasks.reporting.models import render_training
from tasks.reporting.night import describe_file, render_batch, render_night
from tasks.reporting.outcomes import FileOutcome, NightOutcome, OpenRejection, SkippedFile
from tasks.training.fit import FitSummary
from tasks.training.register import TrainingOutcome

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])
BARE_ADDRESS = re.compile(r"https?://|ftp://|www\.|[a-z0-9]@[a-z0-9]", re.IGNORECASE)
ATTACK = (
    "![x](http://evil.example/p.png) [log in](https://evil.example) <img src=x onerror=alert(1)>"
    " www.evil.example a@evil.example | `code` **b** _i_ ~~d~~ &lt; \x1b[2J \u202e"
)


def tokens(markdown: str) -> list[Token]:
    """Return all tokens that render, without the paragraphs around them."""
    return [
        token
        for block in RENDERER.parse(markdown)
        for token in (block.children or [block])
        if not token.type.startswith("paragraph")
    ]


def rendered(markdown: str) -> str:
    """Render Markdown that must be text only; anything else fails."""
    found = tokens(markdown)
    assert {token.type for token in found} <= {"text", "text_special"}
    return "".join(token.content for token in found)


def outcome(**changes: Any) -> FileOutcome:  # noqa: ANN401 - any field
    made = FileOutcome(
        file_name="night.csv", batch_date=date(2026, 11, 20), status="scored", message="done"
    )
    return made.model_copy(update=changes)


@pytest.mark.parametrize(
    ("text", "markdown"),
    [
        ("src_bytes: 1.7 is above 1, in [0, 1]", r"src_bytes: 1.7 is above 1, in \[0, 1]"),
        ("conn_2026-11-20.csv.gz", "conn_2026-11-20.csv.gz"),
        ("-5", "-5"),
        ("__init__ a_b _c_", r"\_\_init\_\_ a_b \_c\_"),
        ("- item", r"\- item"),
        ("# title", r"\# title"),
        ("> 5", r"\> 5"),
        ("12. night", r"12\. night"),
        ("http://evil.example/a", r"http\[:]//evil.example/a"),
        ("WWW.evil.example", r"WWW\[.]evil.example"),
        ("root@host", r"root\[@]host"),
        ("a\nb\tc", r"a\\nb\\tc"),
        ("", ""),
    ],
)
def test_text_is_escaped_no_more_than_necessary(text: str, markdown: str) -> None:
    assert escape(text) == markdown


def without_links(line: str) -> str:
    """Put brackets around the character that makes a link, one character at a time."""
    written = ""
    for index, one in enumerate(line):
        before, after = line[:index], line[index + 1 :]
        is_scheme = one == ":" and after.startswith("//")
        is_host = one == "." and before.lower().endswith("www")
        is_mail = (
            one == "@"
            and re.match(r"[\w.+-]", before[-1:]) is not None
            and re.match(r"[\w-]", after) is not None
        )
        written += f"[{one}]" if is_scheme or is_host or is_mail else one
    return written


@given(st.text(alphabet="ab1 _*`~[]()<>!|\\#+-.:/@&;wW=\x1b\u202e\udcff", max_size=40))
def test_escaped_text_renders_as_itself_without_links(text: str) -> None:
    line = " ".join(printable(text).split())
    assert rendered(escape(text)) == without_links(line)
    assert not BARE_ADDRESS.search(without_links(line))


@pytest.mark.parametrize("value", [ATTACK, [{"feature": ATTACK, "observed": ATTACK, "expected": 0}],
                                   {"service": ATTACK}])  # fmt: skip
def test_a_table_cell_is_text_to_a_browser(value: object) -> None:
    shown = table_cell(value)
    assert isinstance(shown, str)
    assert not BARE_ADDRESS.search(rendered(shown))
    assert shown.isprintable()


def test_reasons_name_a_feature_once_with_its_larger_weight() -> None:
    reasons = [
        {"feature": "flag", "observed": "S0", "expected": "SF"},
        {"feature": "count", "observed": "9", "expected": "1"},
        {"feature": "flag", "observed": "S0", "expected": "REJ"},
    ]
    assert table_cell(reasons) == "flag S0 (expected SF); count 9 (expected 1)"


@pytest.mark.parametrize(
    ("value", "shown"), [(3, 3), (True, True), (None, None), (0.123456789, 0.12346), (1e-9, 1e-9)]
)
def test_numbers_stay_numbers(value: object, shown: object) -> None:
    assert table_cell(value) == shown
    assert type(table_cell(value)) is type(shown)


def test_no_name_and_no_reason_renders_as_markup() -> None:
    bad = outcome(
        file_name=ATTACK, status="rejected", message=ATTACK, exit_code=3, advisories=(ATTACK,)
    )
    skipped = SkippedFile(file_name=ATTACK, reason=ATTACK)
    night = render_night(NightOutcome(files=(bad,), skipped=(skipped,)))
    for page in (render_batch(bad), night, describe_file(bad, bad.message)):
        active = {token.type for token in tokens(page)} & {
            "image", "link_open", "html_inline", "html_block", "em_open", "s_open",
        }  # fmt: skip
        assert not active
        assert not BARE_ADDRESS.search(page)
        assert all(line.isprintable() for line in page.splitlines())
    rows = [line for line in night.splitlines() if line.startswith("| ")]
    assert [len(re.findall(r"(?<!\\)\|", row)) for row in rows] == [8, 8, 8]


def test_a_night_of_several_contracts_names_that_of_each_file() -> None:
    files = [outcome(contract=name) for name in ("nsl_kdd", "argus", "unrecognised")]
    one = render_night(NightOutcome(files=(files[0], files[2])))
    assert "contract" not in one
    several = render_night(NightOutcome(files=tuple(files)))
    rows = [line.split(" | ")[2] for line in several.splitlines() if line.startswith("| ")]
    assert rows == ["contract", "---", "nsl_kdd", "argus", "unrecognised"]


def test_a_file_name_that_is_not_utf8_shows_as_it_is_stored() -> None:
    named = FileOutcome(
        file_name="n\udcff.csv",
        batch_date=date(2026, 11, 20),
        status="failed",
        message="Cannot read n\udcff.csv: gone",
        exit_code=3,
    )
    night = NightOutcome(
        files=(named,), skipped=(SkippedFile(file_name="\udcff", reason="hidden"),)
    )
    assert night.files[0].file_name == r"n\xff.csv"
    assert night.message.endswith(r"n\xff.csv: Cannot read n\xff.csv: gone")
    assert r"\\xff: hidden" in render_night(night)


def test_the_summary_of_a_batch_shows_its_counts_and_rates() -> None:
    page = render_batch(
        outcome(
            batch_id="0123456789abcdef",
            rows_read=2_000,
            rows_scored=1_999,
            rows_quarantined=1,
            rows_flagged=20,
            model_version="nsl_kdd-1",
            operating_point="default",
            threshold=2.5,
            target_flag_rate=0.0312,
            false_positive_rate=0.05,
            drifted=("src_bytes", "count"),
        )
    )
    assert page.startswith("# night.csv\n")
    for row in (
        "| Batch | `0123456789ab` |",
        "| Rows read | 2,000 |",
        "| Flagged | 20 (1.0%) |",
        "| Threshold | 2.500 (default) |",
        "| Target flag rate | 3.12% |",
        "| False-positive rate | 5.00% of the rows labelled normal |",
        "| Drifted | `src_bytes`, `count` |",
    ):
        assert row in page


def test_a_training_shows_the_advisories_of_its_files(tiny_fit: tuple[Path, FitSummary]) -> None:
    trained = TrainingOutcome(
        model_version="nsl_kdd-1", is_champion=True, fit=tiny_fit[1], rows_quarantined=0
    )
    assert "Reported" not in render_training(trained)
    reported = trained.model_copy(update={"advisories": ("n.csv: attack: 1 row, such as '<b>'",)})
    page = render_training(reported)
    assert page.endswith("## Reported, not refused\n\n- n.csv: attack: 1 row, such as '\\<b>'")


def test_reports_are_commands_that_can_be_typed() -> None:
    reports = (Path("/var/lib/my home/validation.html"), Path("/lake/drift.html"))
    page = render_batch(outcome(reports=reports), "sensor-db")
    assert (
        "## Reports\n\nOn sensor-db, which ran this batch:\n\n~~~~~~~~sh\n"
        "xdg-open '/var/lib/my home/validation.html'\nxdg-open /lake/drift.html\n~~~~~~~~\n\n"
        "From another machine:\n\n~~~~~~~~sh\n"
        "scp 'sensor-db:/var/lib/my home/validation.html' sensor-db:/lake/drift.html .\n~~~~~~~~"
    ) in page
    assert not {token.type for token in tokens(page)} & {"link_open", "html_block", "html_inline"}


def test_a_rejected_batch_says_what_to_do() -> None:
    page = render_batch(
        outcome(status="rejected", message="empty", exit_code=3, batch_id="0123456789abcdef")
    )
    assert "noctule replay 0123456789ab [FILE]\nnoctule dismiss 0123456789ab --reason WHY\n" in page
    assert "What to do" not in render_batch(outcome())


def test_a_stage_shows_its_own_memory_beside_that_of_the_process() -> None:
    costs = {
        "score": Cost(wall_s=2.0, cpu_s=3.0, own_peak_mb=90.4, peak_mb=1_650.2),
        "store": Cost(wall_s=0.1, cpu_s=0.1, peak_mb=700.0),
    }
    page = render_batch(outcome(costs=costs))
    assert page.endswith(
        "| stage | wall s | CPU s | own peak MB | peak MB of the process |\n"
        "| --- | ---: | ---: | ---: | ---: |\n"
        "| score | 2.0 | 3.0 | 90 | 1,650 |\n"
        "| store | 0.1 | 0.1 | - | 700 |"
    )


def test_a_file_that_was_scored_before_is_not_among_those_not_scored() -> None:
    scored = outcome(status="known", message="scored before, on 2026-11-20")
    rejected = outcome(file_name="bad.csv", status="known", message="rejected before", exit_code=3)
    settled = outcome(file_name="old.csv", status="known", message="rejected before, dismissed")
    page = render_night(NightOutcome(files=(scored, rejected, settled)))
    assert page.endswith("## Not scored\n\n- bad.csv: rejected before")
    assert "Not scored" not in render_night(NightOutcome(files=(scored,)))


def test_each_night_lists_open_rejections_up_to_a_number() -> None:
    opened = tuple(
        OpenRejection(
            batch_id=f"{number:012d}" + "0" * 52,
            batch_date=date(2026, 11, 20),
            file_name=f"{number}.csv",
            rejection="x" * 500,
            source_path=f"/inbox/{number}.csv",
            arrived_at=datetime(2026, 11, 21, tzinfo=UTC),
        )
        for number in range(7)
    )
    night = NightOutcome(open_rejections=opened)
    assert night.exit_code == 3
    assert night.summary == "no new file; 7 earlier rejections open"
    assert f"; open: 0.csv (2026-11-20, batch 000000000000): {'x' * 200}...; open: 1" in (
        night.message
    )
    assert "; and 2 more, see `noctule batches`; a rejected file is open until" in night.message
    assert night.message.endswith("dismissed (noctule dismiss BATCH --reason WHY)")
    page = render_night(night)
    assert page.count("\n- ") == 7
    assert NightOutcome(open_rejections=opened[:1]).message.endswith(
        "(noctule replay 000000000000) or dismissed (noctule dismiss 000000000000 --reason WHY)"
    )
    bug = outcome(status="failed", message="a bug", exit_code=1)
    assert NightOutcome(files=(bug,), open_rejections=opened).exit_code == 1
