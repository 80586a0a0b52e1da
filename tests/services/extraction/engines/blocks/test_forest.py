"""The forest against LightGBM's own scores; its file; the file of sections."""

from functools import cache

import lightgbm
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from scripts.extractor.convert import from_lightgbm, round_down
from services.extraction.engines.blocks.forest import UNIT, Forest, predict
from services.extraction.engines.blocks.forest_file import from_bytes, to_bytes
from services.extraction.engines.blocks.model_file import pack, unpack
from shared.errors import PermanentError, UsageError

COLUMNS = 7
SETTINGS = {
    "objective": "binary",
    "min_data_in_leaf": 3,
    "deterministic": True,
    "force_col_wise": True,
    "num_threads": 1,
    "seed": 1,
    "verbose": -1,
}


@cache
def train(leaves: int, trees: int = 25, *, random_labels: bool = False) -> lightgbm.Booster:
    rng = np.random.default_rng(leaves)
    x = rng.standard_normal((1500, COLUMNS)).astype(np.float32)
    x[:, 0] = np.round(x[:, 0])
    x[:, 1] *= np.float32(1e30)
    x[:, 2] *= np.float32(1e-30)
    x[:, 3] = np.where(x[:, 3] > 0, x[:, 3], 0)
    noise = rng.standard_normal(1500)
    y = noise > 0 if random_labels else x[:, 0] * x[:, 4] + np.sign(x[:, 1]) * x[:, 3] + noise > 0
    parameters = {**SETTINGS, "num_leaves": leaves}
    return lightgbm.train(parameters, lightgbm.Dataset(x, y.astype(int)), trees)


@cache
def small() -> bytes:
    return to_bytes(from_lightgbm(train(3)))


def thresholds(node: dict) -> list[tuple[int, float]]:
    if "leaf_value" in node:
        return []
    below = thresholds(node["left_child"]) + thresholds(node["right_child"])
    return [(node["split_feature"], node["threshold"]), *below]


def rows_at_thresholds(booster: lightgbm.Booster, rows: int) -> np.ndarray:
    """Each value a threshold of its column, a neighbour of one, or a number from the edges."""
    rng = np.random.default_rng(rows)
    top = np.finfo(np.float32)
    edges = [0.0, -0.0, top.max, top.min, np.inf, -np.inf, top.tiny, -top.tiny, 1e-45, -1e-45]
    edges += [1e-35, -1e-35, 1e-36, -1e-36, 1.0, -1.0]
    values: list[list[float]] = [list(edges) for _ in range(COLUMNS)]
    for tree in booster.dump_model()["tree_info"]:
        for feature, threshold in thresholds(tree["tree_structure"]):
            near = np.float32(threshold)
            around = [near, np.nextafter(near, np.float32(9e9)), np.nextafter(near, -near)]
            values[feature] += around
    picked = [rng.choice(np.array(column, np.float32), rows) for column in values]
    return np.ascontiguousarray(np.array(picked).T)


def check(booster: lightgbm.Booster, forest: Forest, x: np.ndarray) -> None:
    scores = predict(forest, x)
    bound = booster.num_trees() / (2 * UNIT) + 1e-9  # 1e-9: LightGBM's own sum
    assert scores.dtype == np.int32
    assert np.abs(scores / UNIT - booster.predict(x, raw_score=True, num_threads=1)).max() <= bound


@pytest.mark.parametrize("leaves", [2, 3, 31, 32, 33, 63, 64, 100])
def test_the_scores_are_lightgbms(leaves):
    booster = train(leaves)
    forest = from_lightgbm(booster)
    x = np.random.default_rng(0).standard_normal((700, COLUMNS)).astype(np.float32)
    check(booster, forest, x)
    check(booster, forest, rows_at_thresholds(booster, 3000))
    assert len(np.unique(predict(forest, x))) > 1


@pytest.mark.parametrize("leaves", [31, 63])
def test_a_row_scores_the_same_alone_and_among_others(leaves):
    booster = train(leaves)
    forest, x = from_lightgbm(booster), rows_at_thresholds(booster, 1000)
    scores = predict(forest, x)
    for rows in (1, 2, 15, 16, 17, 303, 304, 305, 321, 608, 609):
        assert (predict(forest, x[:rows]) == scores[:rows]).all()
    assert predict(forest, x[:0]).shape == (0,)


def test_the_order_of_the_trees_does_not_matter():
    booster = train(31)
    forest, x = from_lightgbm(booster), rows_at_thresholds(booster, 200)
    backwards = from_lightgbm(booster.shuffle_models())
    assert (backwards.leaves != forest.leaves).any()
    assert (predict(forest, x) == predict(backwards, x)).all()


