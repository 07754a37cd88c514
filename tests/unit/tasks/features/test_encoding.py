"""Encoding agrees with a plain-Python oracle, row by row, and accepts unseen values."""

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from expectations.contract import Column
from expectations.errors import InputRejectedError
from tasks.detectors.base import sum_groups
from tasks.features.encoding import Encoder
from tasks.features.parameters import CLIP
from tasks.features.values import render_value

COLUMNS = (
    Column(name="bytes", kind="count", meaning="Sent."),
    Column(name="service", kind="category", meaning="Port's name."),
    Column(name="rate", kind="number", meaning="Share of errors."),
)

TRAINING = pl.DataFrame(
    {
        "bytes": [0, 100, 5_000, 7],
        "service": ["http", "smtp", "http", "ftp"],
        "rate": [0.5, 0.5, 0.5, 1.0],
    }
)
IS_NORMAL = np.array([True, True, True, False])


@pytest.fixture(scope="module")
def encoder() -> Encoder:
    return Encoder.fit(TRAINING, COLUMNS, IS_NORMAL)


def encode_slowly(row: dict[str, object]) -> tuple[list[float], list[float]]:
    """Encode one connection with nothing but Python's own arithmetic."""
    names = sorted({"http", "smtp", "ftp"})
    neural = []
    for name in ("bytes", "rate"):
        normal = [math.log1p(TRAINING[name][index]) for index in range(3)]
        center = sum(normal) / 3
        scale = math.sqrt(sum((value - center) ** 2 for value in normal) / 3)
        scale = scale if scale > 1e-9 else 1.0
        value = float(row[name])
        scaled = (math.copysign(math.log1p(abs(value)), value) - center) / scale
        neural.append(min(max(scaled, -CLIP), CLIP))
    seen = row["service"] in names
    block = [0.0] * 4
    block[names.index(row["service"]) if seen else 3] = 1.0
    code = float(names.index(row["service"])) if seen else -1.0
    return [float(row["bytes"]), code, float(row["rate"])], [*neural, *block]


rows = st.fixed_dictionaries(
    {
        "bytes": st.integers(-(10**9), 10**9),
        "service": st.sampled_from(["http", "smtp", "ftp", "tftp_u", ""]),
        "rate": st.floats(-2, 2),
    }
)


@given(st.lists(rows, min_size=1, max_size=6))
def test_encoding_agrees_with_the_oracle(drawn: list[dict[str, object]]) -> None:
    encoder = Encoder.fit(TRAINING, COLUMNS, IS_NORMAL)
    encoded = encoder.encode(
        pl.DataFrame(drawn, schema={"bytes": pl.Int64, "service": pl.String, "rate": pl.Float64})
    )
    for index, row in enumerate(drawn):
        ordinal, neural = encode_slowly(row)
        np.testing.assert_array_equal(encoded.ordinal[index], np.float32(ordinal))
        np.testing.assert_allclose(encoded.neural[index], neural, rtol=1e-6, atol=1e-6)


@given(st.lists(rows, min_size=2, max_size=9))
def test_a_row_is_encoded_alike_alone_and_among_others(drawn: list[dict[str, object]]) -> None:
    encoder = Encoder.fit(TRAINING, COLUMNS, IS_NORMAL)
    frame = pl.DataFrame(
        drawn, schema={"bytes": pl.Int64, "service": pl.String, "rate": pl.Float64}
    )
    whole = encoder.encode(frame)
    for index in range(frame.height):
        alone = encoder.encode(frame[index : index + 1])
        assert alone.ordinal.tobytes() == whole.ordinal[index : index + 1].tobytes()
        assert alone.neural.tobytes() == whole.neural[index : index + 1].tobytes()


