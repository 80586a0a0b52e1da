"""`/v1/batches/{id}/preview`: what changed keep rules would keep, without running anything."""

from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from services.gateway.catalog import BatchView
from services.gateway.changes import Change, changed_recipe, parse_changes
from services.gateway.judge import Accounts, Plan, judge
from services.gateway.models import GatewayDep
from services.gateway.stored import Int64Array, Outcomes, Stored
from shared.stages import compile_batch
from shared.store import Store

router = APIRouter(prefix="/v1/batches/{batch_id}", tags=["signals"])


class PreviewRequest(BaseModel):
    """Keep rules to change."""

    model_config = ConfigDict(extra="forbid")

    keep: Any = Field(
        description="a list of conditions, each with or without `<step>.<rule>=` before it; or a "
        "mapping of `<step>.<rule>` to conditions, null to remove the rule",
        examples=[["gopher_quality_v1.words >= 80"], {"gopher_quality_v1.stop_words": None}],
    )


@router.post("/preview")
def preview(batch_id: str, request: PreviewRequest, gw: GatewayDep) -> dict[str, Any]:
    """Documents and characters that changed rules would keep, from stored columns.

    `kept` is certain; `unknown` documents would have to go through steps that were never computed
    for them, so that `kept` and `kept_at_most` bracket what a run would give.
    """
    return tell(gw.store, gw.catalog.view(batch_id), request.keep)


def tell(store: Store, view: BatchView, keep: Any) -> dict[str, Any]:
    """The answer to a preview."""
    batch, pipeline = view.batch, view.pipeline
    changes = parse_changes(pipeline, keep)
    recipe = changed_recipe(batch.recipe, changes)
    plan = Plan(pipeline, compile_batch(batch.model_copy(update={"recipe": recipe})))
    accounts = judge(Stored(store, pipeline), plan)
    groups = _groups(accounts)
    unknown = int(accounts.after[plan.unknown])
    return {
        "batch": batch.id,
        "shards": {
            "read": accounts.shards,
            "final": accounts.final_shards,
            "of": len(batch.shards),
        },
        "final": accounts.final_shards == len(batch.shards),
        "exact": not unknown and not groups,
        "changes": [_change(c) for c in changes],
        "documents": accounts.documents,
        "before": _sums(plan.old, accounts.before, accounts.before_characters),
        "after": _after(accounts),
        "newly_dropped": _pair(*accounts.newly["dropped"]),
        "newly_kept": _pair(*accounts.newly["kept"]),
        "unknown": _unknown(accounts),
        "rules": _rules(accounts),
        "groups": groups,
        "warnings": _warnings(accounts, groups),
    }


def _change(change: Change) -> dict[str, Any]:
    return {"rule": change.name, "before": change.before, "after": change.after}


def _pair(documents: int, characters: int) -> dict[str, int]:
    return {"documents": documents, "characters": characters}


def _sums(outcomes: Outcomes, counts: Int64Array, characters: Int64Array) -> dict[str, int]:
    """Kept, dropped and failed documents, and characters kept."""
    failed = [i for i, rule in enumerate(outcomes.rules) if rule is None]
    gone = int(counts[: outcomes.kept].sum())
    return {
        "kept": int(counts[outcomes.kept]),
        "dropped": gone - int(counts[failed].sum()),
        "failed": int(counts[failed].sum()),
        "characters_kept": int(characters[outcomes.kept]),
    }


def _after(accounts: Accounts) -> dict[str, int]:
    plan = accounts.plan
    told = _sums(plan.new, accounts.after, accounts.after_characters)
    unknown = int(accounts.after[plan.unknown])
    return {**told, "unknown": unknown, "kept_at_most": told["kept"] + unknown}


def _unknown(accounts: Accounts) -> dict[str, Any]:
    """Documents that would have to be computed; a step before the main text has no characters."""
    plan = accounts.plan
    return {
        "documents": int(accounts.after[plan.unknown]),
        "characters": int(accounts.after_characters[plan.unknown]),
        "without_characters": accounts.without_characters,
        "steps": [
            {"step": plan.steps[position].step.name, "documents_at_most": documents}
            for position, documents in sorted(accounts.to_run.items())
            if documents
        ],
    }


def _rules(accounts: Accounts) -> list[dict[str, Any]]:
    """Every rule with what it drops before and after, in the new recipe's order."""
    plan = accounts.plan
    old = {n: i for i, n in enumerate(plan.old.names) if plan.old.rules[i] is not None}
    new = {n: i for i, n in enumerate(plan.new.names) if plan.new.rules[i] is not None}
    order = sorted({**old, **new}, key=lambda n: _place(plan, n, old, new))
    return [
        {
            "rule": name,
            "before": _rule(plan.old, accounts.before, accounts.before_characters, old.get(name)),
            "after": _rule(plan.new, accounts.after, accounts.after_characters, new.get(name)),
        }
        for name in order
    ]


def _place(plan: Plan, name: str, old: dict[str, int], new: dict[str, int]) -> tuple[int, int]:
    """By step, then as in the recipe; added rules stand last of their step."""
    if name in old:
        return plan.old.positions[old[name]], old[name]
    return plan.new.positions[new[name]], plan.old.kept + new[name]


def _rule(
    outcomes: Outcomes, counts: Int64Array, characters: Int64Array, number: int | None
) -> dict[str, Any] | None:
    """A rule's condition and what it drops; None where the recipe does not have it."""
    rule = None if number is None else outcomes.rules[number]
    if rule is None or number is None:
        return None
    return {
        "condition": rule.condition,
        "dropped": int(counts[number]),
        "characters": int(characters[number]),
    }


def _groups(accounts: Accounts) -> list[dict[str, Any]]:
    """Group steps that other documents would enter, so that their stored result may not hold."""
    return [
        {"step": accounts.plan.steps[position].step.name, **vars(count)}
        for position, count in sorted(accounts.groups.items())
        if count.left or count.joined_at_most
    ]


def _warnings(accounts: Accounts, groups: list[dict[str, Any]]) -> list[str]:
    """What the figures do not say by themselves."""
    warnings = [
        f"{group['step']} would see other documents ({group['left']} fewer, up to "
        f"{group['joined_at_most']} more), which can change its clusters: its stored result is "
        f"assumed for {group['assumed']} documents"
        for group in groups
    ]
    unfinished = len(accounts.plan.pipeline.batch.shards) - accounts.final_shards
    if unfinished:
        warnings.append(
            f"{unfinished} shards are not finished: their documents are judged as far as they are "
            "committed, and `kept` means kept so far"
        )
    return warnings
