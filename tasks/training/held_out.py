"""Scores of training rows by models that did not see them, or anything like them.

Belongs here: fitting on part of the rows to score the rest, with single rows or whole kinds of
attack held out. Does not belong here: what is concluded from the scores.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt
import polars as pl
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from expectations.contract import Contract
from expectations.errors import UsageError
from tasks.arrays import Floats, Mask
from tasks.detectors.autoencoder_training import AutoencoderOptions
from tasks.detectors.gradient_boosting import LightGBMOptions
from tasks.detectors.member import ROLES, Member, Role, form_of
from tasks.detectors.registry import (
    CLASSIFIERS,
    ClassifierOptions,
    OneClassOptions,
    fit_classifier,
    fit_one_class,
)
from tasks.evaluation.labels import family_of
from tasks.features.encoding import Encoded, Encoder
from tasks.features.names import SelectionName
from tasks.features.selection import SIZES, fit_selection
from tasks.training.rows import TrainingRows

KIND_MIN_ROWS = 30
"""Fewest attacks a kind must have to be held out, and to be left when another is: a guess; a
recall of fewer rows says little."""

MIN_NAMED = 0.5
"""Least share of the attacks that must have a name for the names to make the kinds: a guess. What
is fitted without a kind does without the nameless as well, so with few names it would know little.
"""

MAX_KINDS = 12
"""Most kinds held out of a division, the largest first: each costs a fit."""

CLUSTERS = 5
"""Kinds made by clustering where too few attacks have a name: a guess, near the number of families
in the literature."""

CLUSTER_SAMPLE = 5_000
"""Attacks that clustering learns from; the others join the nearest centre."""

KindSource = Literal["family", "attack", "cluster"]


SERVED = LightGBMOptions(outliers=0.5)
"""The classifier of a model by default. A study leaves the outliers out: they are for attacks that
a random split has not got."""


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
    """What the classifier reads instead of all features; see ``tasks.features.selection``."""
    top_k: int | None = Field(default=None, ge=1)
    """Columns the selection gives; None for as many as it gives by itself."""
    classifier: ClassifierOptions = SERVED
    """The supervised detector, and how it is fitted."""
    one_class: OneClassOptions = AutoencoderOptions()
    """The detector that knows only normal traffic, and how it is fitted."""

    @field_validator("classifier", mode="before")
    @classmethod
    def _serve(cls, given: object) -> object:
        """Take the kind alone for the options that it is served with."""
        return SERVED if given == {"kind": "lightgbm"} else given

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

    scores: Mapping[Role, Floats]
    """Of each detector; a model fitted without labels has no classifier."""
    one_class_as_new: Floats
    """For attacks of a held-out kind: the score where category names that nothing but that kind
    has count as unseen. For all other rows that of ``scores``. So it belongs to a division."""


@dataclass(frozen=True)
class KindScores:
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


def roles_of(rows: TrainingRows) -> tuple[Role, ...]:
    """Say which detectors the rows can teach: without labels, only the one that needs none."""
    return ROLES if rows.is_labelled else ("one_class",)


def fit_members(rows: TrainingRows, keep: Mask, options: TrainingOptions) -> tuple[Member, ...]:
    """Fit the encoder and the detectors on some of the rows, in the order of ``ROLES``."""
    if not rows.is_labelled:
        return (fit_unsupervised(rows, keep, fit_encoder(rows, keep), options),)
    classifier = fit_supervised(rows, keep, options)
    return classifier, fit_unsupervised(rows, keep, classifier.encoder, options)


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
    divisions: Sequence[Kinds],
    options: TrainingOptions,
    progress: Callable[[str], None],
) -> tuple[OutOfFold, ...]:
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
    raw: dict[Role, Floats] = {role: np.empty(rows.count) for role in roles_of(rows)}
    as_new = [np.empty(rows.count) for _ in divisions]
    for held_out in range(options.folds):
        progress(f"scoring part {held_out + 1} of {options.folds} with a model of the others")
        judged = fold == held_out
        members = fit_members(rows, ~judged, options)
        encoder, one_class = members[-1].encoder, members[-1]
        encoded = encoder.encode(rows.features.filter(judged))
        for member in members:
            raw[member.role][judged] = member.score(encoded)
        for kinds, scores in zip(divisions, as_new, strict=True):
            scores[judged] = raw["one_class"][judged]
            for kind in kinds.held_out:
                is_kind = kinds.of_row == kind
                others = rows.features.filter(~judged & ~kinds.may_be(kind, rows.is_attack))
                alien = _hide_unknown(rows.features.filter(judged & is_kind), others, rows)
                scores[judged & is_kind] = one_class.score(encoder.encode(alien))
    return tuple(OutOfFold(raw, scores) for scores in as_new)


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
        scores[kind] = KindScores(
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


def divide_attacks(rows: TrainingRows, contract: Contract, seed: int) -> tuple[Kinds, ...]:
    """Divide the attacks into kinds that can be held out in turn.

    By family and again by name, where the files name their attacks; by clusters of the encoded
    attacks where they do not. An attack without a name is of no kind, unless so many have none that
    all are clustered.

    Args:
        rows: all training rows.
        contract: its families, where the rows name their attacks.
        seed: of the clustering, where they do not.

    Returns:
        The divisions, the coarsest first; in each, no kind is held out where too few attacks would
        be left without it.
    """
    if not rows.is_labelled:
        return (Kinds("cluster", np.full(rows.count, ""), ()),)
    is_named = rows.is_attack & (rows.attacks != "")
    if rows.attacks is None or is_named.sum() < MIN_NAMED * rows.is_attack.sum():
        clusters = np.full(rows.count, "", dtype=object)
        clusters[rows.is_attack] = _cluster(rows, seed)
        return (_choose_kinds("cluster", clusters.astype(np.str_)),)
    names = np.where(is_named, rows.attacks, "")
    by_name = _choose_kinds("attack", names)
    if contract.families is None:
        return (by_name,)
    families = [family_of(name, contract.families) if name else "" for name in names]
    return (_choose_kinds("family", np.array(families)), by_name)


def _choose_kinds(made_from: KindSource, of_row: npt.NDArray[np.str_]) -> Kinds:
    """Choose the kinds that are large enough to be held out, and leave enough."""
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
