"""The encoder and the detectors of a model, fitted on some of the training rows.

Belongs here: one fit of each, on the rows it is given. Does not belong here: which rows these are
(``held_out``, ``fit``), or how a detector is fitted (``tasks.detectors``).
"""

import polars as pl

from tasks.arrays import Mask
from tasks.detectors.member import Member, select_form
from tasks.detectors.registry import CLASSIFIERS, fit_classifier, fit_one_class
from tasks.features.encoding import Encoded, Encoder
from tasks.features.selection import fit_selection
from tasks.training.options import TrainingOptions
from tasks.training.rows import TrainingRows


def fit_members(rows: TrainingRows, keep: Mask, options: TrainingOptions) -> tuple[Member, ...]:
    """Fit the encoder and the detectors on some of the rows.

    Returns:
        The detectors in the order of ``MEMBER_NAMES``; without labels only the one-class detector.
    """
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
    matrix = select_form(encoded, reads)
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
    """Fit the one-class detector on the normal rows among some of the rows."""
    normal = rows.features.filter(keep & ~rows.is_attack)
    detector = fit_one_class(
        options.one_class, encoder.encode(normal).neural, options.seed, options.threads
    )
    return Member("one_class", detector, encoder, "neural", encode_typical(encoder, normal))


def encode_typical(encoder: Encoder, normal: pl.DataFrame) -> Encoded:
    """Encode a row that has the typical value of each feature among normal rows, (1, width)."""
    return encoder.encode(encoder.make_frame(encoder.find_typical(normal)))


def fit_encoder(rows: TrainingRows, keep: Mask) -> Encoder:
    """Fit the encoder on some of the rows."""
    return Encoder.fit(rows.features.filter(keep), rows.columns, ~rows.is_attack[keep])
