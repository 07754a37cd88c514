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
from tasks.features.parameters import CLIP, MOST_CATEGORIES
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


LACKING = pl.DataFrame(
    {
        "bytes": [0, None, 5_000, None],
        "service": ["http", None, "http", "ftp"],
        "rate": [0.5, 0.5, float("nan"), 1.0],
    }
)


def test_missing_is_neither_zero_nor_the_centre_where_training_rows_lacked_it() -> None:
    encoder = Encoder.fit(LACKING, COLUMNS, IS_NORMAL)
    assert encoder.column_names == (
        "bytes",
        "rate",
        "bytes=(missing)",
        "rate=(missing)",
        "service=(missing)",
        "service=ftp",
        "service=http",
        "service=(unseen)",
    )
    encoded = encoder.encode(LACKING)
    assert encoded.neural[:, 2].tolist() == [0, 1, 0, 1]
    assert encoded.neural[:, 3].tolist() == [0, 0, 1, 0]
    assert encoded.neural[1, [0, 4]].tolist() == [0, 1]
    assert np.isnan(encoded.ordinal[[1, 3], 0]).all()
    assert encoded.ordinal[:, 1].tolist() == [2, 0, 2, 1]
    np.testing.assert_allclose(
        encoder.decode(encoded.neural), encoded.ordinal, rtol=1e-4, atol=1e-4
    )
    assert [encoder.features[at] for at in encoder.sources[2:5]] == ["bytes", "rate", "service"]


def test_the_typical_value_of_what_most_rows_lack_is_missing() -> None:
    encoder = Encoder.fit(LACKING, COLUMNS, IS_NORMAL)
    normal = pl.DataFrame(
        {"bytes": [None, None, 4], "service": [None, None, "http"], "rate": [1.0, 1.0, None]}
    )
    typical = encoder.find_typical(normal)
    assert typical == {"bytes": None, "service": "(missing)", "rate": 1.0}
    encoded = encoder.encode(encoder.make_frame(typical))
    assert [
        encoder.render(name, value)
        for name, value in zip(encoder.features, encoded.ordinal[0], strict=True)
    ] == ["(missing)", "(missing)", "1"]


def test_what_training_rows_never_lacked_is_counted_where_it_is_missing(encoder: Encoder) -> None:
    counted = encoder.count_unseen(LACKING)
    assert counted["bytes"].rows() == [("(missing)", 2)]
    assert Encoder.fit(LACKING, COLUMNS, IS_NORMAL).count_unseen(LACKING)["service"].is_empty()


def test_the_rarest_of_very_many_categories_share_a_column() -> None:
    names = [f"host{number:06d}" for number in range(100_000)]
    frame = pl.DataFrame(
        {"bytes": [1] * 100_002, "service": [*names, "dns", "dns"], "rate": [0.0] * 100_002}
    )
    encoder = Encoder.fit(frame, COLUMNS, np.ones(frame.height, dtype=np.bool_))
    assert encoder.width == 2 + MOST_CATEGORIES + 1
    assert "service=dns" in encoder.column_names
    assert encoder.column_names[-1] == "service=(other)"
    assert encoder.encode(frame[99_999:]).neural[:, -1].tolist() == [1, 0, 0]
    assert "service" not in encoder.count_unseen(frame)


def test_numbers_beyond_float32_stay_finite_and_in_order() -> None:
    huge = pl.DataFrame(
        {
            "bytes": [2**63 - 1, -(2**63), 0, 1],
            "service": ["http"] * 4,
            "rate": [1.7976931348623157e308, -1e308, 0.0, 4_294_967.295],
        }
    )
    encoder = Encoder.fit(huge, COLUMNS, IS_NORMAL)
    encoded = encoder.encode(huge)
    assert np.isfinite(encoded.ordinal).all()
    assert np.isfinite(encoded.neural).all()
    assert np.argsort(encoded.ordinal[:, 2]).tolist() == [1, 2, 3, 0]
    assert np.isfinite(encoder.decode(np.full_like(encoded.neural, 5))).all()
    typical = encoder.find_typical(huge)
    assert typical["rate"] is not None
    assert np.isfinite(typical["rate"])


def test_a_contract_may_have_no_number_or_no_name() -> None:
    for columns in (COLUMNS[1:2], COLUMNS[::2]):
        encoder = Encoder.fit(TRAINING, columns, IS_NORMAL)
        encoded = encoder.encode(TRAINING)
        assert encoded.neural.shape == (4, encoder.width)
        assert encoder.deviations(TRAINING).shape == (4, len(encoder.quantities))
        np.testing.assert_allclose(
            encoder.decode(encoded.neural), encoded.ordinal, rtol=1e-4, atol=1e-4
        )


def test_an_encoder_of_complete_rows_has_the_bytes_of_earlier_versions(encoder: Encoder) -> None:
    state = encoder.model_dump(mode="json", exclude_defaults=True)
    assert set(state["quantities"][0]) == {"name", "center", "scale", "minimum", "maximum"}
    assert set(state["categories"][0]) == {"name", "values"}
    assert Encoder.model_validate(state) == encoder


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
        (float("nan"), "(missing)"),
        (1e308, "1e+308"),
    ],
)
def test_values_are_rendered_as_short_text(value: float | str | None, text: str) -> None:
    assert render_value(value) == text
