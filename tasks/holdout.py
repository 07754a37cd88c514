"""Scores of training rows by models that did not see them, or anything like them.

Belongs here: fitting on part of the rows to score the rest, with single rows or whole kinds of
attack held out. Does not belong here: what is concluded from the scores.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, model_validator

from expectations.contract import Contract
from expectations.errors import UsageError
from tasks.detectors.autoencoder_training import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.member import Member, form_of
from tasks.detectors.names import SelectionName
from tasks.detectors.registry import (
    CLASSIFIERS,
    ClassifierOptions,
    OneClassOptions,
    fit_classifier,
    fit_one_class,
)
from tasks.encode import Encoded, Encoder, Floats, Mask
from tasks.labels import family_of
from tasks.select import SIZES, fit_selection
from tasks.training_data import TrainingRows

KIND_MIN_ROWS = 30
"""Fewest attacks a kind must have to be held out, and to be left when another is: a guess; a
recall of fewer rows says little."""

MIN_NAMED = 0.5
"""Least share of the attacks that must have a name for the names to make the kinds: a guess. What
is fitted without a kind does without the nameless as well, so with few names it would know little.
"""

MAX_KINDS = 8
"""Most kinds held out, the largest first: each costs a fit."""

CLUSTERS = 5
"""Kinds made by clustering where too few attacks have a name: a guess, near the number of families
in the literature."""

CLUSTER_SAMPLE = 5_000
"""Attacks that clustering learns from; the others join the nearest centre."""

KindSource = Literal["family", "attack", "cluster"]


class TrainingOptions(BaseModel):
    """How a model is fitted."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    seed: int = 42
    """Seed of folds, trees, weights and samples."""
    threads: int = Field(default=1, ge=1)
    """Threads of the trees and of selection. The result is the same for any number."""
    folds: int = Field(default=4, ge=2, le=10)
    """Parts the rows are dealt into; each is scored by models fitted on the others. At most ten, so
    that a part of the smallest training file still holds five different normals."""
    selection: SelectionName = "none"
    """What the classifier reads instead of all features; see ``tasks.select``."""
    top_k: int | None = Field(default=None, ge=1)
    """Columns the selection gives; None for as many as it gives by itself."""
    classifier: ClassifierOptions = LightGBMOptions()
    """The supervised detector, and how it is fitted."""
    one_class: OneClassOptions = AutoencoderOptions()
    """The detector that knows only normal traffic, and how it is fitted."""

    @model_validator(mode="after")
    def _require_selection(self) -> "TrainingOptions":
        """Refuse a number of columns that nothing would follow, and provenance would tell of."""
        if self.top_k is not None and self.selection not in SIZES:
            message = (
                f"Cannot train with top_k={self.top_k} and selection={self.selection!r}: it is how "
                f"many columns {', '.join(SIZES)} give. Select by one of them, or leave out top_k"
            )
            raise UsageError(message)
        return self


@dataclass(frozen=True)
class Kinds:
    """The kinds of attack that are held out in turn."""

    made_from: KindSource
    """The attack's family, its own name, or clusters of the encoded attacks."""
    of_row: npt.NDArray[np.str_]
    """(n_rows,), the kind's name; empty for normal rows, and for attacks without a name."""
    held_out: tuple[str, ...]
    """The kinds large enough to be held out, largest first; may be empty."""

    def may_be(self, kind: str, is_attack: Mask) -> Mask:
        """Tell which rows must be kept from what is to know nothing of a kind.

        Those are its own and the attacks of no kind, each of which may be one more of it.
        """
        hidden: Mask = (self.of_row == kind) | (is_attack & (self.of_row == ""))
        return hidden


@dataclass(frozen=True)
class OutOfFold:
    """Raw scores of every training row by detectors not fitted on it; (n_rows,) each."""

    classifier: Floats
    """Log-odds."""
    one_class: Floats
    """In the detector's own unit."""
    one_class_as_new: Floats
    """For attacks of a held-out kind: the score where category names that nothing but that kind
    has count as unseen. For all other rows ``one_class``."""


@dataclass(frozen=True)
class KindScores:
    """A kind of attack, and some normals, as a classifier scores them that met neither."""

    rows: npt.NDArray[np.intp]
    """(n_kind,), the positions of its rows among the training rows."""
    classifier: Floats
    """(n_kind,), their log-odds."""
    normals: npt.NDArray[np.intp]
    """(n_normals,), positions of normal rows."""
    classifier_of_normals: Floats
    """(n_normals,), their log-odds: what the tail of this classifier is fitted to."""


def fit_supervised(rows: TrainingRows, keep: Mask, options: TrainingOptions) -> Member:
    """Fit the encoder, the selection and the classifier on some of the rows."""
    features, is_attack = rows.features.filter(keep), rows.is_attack[keep]
    encoder = fit_encoder(rows, keep)
    encoded = encoder.encode(features)
    reads = CLASSIFIERS[options.classifier.kind].reads
    selection = None
    if options.selection != "none":
        reads = "neural"
        selection = fit_selection(
            options.selection,
            encoded.neural,
            is_attack,
            encoder.column_names,
            options.seed,
            options.top_k,
            options.threads,
        )
    matrix = form_of(encoded, reads)
    detector = fit_classifier(
        options.classifier,
        matrix if selection is None else selection.transform(matrix),
        is_attack,
        options.seed,
        options.threads,
    )
    typical = encode_typical(encoder, features.filter(pl.Series(~is_attack)))
    return Member("classifier", detector, encoder, reads, typical, selection)


