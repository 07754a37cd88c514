"""Scores of training rows by detectors that were not fitted on them, or on anything like them.

Belongs here: fitting on part of the rows to score the rest, with single rows or whole groups of
attacks held out. Does not belong here: what is concluded from the scores (``calibration``,
``assessment``).
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import polars as pl

from tasks.arrays import Floats, Mask
from tasks.detectors.member import Member, MemberName
from tasks.training.attack_groups import AttackGroups
from tasks.training.members import fit_members, fit_supervised, roles_of
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows


@dataclass(frozen=True)
class OutOfFoldScores:
    """Raw scores of every training row by detectors not fitted on it; (n_rows,) each."""

    scores: Mapping[MemberName, Floats]
    """Of each detector; a model fitted without labels has no classifier."""
    one_class_as_new: Floats
    """For attacks of a held-out kind: the score where category names that nothing but that kind
    has count as unseen. For all other rows that of ``scores``. So it belongs to a division."""


@dataclass(frozen=True)
class HeldOutGroupScores:
    """A kind of attack, and some normals, as a classifier scores them that met neither."""

    rows: npt.NDArray[np.intp]
    """(n_kind,), the positions of its rows among the training rows, without those whose features
    occur among the rows that the classifier was fitted on."""
    classifier: Floats
    """(n_kind,), their log-odds."""
    normals: npt.NDArray[np.intp]
    """(n_normals,), positions of normal rows."""
    classifier_of_normals: Floats
    """(n_normals,), their log-odds: what the tail of this classifier is fitted to."""
    rows_shared: int = 0
    """Rows of the kind left out, because another kind or a normal row has their features."""


def score_out_of_fold(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    divisions: Sequence[AttackGroups],
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> tuple[OutOfFoldScores, ...]:
    """Score every row by detectors that were fitted, encoder included, on the other folds.

    The one-class detector learns from normal rows, and so do the centres and scales of its inputs.
    Of attacks it knows nothing but category names, as columns that are zero in every row it learns
    from; for ``one_class_as_new`` a kind's own names are hidden as well. All that is then left of a
    kind in a network that scores it is how many columns its initial weights were drawn for.

    Args:
        rows: all training rows.
        fold: (n_rows,), each row's fold.
        divisions: which attacks are of which kind, in one way or several.
        options: how the detectors are fitted.
        progress: told what is done.

    Returns:
        The scores for each division; only ``one_class_as_new`` differs.
    """
    raw: dict[MemberName, Floats] = {role: np.empty(rows.count) for role in roles_of(rows)}
    as_new = [np.empty(rows.count) for _ in divisions]
    for held_out in range(options.folds):
        progress(f"scoring part {held_out + 1} of {options.folds} with a model of the others")
        judged = fold == held_out
        members = fit_members(rows, ~judged, options)
        encoder, one_class = members[-1].encoder, members[-1]
        encoded = encoder.encode(rows.features.filter(judged))
        for member in members:
            raw[member.name][judged] = member.score(encoded)
        for kinds, scores in zip(divisions, as_new, strict=True):
            scores[judged] = raw["one_class"][judged]
            for kind in kinds.held_out:
                is_kind = kinds.of_row == kind
                others = rows.features.filter(~judged & ~kinds.may_be(kind, rows.is_attack))
                alien = _hide_unknown(rows.features.filter(judged & is_kind), others, rows)
                scores[judged & is_kind] = one_class.score(encoder.encode(alien))
    return tuple(OutOfFoldScores(raw, scores) for scores in as_new)


def score_held_out_groups(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    kinds: AttackGroups,
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> Mapping[str, HeldOutGroupScores]:
    """Score each kind of attack by a classifier fitted, encoder included, without any of it.

    Attacks of no kind are left out too: any of them may be of this one.

    Each of these classifiers is also kept from one fold, whose normals its tail can be fitted to:
    the same steps as for the final model, with one kind of attack erased from the past. The
    one-class detector needs no such fit; see ``score_out_of_fold``.

    Args:
        rows: all training rows.
        fold: (n_rows,), each row's fold.
        kinds: which attacks are of which kind.
        options: how the classifiers are fitted.
        progress: told what is done.

    Returns:
        The scores of each held-out kind that has a row unlike all that others have.
    """
    scores = {}
    for index, kind in enumerate(kinds.held_out):
        progress(f"scoring {kind} attacks with a classifier that never saw any")
        is_kind = kinds.of_row == kind
        judged = fold == index % options.folds
        taught = ~kinds.may_be(kind, rows.is_attack) & ~judged
        is_new = is_kind & ~np.isin(rows.alike, rows.alike[taught])
        if not is_new.any():
            continue
        classifier = fit_supervised(rows, taught, options)
        normal = judged & ~rows.is_attack
        scores[kind] = HeldOutGroupScores(
            rows=np.flatnonzero(is_new),
            classifier=_score(classifier, rows, is_new),
            normals=np.flatnonzero(normal),
            classifier_of_normals=_score(classifier, rows, normal),
            rows_shared=int(is_kind.sum() - is_new.sum()),
        )
    return scores


def _score(classifier: Member, rows: TrainingRows, keep: Mask) -> Floats:
    return classifier.score(classifier.encoder.encode(rows.features.filter(keep)))


def _hide_unknown(frame: pl.DataFrame, known: pl.DataFrame, rows: TrainingRows) -> pl.DataFrame:
    """Empty the categories of a frame that no known row has; to an encoder they are unseen."""
    return frame.with_columns(
        pl.when(pl.col(column.name).is_in(known[column.name].unique().to_list())).then(column.name)
        for column in rows.columns
        if column.is_categorical
    )
