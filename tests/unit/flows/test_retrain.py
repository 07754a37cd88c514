"""Which contracts a retraining is about, and what is told of several."""

from pathlib import Path

import pytest
from prefect.states import Completed, Failed
from sqlalchemy import Engine

from expectations.errors import TrainingDataError, UsageError
from flows.retrain import choose_contracts, collect_outcomes
from flows.settings import Settings
from flows.training_files import ListedFiles
from tasks.retraining.decide import RetrainOutcome
from tests.unit.storage.conftest import register

DATABASES = ("sqlite",)

OUTCOME = RetrainOutcome(
    champion_before="nsl_kdd-a",
    champion_now="nsl_kdd-a",
    decisions=(),
    rows_fit=1,
    rows_judged=1,
    rows_seen=0,
    judged_nights=(),
    notes=(),
)


def listed(*contracts: str) -> ListedFiles:
    """Return a file of each contract."""
    return ListedFiles({name: (Path(f"{name}.csv"),) for name in contracts}, (), ())


def test_without_a_champion_there_is_nothing_to_retrain(engine: Engine) -> None:
    with pytest.raises(UsageError, match=r"^There is no model yet\. Train one"):
        choose_contracts(Settings(), engine, listed("nsl_kdd"))


def test_every_contract_with_a_champion_and_labelled_rows_is_retrained(
    engine: Engine, tmp_path: Path
) -> None:
    register(engine, tmp_path)
    settings = Settings(home=tmp_path)
    assert choose_contracts(settings, engine, listed()) == ["nsl_kdd"], "the only one, as ever"
    register(engine, tmp_path, contract="argus")
    register(engine, tmp_path, contract="zeek")
    assert choose_contracts(settings, engine, listed("zeek", "nsl_kdd", "new")) == [
        "nsl_kdd",
        "zeek",
    ]
    with pytest.raises(TrainingDataError, match=r"no contract with a champion \(argus, nsl_kdd, z"):
        choose_contracts(settings, engine, listed("new"))
    said = settings.model_copy(update={"contract": "argus"})
    assert choose_contracts(said, engine, listed("zeek")) == ["argus"]


def test_a_contract_that_fails_does_not_hide_the_others() -> None:
    refused = TrainingDataError("Cannot retrain: no labelled rows")
    told = collect_outcomes(
        {
            "nsl_kdd": Completed(data=OUTCOME),
            "argus": Failed(message=str(refused), data=refused),
        }
    )
    assert told.outcomes == {"nsl_kdd": OUTCOME}
    assert told.failures == {"argus": "Cannot retrain: no labelled rows"}
    assert told.exit_code == 3
    assert told.message == (
        "nsl_kdd: nsl_kdd-a stays champion: no challenger was certainly better;"
        " argus failed: Cannot retrain: no labelled rows"
    )
    assert collect_outcomes({"nsl_kdd": Completed(data=OUTCOME)}).exit_code == 0
