"""The ``noctule`` commands about models: to train, evaluate and choose them.

Belongs here: arguments, and one call of the function that does the work. Does not belong here: the
other commands (``flows.cli.commands``), or the work itself. Nothing heavy is imported at the top,
so that ``noctule --help`` answers at once.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from flows.cli.options import (
    AsJson,
    ChosenContract,
    ContractName,
    Limit,
    OfContract,
    Reason,
    quiet_settings,
    require_names,
    settings_of_flows,
)
from flows.cli.printing import print_json, say
from tasks.detectors.names import ClassifierName, OneClassName
from tasks.features.names import SelectionName

if TYPE_CHECKING:
    from tasks.intake.label_words import LabelReading

model_commands = typer.Typer()

Model = Annotated[
    str | None, typer.Option("--model", "-m", help="Model version. Default: the champion.")
]
Label = Annotated[
    str | None,
    typer.Option(
        help="Column that says which connections are attacks.", show_default="class or attack"
    ),
]
Normal = Annotated[
    list[str] | None,
    typer.Option(
        help="Value of that column that means normal. Repeat it for several values.",
        show_default="normal",
    ),
]


@model_commands.command()
def train(  # noqa: PLR0913 - each is an option of the command
    files: Annotated[list[Path], typer.Argument(help="Labelled files, or folders of them.")],
    *,
    selection: Annotated[
        SelectionName,
        typer.Option("--select", help="What the classifier reads instead of all features."),
    ] = "none",
    top_k: Annotated[
        int | None,
        typer.Option(
            min=1, help="Columns that --select gives.", show_default="50; for autoencoder 25"
        ),
    ] = None,
    classifier: Annotated[
        ClassifierName,
        typer.Option(help="The detector that is fitted on all classes."),
    ] = "lightgbm",
    one_class: Annotated[
        OneClassName, typer.Option(help="The detector that is fitted on normal traffic.")
    ] = "autoencoder",
    label: Label = None,
    normal: Normal = None,
    contract: ContractName = None,
    unlabelled: Annotated[
        bool,
        typer.Option(
            "--unlabelled", help="Treat every connection of files without labels as normal."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Fit, evaluate and register a model. The first one becomes champion."""
    from expectations.errors import UsageError

    if top_k is not None and selection in {"none", "uncorrelated"}:
        message = (
            f"Cannot use --top-k {top_k} with --select {selection}: it is the number of columns"
            " that --select forest, rfe, pca or autoencoder gives. Add one of these, or leave out"
            " --top-k"
        )
        raise UsageError(message)
    asked = _ask_labels(label, normal, is_unlabelled=unlabelled)
    settings = quiet_settings(contract=contract)
    from flows.training_files import choose_training_labels, list_labelled, require_files

    require_names(files)
    found = require_files(list_labelled(settings, files), files)  # fails before slow work begins
    choose_training_labels(settings, found, asked, is_unlabelled=unlabelled)
    settings_of_flows(contract=contract)
    from flows.cli.flow_runs import run_training
    from flows.cli.outcomes import show_training

    outcome = run_training(
        settings,
        files,
        selection,
        top_k,
        classifier,
        one_class,
        asked,
        is_unlabelled=unlabelled,
    )
    if as_json:
        print_json(outcome.model_dump(mode="json"))
    else:
        show_training(outcome)


@model_commands.command()
def retrain(
    *,
    label: Label = None,
    normal: Normal = None,
    contract: OfContract = None,
    as_json: AsJson = False,
) -> None:
    """Fit challengers on labelled batches, and promote one that is certainly better."""
    asked = _ask_labels(label, normal)
    settings = settings_of_flows(contract=contract)
    from flows.cli.flow_runs import run_retraining
    from flows.cli.outcomes import show_retraining

    outcome = run_retraining(settings, asked)
    if as_json:
        print_json({**outcome.model_dump(mode="json"), "message": outcome.message})
    else:
        show_retraining(outcome)
    if outcome.exit_code:
        raise typer.Exit(outcome.exit_code)


@model_commands.command()
def evaluate(
    file: Annotated[Path, typer.Argument(help="A labelled file.")],
    *,
    model: Model = None,
    label: Label = None,
    normal: Normal = None,
    contract: ContractName = None,
    as_json: AsJson = False,
) -> None:
    """Score a labelled file, and show how good the scores are. Nothing is stored."""
    asked = _ask_labels(label, normal)
    settings = settings_of_flows(contract=contract)
    from flows.cli.evaluate import run_evaluation
    from flows.cli.evaluations import show_evaluation

    evaluation = run_evaluation(settings, file, model, asked)
    if as_json:
        print_json(evaluation.model_dump(mode="json"))
    else:
        show_evaluation(evaluation)


@model_commands.command()
def thresholds(
    *,
    model: Model = None,
    nights: Annotated[int, typer.Option(min=1, help="Number of latest nights to count.")] = 14,
    contract: ChosenContract = None,
    as_json: AsJson = False,
) -> None:
    """Show how many alerts per night each operating point and rate would give."""
    settings = settings_of_flows(contract=contract)
    from flows.cli.threshold_preview import show_thresholds

    show_thresholds(settings, model, nights, as_json=as_json)


@model_commands.command()
def study(
    file: Annotated[Path, typer.Argument(help="A labelled file.")],
    *,
    out: Annotated[Path, typer.Option(help="Folder for the report.")] = Path(),
    beside: Annotated[
        Path | None, typer.Option(help="Another file, whose columns are compared with FILE's.")
    ] = None,
    jobs: Annotated[
        int | None,
        typer.Option(min=1, help="Processes that fit at once.", show_default="one per core"),
    ] = None,
    label: Label = None,
    normal: Normal = None,
    contract: ContractName = None,
    as_json: AsJson = False,
) -> None:
    """Compare all selections and detectors on a labelled file; write a page and its data."""
    asked = _ask_labels(label, normal)
    settings = settings_of_flows(contract=contract)
    from flows.cli.study import run_study
    from flows.cli.study_tables import show_study

    studied = run_study(settings, file, out, beside, jobs or os.cpu_count() or 1, asked)
    if as_json:
        print_json(studied.report.model_dump(mode="json"))
    else:
        show_study(studied)


@model_commands.command()
def models(*, contract: OfContract = None, limit: Limit = 20, as_json: AsJson = False) -> None:
    """Show model versions, and when each was champion."""
    from flows.cli.views import show_models

    show_models(quiet_settings(), contract, limit, as_json=as_json)


@model_commands.command()
def promote(
    version: Annotated[str, typer.Argument(help="Model version that scores from now on.")],
    reason: Reason,
) -> None:
    """Make a model version the champion."""
    from flows.cli.decisions import promote_version

    say(promote_version(quiet_settings(), version, reason))


@model_commands.command()
def rollback(reason: Reason, *, contract: ChosenContract = None) -> None:
    """Make the previous champion champion again."""
    from flows.cli.decisions import roll_back

    say(roll_back(quiet_settings(contract=contract), reason))


def _ask_labels(
    label: str | None, normal: list[str] | None, *, is_unlabelled: bool = False
) -> "LabelReading":
    """Return what the options say about labels."""
    from tasks.evaluation.label_columns import ask_labels

    return ask_labels(label, normal, is_unlabelled=is_unlabelled)
