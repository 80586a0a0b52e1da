"""Keep rules: named conditions on one column, read over stored measurements.

    words: "words >= 50"
    language: "language == en"
    status: "http_status in [200] or null"

A null measured value fails every rule but those that end in "or null". The document is kept where
the condition holds; the first rule that does not hold is why it is dropped.
"""

import re
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
class KeepRule:
    """A parsed condition. `column` may be qualified with a step's short name."""

    name: str
    condition: str

    @cached_property
    def _parts(self) -> tuple[str, str, Scalar | list[Scalar], bool]:
        match = _RULE.match(self.condition)
        if match is None:
            raise UsageError(
                f"keep rule {self.name!r}: {self.condition!r} is not "
                "'<column> <== != < <= > >= in [..] | not in [..]> <value> [or null]'",
                field=f"keep.{self.name}",
            )
        value = _value(match["value"])
        wants_list = match["op"] in ("in", "not in")
        if isinstance(value, list) != wants_list:
            raise UsageError(
                f"keep rule {self.name!r}: {match['value']!r} is no value for {match['op']!r}",
                field=f"keep.{self.name}",
            )
        return match["column"], match["op"], value, match["null"] is not None

    @property
    def column(self) -> str:
        """The column that the rule reads."""
        return self._parts[0]

    def check_type(self, column_type: pa.DataType) -> None:
        """Raise UsageError where the value cannot be compared with a column of this type."""
        column, op, value, _ = self._parts
        values = value if isinstance(value, list) else [value]
        for v in values:
            if pa.types.is_boolean(column_type):
                fits = isinstance(v, bool) and op in ("==", "!=")
            elif pa.types.is_string(column_type):
                fits = isinstance(v, str) and op in ("==", "!=", "in", "not in")
            else:
                fits = isinstance(v, int | float) and not isinstance(v, bool)
            if not fits:
                raise UsageError(
                    f"keep rule {self.name!r}: column {column} is {column_type}, "
                    f"which cannot be tested with {op} {v!r}",
                    field=f"keep.{self.name}",
                )

    def holds(self, values: pa.ChunkedArray) -> pa.ChunkedArray:
        """For each value whether the document is kept; never null.

        Integers and floats are compared as float64, so `>= 0.1` means the same for both.
        """
        _, op, value, null_passes = self._parts
        if pa.types.is_integer(values.type) or pa.types.is_floating(values.type):
            values = values.cast(pa.float64())
        if isinstance(value, list):
            mask = pc.is_in(values, value_set=pa.array(value).cast(values.type))
            if op == "not in":
                mask = pc.invert(mask)
            mask = pc.if_else(pc.is_valid(values), mask, None)
        else:
            mask = _COMPARE[op](values, pa.scalar(value).cast(values.type))
        return pc.fill_null(mask, null_passes)