def test_an_unseen_category_has_its_own_column(encoder: Encoder) -> None:
    seen_and_not = pl.DataFrame({"bytes": [1, 1], "service": ["smtp", "tftp_u"], "rate": [0, 0]})
    encoded = encoder.encode(seen_and_not)
    assert encoder.column_names[2:] == (
        "service=ftp",
        "service=http",
        "service=smtp",
        "service=(unseen)",
    )
    assert encoded.neural[:, 2:].tolist() == [[0, 0, 1, 0], [0, 0, 0, 1]]
    assert encoded.ordinal[:, 1].tolist() == [2, -1]


def test_centres_and_scales_do_not_depend_on_attacks(encoder: Encoder) -> None:
    other_attack = TRAINING.with_columns(rate=pl.Series([0.5, 0.5, 0.5, 0.0]))
    assert encoder.quantities[1].center == (
        Encoder.fit(other_attack, COLUMNS, IS_NORMAL).quantities[1].center
    )


def test_a_departure_from_a_constant_column_still_counts(encoder: Encoder) -> None:
    constant_and_not = pl.DataFrame({"bytes": [1, 1], "service": ["ftp"] * 2, "rate": [0.5, 1.0]})
    encoded = encoder.encode(constant_and_not)
    assert encoded.neural[:, 1].tolist() == pytest.approx([0.0, math.log(2 / 1.5)])


def test_a_missing_value_of_a_nullable_feature_is_encoded(encoder: Encoder) -> None:
    missing = pl.DataFrame(
        {"bytes": [None], "service": [None], "rate": [None]},
        schema={"bytes": pl.Int64, "service": pl.String, "rate": pl.Float64},
    )
    encoded = encoder.encode(missing)
    assert encoded.neural.tolist() == [[0, 0, 0, 0, 0, 1]]
    assert np.isnan(encoded.ordinal[0, [0, 2]]).all()
    assert encoded.ordinal[0, 1] == -1


def test_the_state_survives_json_unchanged(encoder: Encoder) -> None:
    assert Encoder.model_validate_json(encoder.model_dump_json()) == encoder


def test_decoding_returns_what_was_encoded(encoder: Encoder) -> None:
    encoded = encoder.encode(TRAINING)
    np.testing.assert_allclose(
        encoder.decode(encoded.neural), encoded.ordinal, rtol=1e-4, atol=1e-4
    )


def test_decoded_values_stay_within_the_training_range(encoder: Encoder) -> None:
    extreme = np.float32([[5, -5, 0, 0, 1, 0], [-5, 5, 0, 0, 0, 1]])
    decoded = encoder.decode(extreme)
    assert decoded[:, 0].tolist() == [5_000, 0]
    assert decoded[:, 2].tolist() == [0.5, 1.0]
    assert [encoder.render("service", code) for code in decoded[:, 1]] == ["smtp", "(unseen)"]


def test_folding_adds_one_hot_columns_into_their_feature(encoder: Encoder) -> None:
    weights = np.array([[1.0, 2.0, 0.1, 0.2, 0.3, 0.4]])
    np.testing.assert_allclose(sum_groups(weights, encoder.sources), [[1.0, 1.0, 2.0]])


def test_the_typical_row_is_the_median_and_the_commonest_name(encoder: Encoder) -> None:
    normal = pl.DataFrame(
        {
            "bytes": [1, 3, 900],
            "service": ["smtp", "http", "http"],
            "rate": [0.5, None, 1.0],
        }
    )
    typical = encoder.find_typical(normal)
    assert typical == {"bytes": 3.0, "service": "http", "rate": 0.75}
    encoded = encoder.encode(encoder.make_frame(typical))
    assert encoder.name_values(encoded.ordinal[0].tolist()) == typical


def test_a_missing_feature_is_refused_by_name(encoder: Encoder) -> None:
    with pytest.raises(InputRejectedError, match=r"reads 3 features .* lacks service, rate"):
        encoder.encode(pl.DataFrame({"bytes": [1]}))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (54540, "54,540"),
        (2.345, "2.35"),
        (0.17, "0.17"),
        (1234.5, "1,234"),
        ("http", "http"),
        (None, "(missing)"),
    ],
)
def test_values_are_rendered_as_short_text(value: float | str | None, text: str) -> None:
    assert render_value(value) == text
