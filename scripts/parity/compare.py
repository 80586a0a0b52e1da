"""Compare two sides rule by rule."""

from dataclasses import dataclass, field

from scripts.parity.sides import (
    C4,
    FINEWEB,
    FLOORS,
    QUALITY,
    REPETITION,
    RULES,
    URL,
    Column,
    Decision,
    Side,
    Value,
    key,
)

#: By group, what both sides segment first, and what it means if they do so differently.
_EVIDENCE = {
    REPETITION: ("words", "words differ"),
    QUALITY: ("words", "words differ"),
    FINEWEB: ("words", "words differ"),
    C4: ("sentences", "sentences differ"),
    URL: ("registered_domain", "registered domains differ"),
}
OTHER = "other"
#: Values this close are the same: sums of floats in another order.
CLOSE = 1e-9


@dataclass(frozen=True)
class Disagreement:
    """One document that the sides decide differently, with what they measured or decided."""

    document: str
    ours: str
    theirs: str
    cause: str


@dataclass
class Agreement:
    """One rule: documents that both sides decide, how many alike, how far the values lie apart."""

    group: str
    rule: str
    compared: int = 0
    same: int = 0
    hits: int = 0
    their_faults: int = 0
    with_value: int = 0
    same_value: int = 0
    largest: float = 0.0
    value_causes: dict[str, int] = field(default_factory=dict)
    disagreements: list[Disagreement] = field(default_factory=list)

    @property
    def share(self) -> float:
        """Of the compared documents, those with the same decision."""
        return self.same / self.compared if self.compared else 1.0

    @property
    def passes(self) -> bool:
        """Whether the share reaches the floor of the group."""
        return self.share >= FLOORS[self.group]


def compare(ours: Side, theirs: Side, ids: dict[str, list[str]]) -> list[Agreement]:
    """All rules that both sides have; `ids` names the documents of "urls" and "texts"."""
    return [
        _compare_rule(group, rule, ours, theirs, ids["urls" if group == URL else "texts"])
        for group, rules in RULES.items()
        for rule in rules
        if key(group, rule) in ours.rules and key(group, rule) in theirs.rules
    ]


def missing(ours: Side, theirs: Side) -> list[str]:
    """Rules that only one side has."""
    return sorted(set(ours.rules) ^ set(theirs.rules))


def alike(ours: Side, theirs: Side, kind: str) -> int:
    """How many documents both sides segment alike."""
    pairs = zip(ours.evidence[kind], theirs.evidence[kind], strict=True)
    return sum(one == other for one, other in pairs)


def _compare_rule(group: str, rule: str, ours: Side, theirs: Side, ids: list[str]) -> Agreement:
    """Where their filter raises there is nothing to compare; where ours does, we differ."""
    one, other = ours.rules[key(group, rule)], theirs.rules[key(group, rule)]
    result = Agreement(group, rule, hits=other.hits)
    causes = _causes(group, ours, theirs, len(ids))
    for i, (document, cause) in enumerate(zip(ids, causes, strict=True)):
        theirs_says, ours_says = other.decisions[i], one.decisions[i]
        if theirs_says is None:
            result.their_faults += 1
            continue
        result.compared += 1
        result.same += ours_says == theirs_says
        _compare_values(result, one.values[i], other.values[i], cause)
        if ours_says != theirs_says:
            ours_shown, theirs_shown = _shown(one, i), _shown(other, i)
            result.disagreements.append(Disagreement(document, ours_shown, theirs_shown, cause))
    return result


def _compare_values(result: Agreement, ours: Value, theirs: Value, cause: str) -> None:
    if theirs is None or ours is None:
        return
    apart = abs(float(ours) - float(theirs))
    result.with_value += 1
    result.same_value += apart <= CLOSE
    result.largest = max(result.largest, apart)
    if apart > CLOSE:
        result.value_causes[cause] = result.value_causes.get(cause, 0) + 1


def _causes(group: str, ours: Side, theirs: Side, documents: int) -> list[str]:
    """For each document what would explain a difference in this group."""
    kind, name = _EVIDENCE.get(group, ("", ""))
    if kind not in ours.evidence or kind not in theirs.evidence:
        return [OTHER] * documents
    pairs = zip(ours.evidence[kind], theirs.evidence[kind], strict=True)
    return [name if one != other else OTHER for one, other in pairs]


def _shown(column: Column, at: int) -> str:
    """What was measured, or what was decided where nothing is."""
    value, decision = column.values[at], column.decisions[at]
    if isinstance(value, float | int):
        return f"{value:.6g} ({_word(decision)})"
    return _word(decision)


def _word(decision: Decision) -> str:
    if isinstance(decision, bool):
        return "kept" if decision else "dropped"
    return "fails" if decision is None else f"{decision[:8]}"