def test_trees_of_one_leaf_are_constants():
    x = np.ones((100, COLUMNS), np.float32)
    data = lightgbm.Dataset(x, np.arange(100) % 4 == 0, params={"feature_pre_filter": False})
    booster = lightgbm.train(SETTINGS, data, 3)
    forest = from_lightgbm(booster)
    assert len(forest.feature) == 0
    check(booster, forest, x)
    check(booster, from_bytes(to_bytes(forest)), x)
    assert predict(forest, x)[0] == pytest.approx(np.log(1 / 3) * UNIT, abs=2)


@given(
    st.floats(allow_nan=False, allow_infinity=False),
    st.floats(width=32, allow_nan=False),
)
def test_a_rounded_threshold_decides_as_the_double(threshold, value):
    for x in (value, float(round_down(threshold))):
        seen = 0.0 if abs(x) <= float(np.float32(1e-35)) else x
        assert (np.float32(x) <= round_down(threshold)) == (seen <= threshold)


def test_what_a_forest_cannot_be():
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((300, 3)), np.arange(300) % 3
    x[::7, 0] = np.nan
    missing = lightgbm.train(SETTINGS, lightgbm.Dataset(x, y > 0), 2)
    with pytest.raises(UsageError, match="none of them missing"):
        from_lightgbm(missing)
    classes = {**SETTINGS, "objective": "multiclass", "num_class": 3}
    with pytest.raises(UsageError, match="one score"):
        from_lightgbm(lightgbm.train(classes, lightgbm.Dataset(x, y), 2))
    huge = {**SETTINGS, "objective": "regression"}
    with pytest.raises(UsageError, match="do not fit"):
        from_lightgbm(lightgbm.train(huge, lightgbm.Dataset(x[:, 1:], y * 1e5), 2))


@pytest.mark.parametrize(
    ("x", "message"),
    [
        (np.zeros((4, COLUMNS + 1), np.float32), "7 features a row, not 4 x 8"),
        (np.zeros((4, COLUMNS - 1), np.float32), "7 features a row, not 4 x 6"),
        (np.zeros(COLUMNS, np.float32), "7 features a row, not 7"),
        (np.zeros((4, COLUMNS)), "float32"),
        (np.zeros((4, COLUMNS), np.float32, order="F"), "float32"),
    ],
)
def test_a_matrix_of_another_form_raises(x, message):
    with pytest.raises(PermanentError, match=message):
        predict(from_lightgbm(train(31)), x)


@pytest.mark.parametrize("leaves", [2, 31, 63])
def test_a_forest_comes_back_from_its_bytes(leaves):
    booster = train(leaves)
    forest = from_lightgbm(booster)
    data = to_bytes(forest)
    back = from_bytes(data)
    assert back.columns == forest.columns
    for ours, theirs in zip(back[1:], forest[1:], strict=True):
        assert ours.dtype == theirs.dtype
        assert ours.flags == theirs.flags
        np.testing.assert_array_equal(ours, theirs)
    assert to_bytes(back) == data == to_bytes(from_lightgbm(booster))
    x = rows_at_thresholds(booster, 100)
    assert (predict(back, x) == predict(forest, x)).all()


def test_a_hundred_trees_take_less_than_40_kb():
    data = to_bytes(from_lightgbm(train(31, 100, random_labels=True)))
    assert 10_000 < len(data) < 40_000


@given(st.data())
def test_a_damaged_forest_raises(data):
    good = small()
    at = data.draw(st.integers(0, len(good) - 1))
    bad = data.draw(
        st.sampled_from(
            [
                good[:at],
                good[:at] + bytes([good[at] ^ data.draw(st.integers(1, 255))]) + good[at + 1 :],
                good + b"x",
            ]
        )
    )
    with pytest.raises(PermanentError, match=r"forest"):
        from_bytes(bad)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"columns": 2}, "a feature beyond its 2"),
        ({"tree_words": np.array([0, 2, 1], np.int32)}, "words of a tree do not add up"),
        ({"word_groups": np.array([0, 1], np.int32)}, "bytes, not"),
        ({"feature": np.zeros((0, 4), np.uint16)}, "bytes, not"),
    ],
)
def test_a_forest_that_would_read_outside_its_arrays_raises(change, message):
    forest = from_lightgbm(train(31))
    with pytest.raises(PermanentError, match=message):
        from_bytes(to_bytes(forest._replace(**change)))


@given(st.dictionaries(st.text(max_size=20), st.binary(max_size=200), max_size=6))
def test_sections_come_back_and_their_order_does_not_matter(sections):
    data = pack(sections)
    assert unpack(data) == sections
    assert pack(dict(reversed(sections.items()))) == data


@given(st.data())
def test_a_damaged_model_file_raises(data):
    good = pack({"stage_1": b"trees" * 9, "weights": b""})
    at = data.draw(st.integers(0, len(good) - 1))
    flipped = bytes([good[at] ^ data.draw(st.integers(1, 255))])
    bad = data.draw(st.sampled_from([good[:at], good[:at] + flipped + good[at + 1 :], good + b"x"]))
    with pytest.raises(PermanentError, match="model file"):
        unpack(bad)