def fit_unsupervised(
    rows: TrainingRows, keep: Mask, encoder: Encoder, options: TrainingOptions
) -> Member:
    """Fit the one-class detector on the normal ones among some of the rows."""
    normal = rows.features.filter(keep & ~rows.is_attack)
    detector = fit_one_class(
        options.one_class, encoder.encode(normal).neural, options.seed, options.threads
    )
    return Member("one_class", detector, encoder, "neural", encode_typical(encoder, normal))


def encode_typical(encoder: Encoder, normal: pl.DataFrame) -> Encoded:
    """Encode the ordinary one of some normal rows."""
    return encoder.encode(encoder.frame_of(encoder.find_typical(normal)))


def fit_encoder(rows: TrainingRows, keep: Mask) -> Encoder:
    """Fit the encoder on some of the rows."""
    return Encoder.fit(rows.features.filter(keep), rows.columns, ~rows.is_attack[keep])


def score_out_of_fold(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    kinds: Kinds,
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> OutOfFold:
    """Score every row by detectors that were fitted, encoder included, on the other folds.

    The one-class detector learns from normal rows, and so do the centres and scales of its inputs.
    Of attacks it knows nothing but category names, as columns that are zero in every row it learns
    from; for ``one_class_as_new`` a kind's own names are hidden as well. All that is then left of a
    kind in a network that scores it is how many columns its initial weights were drawn for.

    Args:
        rows: all training rows.
        fold: (n_rows,), each row's fold.
        kinds: which attacks are of which kind.
        options: how the detectors are fitted.
        progress: told what is done.

    Returns:
        The scores.
    """
    odds, errors, as_new = (np.empty(rows.count) for _ in range(3))
    for held_out in range(options.folds):
        progress(f"scoring part {held_out + 1} of {options.folds} with a model of the others")
        judged = fold == held_out
        classifier = fit_supervised(rows, ~judged, options)
        one_class = fit_unsupervised(rows, ~judged, classifier.encoder, options)
        encoded = classifier.encoder.encode(rows.features.filter(judged))
        odds[judged] = classifier.score(encoded)
        errors[judged] = as_new[judged] = one_class.score(encoded)
        for kind in kinds.held_out:
            is_kind = kinds.of_row == kind
            others = rows.features.filter(~judged & ~kinds.may_be(kind, rows.is_attack))
            alien = _hide_unknown(rows.features.filter(judged & is_kind), others, rows)
            as_new[judged & is_kind] = one_class.score(classifier.encoder.encode(alien))
    return OutOfFold(odds, errors, as_new)


def score_held_out_kinds(
    rows: TrainingRows,
    fold: npt.NDArray[np.intp],
    kinds: Kinds,
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> Mapping[str, KindScores]:
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
        The scores of each held-out kind.
    """
    scores = {}
    for index, kind in enumerate(kinds.held_out):
        progress(f"scoring {kind} attacks with a classifier that never saw any")
        is_kind = kinds.of_row == kind
        judged = fold == index % options.folds
        classifier = fit_supervised(rows, ~kinds.may_be(kind, rows.is_attack) & ~judged, options)
        normal = judged & ~rows.is_attack
        scores[kind] = KindScores(
            rows=np.flatnonzero(is_kind),
            classifier=_score(classifier, rows, is_kind),
            normals=np.flatnonzero(normal),
            classifier_of_normals=_score(classifier, rows, normal),
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


def divide_attacks(rows: TrainingRows, contract: Contract, seed: int) -> Kinds:
    """Divide the attacks into kinds that can be held out in turn.

    An attack without a name is of no kind, unless so many have none that all are clustered.

    Args:
        rows: all training rows.
        contract: its families, where the rows name their attacks.
        seed: of the clustering, where they do not.

    Returns:
        The kinds; none is held out where too few attacks would be left without it.
    """
    of_row = np.full(rows.count, "", dtype=object)
    made_from: KindSource
    is_named = rows.is_attack & (rows.attacks != "")
    if rows.attacks is None or is_named.sum() < MIN_NAMED * rows.is_attack.sum():
        made_from = "cluster"
        of_row[rows.is_attack] = _cluster(rows, seed)
    elif contract.families is None:
        made_from = "attack"
        of_row[is_named] = rows.attacks[is_named]
    else:
        made_from = "family"
        of_row[is_named] = [family_of(name, contract.families) for name in rows.attacks[is_named]]
    of_row = of_row.astype(np.str_)
    names, counts = np.unique(of_row[of_row != ""], return_counts=True)
    largest = np.argsort(-counts, kind="stable")[:MAX_KINDS]
    return Kinds(
        made_from=made_from,
        of_row=of_row,
        held_out=tuple(
            str(names[index])
            for index in largest
            if min(counts[index], counts.sum() - counts[index]) >= KIND_MIN_ROWS
        ),
    )


def _cluster(rows: TrainingRows, seed: int) -> npt.NDArray[np.str_]:
    """Name the k-means cluster of each attack among the encoded attacks, (n_attacks,)."""
    from sklearn.cluster import KMeans
    from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

    encoder = fit_encoder(rows, np.ones(rows.count, dtype=np.bool_))
    neural = encoder.encode(rows.features.filter(rows.is_attack)).neural
    sample = neural[np.random.default_rng(seed).permutation(len(neural))[:CLUSTER_SAMPLE]]
    with threadpool_limits(1):  # sums over threads would differ from run to run
        clusters = KMeans(CLUSTERS, n_init=4, random_state=seed).fit(sample).predict(neural)
    return np.char.add("cluster ", (clusters + 1).astype(np.str_))
