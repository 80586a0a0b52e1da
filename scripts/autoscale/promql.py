"""The part of PromQL that scaling queries are written in, on samples that stand in a list.

Selectors with labels that equal something, numbers, `+ - * /`, parentheses, and `max`, `min` and
`sum` over everything. All else is refused. tests/deploy/test_scaling.py compares the results with a
real Prometheus's. Arithmetic between vectors matches elements with the same labels, as there.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass

Labels = tuple[tuple[str, str], ...]
#: Labels (sorted, without the name) to value.
Vector = dict[Labels, float]
Value = float | Vector

_TOKEN = re.compile(
    r"\s*(?:(?P<number>\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)|(?P<name>[a-zA-Z_:][\w:]*)"
    r'|(?P<string>"(?:[^"\\]|\\.)*")|(?P<mark>[-+*/(){},=]))'
)
_OVER_ALL: dict[str, Callable[[Iterable[float]], float]] = {"max": max, "min": min, "sum": sum}


@dataclass(frozen=True)
class Sample:
    """A value of a metric."""

    name: str
    labels: Labels
    value: float


def samples(name: str, by_queue: dict[str, float], label: str = "queue") -> list[Sample]:
    """A metric with one label."""
    return [Sample(name, ((label, queue),), value) for queue, value in by_queue.items()]


def evaluate(query: str, known: Iterable[Sample]) -> Value:
    """A query's value; ValueError where it is more than this module knows."""
    by_name: dict[str, Vector] = {}
    for sample in known:
        by_name.setdefault(sample.name, {})[sample.labels] = sample.value
    parser = _Parser(_tokens(query), by_name)
    value = parser.sum_of(0)
    if parser.rest:
        raise ValueError(f"{query!r}: {parser.rest[0]!r} is not understood")
    return value


def single(value: Value) -> float | None:
    """What KEDA makes of an answer: one element's value, None of none, ValueError of several."""
    if isinstance(value, float):
        return value
    if len(value) > 1:
        raise ValueError(f"{len(value)} elements; a trigger needs one")
    return next(iter(value.values()), None)


def _tokens(query: str) -> list[str]:
    found, position = [], 0
    query = query.strip()
    while position < len(query):
        match = _TOKEN.match(query, position)
        if match is None:
            raise ValueError(f"{query!r}: {query[position:]!r} is not understood")
        found.append(match[0].strip())
        position = match.end()
    return found


def _divide(a: float, b: float) -> float:
    """IEEE 754, as Prometheus does it."""
    if b:
        return a / b
    return float("nan") if not a else float("inf") if a > 0 else float("-inf")


_ORDER: tuple[dict[str, Callable[[float, float], float]], ...] = (
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": _divide},
)


class _Parser:
    """Evaluates while it reads: precedence by levels, left to right."""

    def __init__(self, tokens: list[str], known: dict[str, Vector]) -> None:
        self.rest, self._known = tokens, known

    def sum_of(self, level: int) -> Value:
        """Operators of a level and of those that bind tighter."""
        if level == len(_ORDER):
            return self._atom()
        value = self.sum_of(level + 1)
        while self.rest and self.rest[0] in _ORDER[level]:
            how = _ORDER[level][self.rest.pop(0)]
            value = _apply(how, value, self.sum_of(level + 1))
        return value

    def _atom(self) -> Value:
        token = self._take()
        if token == "(":  # noqa: S105
            value = self.sum_of(0)
            self._take(")")
            return value
        if token[0].isdigit():
            return float(token)
        if token in _OVER_ALL and self.rest[:1] == ["("]:
            self._take("(")
            value = self.sum_of(0)
            self._take(")")
            if isinstance(value, float):
                raise ValueError(f"{token}() needs a vector")
            return {(): _OVER_ALL[token](value.values())} if value else {}
        if token[0].isalpha() or token[0] == "_":
            return self._selector(token)
        raise ValueError(f"{token!r} is not understood")

    def _selector(self, name: str) -> Vector:
        wanted = {}
        if self.rest[:1] == ["{"]:
            self._take("{")
            while self.rest[:1] != ["}"]:
                label = self._take()
                self._take("=")
                wanted[label] = ast.literal_eval(self._take())
                if self.rest[:1] == [","]:
                    self._take(",")
            self._take("}")
        return {
            labels: value
            for labels, value in self._known.get(name, {}).items()
            if wanted.items() <= dict(labels).items()
        }

    def _take(self, expected: str | None = None) -> str:
        if not self.rest or expected not in (None, self.rest[0]):
            raise ValueError(f"expected {expected or 'more'}, not {self.rest[:1]}")
        return self.rest.pop(0)


def _apply(how: Callable[[float, float], float], left: Value, right: Value) -> Value:
    if isinstance(left, float):
        if isinstance(right, float):
            return how(left, right)
        return {labels: how(left, value) for labels, value in right.items()}
    if isinstance(right, float):
        return {labels: how(value, right) for labels, value in left.items()}
    return {labels: how(left[labels], right[labels]) for labels in left if labels in right}
