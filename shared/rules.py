"""Keep rules: named conditions on a column, read over stored measurements.

    words: "words >= 50"
    language: "language == en"
    status: "http_status in [200] or null"
    english_score: "score >= 0.65 if language == en"

A null measured value fails every rule but those that end in "or null". The document is kept where
the condition holds; the first rule that does not hold is why it is dropped. A rule with "if" says
something only of documents for which that second comparison holds, and keeps all others.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TypeAlias

import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import UsageError

_RULE = re.compile(
    r"^\s*(?P<column>[a-z][a-z0-9_.]*)\s*(?P<op>==|!=|<=|>=|<|>|not in|in)\s*(?P<value>[^\s=<>].*?)"
    r"(?P<null>\s+or\s+null)?\s*$"
)
_IF = re.compile(r"\s+if\b")
_COMPARE = {
    "==": pc.equal,
    "!=": pc.not_equal,
    "<": pc.less,
    "<=": pc.less_equal,
    ">": pc.greater,
    ">=": pc.greater_equal,
}
Scalar: TypeAlias = str | int | float | bool


def _value(text: str) -> Scalar | list[Scalar]:
    """A number, true, false, a plain word, or a bracketed list of those.

    Not YAML: in YAML the language code `no` is false.
    """
    if text.startswith("[") and text.endswith("]"):
        return [_scalar(part) for part in text[1:-1].split(",") if part.strip()]
    return _scalar(text)


def _scalar(text: str) -> Scalar:
    text = text.strip()
    if text in ("true", "false"):
        return text == "true"
    for number in (int, float):
        try:
            return number(text)
        except ValueError:
            continue
    return text.strip("'\"")


@dataclass(frozen=True)
class Comparison:
    """`<column> <operator> <value> [or null]`."""

    column: str
    op: str
    value: Scalar | list[Scalar]
    null_passes: bool

    def check_type(self, column_type: pa.DataType) -> None:
        """Raise UsageError where the value cannot be compared with a column of this type."""
        values = self.value if isinstance(self.value, list) else [self.value]
        for v in values:
            if pa.types.is_boolean(column_type):
                fits = isinstance(v, bool) and self.op in ("==", "!=")
            elif pa.types.is_string(column_type):
                fits = isinstance(v, str) and self.op in ("==", "!=", "in", "not in")
            elif pa.types.is_integer(column_type) or pa.types.is_floating(column_type):
                fits = isinstance(v, int | float) and not isinstance(v, bool)
            else:
                fits = False
            if not fits:
                raise UsageError(
                    f"column {self.column} is {column_type}, "
                    f"which cannot be tested with {self.op} {v!r}"
                )

    def holds(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """For each value whether the comparison holds; never null.

        Integers and floats are compared as float64, so `>= 0.1` means the same for both.
        """
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            values = values.cast(pa.float64())
        if isinstance(self.value, list):
            mask = pc.is_in(values, value_set=pa.array(self.value).cast(values.type))
            if self.op == "not in":
                mask = pc.invert(mask)
            mask = pc.if_else(pc.is_valid(values), mask, None)
        else:
            mask = _COMPARE[self.op](values, pa.scalar(self.value).cast(values.type))
        return pc.fill_null(mask, self.null_passes)


def _comparison(text: str) -> Comparison:
    match = _RULE.match(text)
    if match is None:
        raise UsageError(
            f"{text!r} is not '<column> <== != < <= > >= in [..] | not in [..]> <value> [or null]'"
        )
    value = _value(match["value"])
    if isinstance(value, list) != (match["op"] in ("in", "not in")):
        raise UsageError(f"{match['value']!r} is no value for {match['op']!r}")
    return Comparison(match["column"], match["op"], value, match["null"] is not None)


@dataclass(frozen=True)
class KeepRule:
    """A parsed condition: `test`, and `given` after an "if".

    Columns may be qualified with a step's short name. Reading a property of a rule that is none
    raises UsageError.
    """

    name: str
    condition: str

    @cached_property
    def _parts(self) -> tuple[Comparison, Comparison | None]:
        with self._named():
            test, *given = _IF.split(self.condition)
            if len(given) > 1:
                raise UsageError(f"{self.condition!r} has more than one 'if'")
            return _comparison(test), _comparison(given[0]) if given else None

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Errors name the rule."""
        try:
            yield
        except UsageError as error:
            raise UsageError(
                f"keep rule {self.name!r}: {error}", field=f"keep.{self.name}"
            ) from error

    @property
    def test(self) -> Comparison:
        """What must hold."""
        return self._parts[0]

    @property
    def given(self) -> Comparison | None:
        """Of which documents it must hold; None: of all."""
        return self._parts[1]

    @property
    def column(self) -> str:
        """The column that is tested, whose value a verdict shows."""
        return self.test.column

    @property
    def columns(self) -> tuple[str, ...]:
        """All columns that the rule reads, the tested one first."""
        given = () if self.given is None else (self.given.column,)
        return tuple(dict.fromkeys((self.column, *given)))

    def check_type(self, types: Mapping[str, pa.DataType]) -> None:
        """Raise UsageError where a value cannot be compared with its column, by its type."""
        with self._named():
            for comparison in filter(None, self._parts):
                comparison.check_type(types[comparison.column])

    def holds(self, values: Mapping[str, pa.ChunkedArray]) -> pa.ChunkedArray:
        """For each row of the rule's columns whether the document is kept; never null."""
        mask = self.test.holds(values[self.test.column])
        if self.given is None:
            return mask
        return pc.or_(mask, pc.invert(self.given.holds(values[self.given.column])))
