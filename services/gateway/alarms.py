"""Alarms: keep rules that drop nothing, or nearly all of what they see.

A rule's share is of the documents that *enter the rule*, that is, those that no step's fault and no
rule before it has taken: of a whole batch, the last rules could never drop much. Both ask for
enough documents. That a rule drops most is told as soon as it is so; that it drops nothing only at
the end of the batch, since one document would end it. With none dropped of 1,000 a rule's true
share is, at 95 %, below 0.3 %.
"""

from collections.abc import Iterator
from typing import Any

from shared.progress import StageTotals
from shared.stages import Pipeline, Stage

#: A rule that drops more than this share of what enters it.
DROPS_MOST = 0.95
#: Documents that must have entered the rule before either alarm.
ENOUGH_FOR_MOST = 100
ENOUGH_FOR_NOTHING = 1000


def alarms(
    pipeline: Pipeline, stages: dict[int, StageTotals], *, ended: bool
) -> list[dict[str, Any]]:
    """The alarms of a batch from its accounts so far; final where the batch has ended."""
    found = []
    for stage in pipeline.stages:
        if stage.phase is not None:
            continue
        for rule, entered, dropped in _seen(stage, stages[stage.index]):
            if dropped > DROPS_MOST * entered and entered >= ENOUGH_FOR_MOST:
                kind = "drops_most"
            elif ended and dropped == 0 and entered >= ENOUGH_FOR_NOTHING:
                kind = "drops_nothing"
            else:
                continue
            found.append(
                {"rule": rule, "kind": kind, "entered": entered, "dropped": dropped}
                | {"share": round(dropped / entered, 4), "final": ended}
            )
    return found


def _seen(stage: Stage, totals: StageTotals) -> Iterator[tuple[str, int, int]]:
    """Each rule of a stage with the documents that entered it and those that it dropped."""
    left = totals.tally.entered
    for bound in stage.steps:
        left -= totals.tally.failed[bound.step.short]
        for name in bound.rule_names:
            yield name, left, totals.tally.dropped[name]
            left -= totals.tally.dropped[name]
