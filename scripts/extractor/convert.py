"""From a LightGBM model to the `Forest` that the engine `blocks` reads."""

from collections.abc import Iterator
from typing import Any, Final, NamedTuple

import numpy as np

from services.extraction.engines.blocks.forest import (
    BITS,
    GROUP,
    UNIT,
    Forest,
    frozen,
    leaf_places,
)
from shared.errors import UsageError

#: LightGBM reads what is not beyond this as 0 (kZeroThreshold, a float32). As a double, since
#: numpy would round a threshold before it compares it with a float32.
_ZERO: Final = float(np.float32(1e-35))
_FULL: Final = 0xFFFFFFFF


class _Condition(NamedTuple):
    """A row whose feature exceeds the threshold does not end in the leaves first:stop."""

    feature: int
    threshold: np.float32
    first: int
    stop: int


#: A condition within one word: feature, threshold, the bits that stay.
_Masked = tuple[int, np.float32, int]
_NEVER: Final[_Masked] = (0, np.float32(np.inf), _FULL)


def from_lightgbm(booster: Any) -> Forest:
    """The trees that `booster.predict(raw_score=True)` sums: one score, numbers without NaN."""
    model = booster.dump_model()
    if model["num_tree_per_iteration"] != 1 or model["average_output"]:
        raise UsageError("a forest is the sum of the trees of one score")
    tree_words, word_groups = [0], [0]
    conditions: list[_Masked] = []
    leaves: list[np.ndarray] = []
    largest = 0
    for info in model["tree_info"]:
        values: list[int] = []
        splits = list(_splits(info["tree_structure"], values))
        largest += max(map(abs, values))
        if largest >= 1 << 31:
            raise UsageError(f"scores up to {largest / UNIT:.0f} do not fit: 32767 is the most")
        for start in range(0, len(values), BITS):
            conditions += _word(splits, start)
            word_groups.append(len(conditions) // GROUP)
            leaves.append(_leaves(values[start : start + BITS]))
        tree_words.append(len(leaves))
    features, thresholds, masks = zip(*conditions, strict=True) if conditions else ((), (), ())
    return frozen(
        Forest(
            columns=model["max_feature_idx"] + 1,
            tree_words=np.array(tree_words, np.int32),
            word_groups=np.array(word_groups, np.int32),
            feature=np.array(features, np.uint16).reshape(-1, GROUP),
            threshold=np.array(thresholds, np.float32).reshape(-1, GROUP),
            mask=np.array(masks, np.uint32).reshape(-1, GROUP),
            leaves=np.array(leaves, np.int32).reshape(-1, BITS),
        )
    )


def _splits(node: dict[str, Any], values: list[int]) -> Iterator[_Condition]:
    """The conditions below a node; appends the values of its leaves from left to right."""
    if "leaf_value" in node:
        values.append(round(node["leaf_value"] * UNIT))
        return
    if node["decision_type"] != "<=" or node["missing_type"] != "None":
        raise UsageError("a forest reads numbers, none of them missing")
    first = len(values)
    yield from _splits(node["left_child"], values)
    threshold = round_down(node["threshold"])
    yield _Condition(node["split_feature"], threshold, first, len(values))
    yield from _splits(node["right_child"], values)


def round_down(threshold: float) -> np.float32:
    """The float32 that each float32 exceeds if and only if it exceeds the threshold in LightGBM."""
    if -_ZERO <= threshold < 0:  # it sees 0 for the threshold itself: beyond it
        return np.nextafter(np.float32(-_ZERO), np.float32(-np.inf))
    if 0 <= threshold < _ZERO:  # and 0 for all up to _ZERO: not beyond it
        return np.float32(_ZERO)
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
    return near if float(near) <= threshold else np.nextafter(near, np.float32(-np.inf))


def _word(splits: list[_Condition], start: int) -> list[_Masked]:
    """The conditions of the word whose first leaf is `start`, in whole groups."""
    masked: list[_Masked] = []
    for split in splits:
        first, stop = max(split.first - start, 0), min(split.stop - start, BITS)
        if first < stop:
            gone = (1 << stop) - (1 << first)
            masked.append((split.feature, split.threshold, _FULL ^ gone))
    masked.sort()  # any order gives the same bits; this one makes a small file
    return masked + [_NEVER] * (-len(masked) % GROUP)


def _leaves(values: list[int]) -> np.ndarray:
    row = np.zeros(BITS, np.int32)
    row[leaf_places()[: len(values)]] = values
    return row
