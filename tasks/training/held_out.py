"""Scores of training rows by detectors that were not fitted on them, or on copies of them.

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
from tasks.training.members import fit_members, fit_supervised
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows


@dataclass(frozen=True)
class OutOfFoldScores:
    """Raw scores of every training row by detectors that were fitted on the other folds."""

    scores: Mapping[MemberName, Floats]
    """(n_rows,) for each detector; a model fitted without labels has no classifier."""
    one_class_as_new: Floats
    """(n_rows,), the one-class detector's score of an attack of a held-out group, where category
    values that only this group has count as unseen; for all other rows the same as in ``scores``.
    It depends on the grouping."""


@dataclass(frozen=True)
class HeldOutGroupScores:
    """A group of attacks and some normal rows, scored by a classifier fitted without both."""

    rows: npt.NDArray[np.intp]
    """(n_group,), positions of the group's rows among the training rows; those whose features occur
    among the rows that the classifier was fitted on are left out."""
    classifier: Floats
    """(n_group,), their log-odds."""
    normals: npt.NDArray[np.intp]
    """(n_normals,), positions of normal rows."""
    classifier_of_normals: Floats
    """(n_normals,), their log-odds, to which the tail of this classifier is fitted."""
    rows_shared: int = 0
    """Rows of the group left out because another group or a normal row has their features."""


def score_out_of_fold(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    groupings: Sequence[AttackGroups],
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> tuple[OutOfFoldScores, ...]:
    """Score every row by detectors that were fitted, encoder included, on the other folds.

    The one-class detector is fitted on normal rows, and so are the centres and scales of its
    inputs. Of attacks it knows only category values, as columns that are zero in every row it is
    fitted on. For ``one_class_as_new`` the values that only one group has are hidden as well. What
    is then left of the group is the width of the network that scores it.

    ``fold`` is (n_rows,), each row's fold; ``progress`` is called before each step.

    Returns:
        The scores for each grouping; only ``one_class_as_new`` differs.
    """
    raw: dict[MemberName, Floats] = {}
    as_new = [np.empty(rows.count) for _ in groupings]
    for held_out in range(options.folds):
        progress(f"scoring part {held_out + 1} of {options.folds} with a model of the others")
        within = fold == held_out
        members = fit_members(rows, ~within, options)
        encoder, one_class = members[-1].encoder, members[-1]
        encoded = encoder.encode(rows.features.filter(within))
        for member in members:
            raw.setdefault(member.name, np.empty(rows.count))[within] = member.score(encoded)
        for groups, scores in zip(groupings, as_new, strict=True):
            scores[within] = raw["one_class"][within]
            for group in groups.held_out:
                of_group = within & (groups.of_row == group)
                others = rows.features.filter(~within & ~groups.may_belong(group, rows.is_attack))
                hidden = _hide_unseen(rows.features.filter(of_group), others, rows)
                scores[of_group] = one_class.score(encoder.encode(hidden))
    return tuple(OutOfFoldScores(raw, scores) for scores in as_new)


def score_held_out_groups(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    groups: AttackGroups,
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> Mapping[str, HeldOutGroupScores]:
    """Score each group of attacks by a classifier fitted, encoder included, without the group.

    Attacks of no group are left out too: any of them may belong to it. Each of these classifiers
    is also fitted without one fold, so that its tail can be fitted to the normal rows of that fold:
    these are the steps of the final model, on rows without the group. The one-class detector needs
    no such fit; see ``score_out_of_fold``, whose arguments these are.

    Returns:
        The scores of each held-out group that has a row whose features no other row has.
    """
    scores = {}
    for index, group in enumerate(groups.held_out):
        progress(f"scoring {group} attacks with a classifier that never saw any")
        of_group = groups.of_row == group
        within = fold == index % options.folds
        fitted_on = ~groups.may_belong(group, rows.is_attack) & ~within
        is_new = of_group & ~np.isin(rows.alike, rows.alike[fitted_on])
        if not is_new.any():
            continue
        classifier = fit_supervised(rows, fitted_on, options)
        normal = within & ~rows.is_attack
        scores[group] = HeldOutGroupScores(
            rows=np.flatnonzero(is_new),
            classifier=_score(classifier, rows, is_new),
            normals=np.flatnonzero(normal),
            classifier_of_normals=_score(classifier, rows, normal),
            rows_shared=int(of_group.sum() - is_new.sum()),
        )
    return scores


def _score(classifier: Member, rows: TrainingRows, keep: Mask) -> Floats:
    return classifier.score(classifier.encoder.encode(rows.features.filter(keep)))


def _hide_unseen(frame: pl.DataFrame, known: pl.DataFrame, rows: TrainingRows) -> pl.DataFrame:
    """Replace category values that no known row has by null, which an encoder takes as unseen."""
    return frame.with_columns(
        pl.when(pl.col(column.name).is_in(known[column.name].unique().to_list())).then(column.name)
        for column in rows.columns
        if column.is_categorical
    )
