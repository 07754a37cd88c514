"""What the artifact of a retraining says."""

from datetime import date

from tasks.evaluation.metrics import FlagMetrics
from tasks.reporting.models import render_retraining
from tasks.retraining.comparison import MetricChange, ModelComparison
from tasks.retraining.decide import ChallengerDecision, RetrainOutcome
from tasks.retraining.gate import GateCheck, GateResult

POINT = FlagMetrics(
    threshold=1.25, accuracy=0.5, precision=0.2, recall=None, f1=0.1, false_positive_rate=0.01,
    false_positive_rate_interval=(0.001, 0.02), flag_rate=0.1,
)  # fmt: skip
COMPARED = ModelComparison(
    source="held_out_families", made_from="family", rows=4_000, attacks=900, distinct_normals=3_000,
    distinct_attacks=900, champion=0.5, challenger=None,
    gain=MetricChange(value=0.1, low=-0.01, high=0.2), f1=None, false_positives=None, families={},
    families_flagged={}, points={"champion": {"default": POINT}},
)  # fmt: skip
CHECKS = (
    GateCheck(name="gain", is_passed=True, says="it finds more"),
    GateCheck(name="families", is_passed=False, says="it loses <b>"),
)


def test_a_retraining_shows_each_decision_and_its_comparisons() -> None:
    weighed = GateResult(is_better=False, reason="it loses", checks=CHECKS, comparisons=(COMPARED,))
    refused = ChallengerDecision(
        recipe="refit", model_version="nsl_kdd-2", decision="refused", reason="it loses",
        verdict=weighed,
    )  # fmt: skip
    failed = ChallengerDecision(
        recipe="wide", model_version=None, decision="failed", reason="no rows", verdict=None
    )
    page = render_retraining(
        RetrainOutcome(
            champion_before="nsl_kdd-1",
            champion_now="nsl_kdd-1",
            decisions=(refused, failed),
            rows_fit=1_234,
            rows_judged=1,
            rows_seen=1_000,
            judged_nights=(date(2026, 11, 20),),
            notes=("n.csv: no labels",),
        )
    )
    expected = """\
| Tested on | 1 labelled connection |
| Left out as copies of rows fitted on | 1,000 |
| Nights tested on | 2026-11-20 |

| recipe | version | decision |
| --- | --- | --- |
| refit | nsl_kdd-2 | **refused** |
| wide | - | **failed** |

## refit

refused: it loses

- gain: passed, it finds more
- families: **not passed**, it loses \\<b>
"""
    assert expected in page
    assert "| attacks held out by family | 4,000 | 900 | 0.5000 | - | +0.1000 (-0.0100 to" in page
    assert "The champion on attacks held out by family:\n\n| operating point |" in page
    assert "| default | 1.250 | 0.5000 | 0.0100 (0.0010 to 0.0200) | - | 0.1000 |" in page
    assert page.endswith("## wide\n\nfailed: no rows\n\n## Not used\n\n- n.csv: no labels")
