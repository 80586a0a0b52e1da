import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import UsageError
from shared.rules import KeepRule


def holds(condition: str, values: list, type: pa.DataType) -> list[bool]:
    column = pa.chunked_array([pa.array(values, type)])
    return KeepRule("r", condition).holds({"x": column}).to_pylist()


@pytest.mark.parametrize(
    ("condition", "values", "type", "expected"),
    [
        ("x >= 50", [49, 50, 51, None], pa.int32(), [False, True, True, False]),
        ("x > 50", [50, 51], pa.int64(), [False, True]),
        ("x <= 0.1", [0.1, 0.100001], pa.float64(), [True, False]),
        ("x < 0.1", [0.1, 0.09], pa.float64(), [False, True]),
        ("x == en", ["en", "EN", None], pa.string(), [True, False, False]),
        ("x == no", ["no", "en"], pa.string(), [True, False]),
        ("x != en", ["en", "de", None], pa.string(), [False, True, False]),
        ("x in [200, 204]", [200, 204, 404, None], pa.int16(), [True, True, False, False]),
        ("x in [200] or null", [200, None, 404], pa.int16(), [True, True, False]),
        ("x not in [a, b]", ["a", "c", None], pa.string(), [False, True, False]),
        ("x == true", [True, False, None], pa.bool_(), [True, False, False]),
        ("x == 200 or null", [200, None, 404], pa.int16(), [True, True, False]),
    ],
)
def test_conditions_at_their_threshold(condition, values, type, expected):
    assert holds(condition, values, type) == expected


@pytest.mark.parametrize(
    "condition", ["x", "x = 1", "x in 5", "x == [1]", ">= 4", "x >=", "x > 1 if", "x > 1 if y"]
)
def test_malformed_conditions_are_refused(condition):
    with pytest.raises(UsageError, match="keep rule 'r'"):
        KeepRule("r", condition).column  # noqa: B018


@pytest.mark.parametrize(
    ("condition", "type"),
    [
        ("x >= 5", pa.string()),
        ("x == en", pa.int32()),
        ("x >= true", pa.bool_()),
        ("x == true", pa.float64()),
    ],
)
def test_values_that_do_not_fit_the_column_are_refused(condition, type):
    with pytest.raises(UsageError, match="cannot be tested"):
        KeepRule("r", condition).check_type({"x": type})


@given(st.lists(st.one_of(st.none(), st.integers(-100, 100))), st.integers(-100, 100))
def test_agrees_with_python(values, threshold):
    expected = [v is not None and v >= threshold for v in values]
    assert holds(f"x >= {threshold}", values, pa.int32()) == expected


def test_a_condition_chooses_the_documents_that_the_rule_is_about():
    rule = KeepRule("r", "score >= 0.65 if language == en")
    columns = {
        "score": pa.chunked_array([[0.64, 0.65, 0.1, None, None, 0.1]]),
        "language": pa.chunked_array([["en", "en", "de", "de", "en", None]]),
    }
    assert rule.columns == ("score", "language")
    assert rule.holds(columns).to_pylist() == [False, True, True, True, False, True]


def test_a_condition_may_be_on_the_tested_column():
    rule = KeepRule("r", "x >= 0.12 if x != 0")
    assert rule.columns == ("x",)
    assert holds(rule.condition, [0.0, 0.11, 0.12, None], pa.float64()) == [True, False, True, True]


def test_a_second_condition_is_refused():
    with pytest.raises(UsageError, match="more than one 'if'"):
        KeepRule("r", "x > 1 if y == 2 if z == 3").columns  # noqa: B018
