"""A keep rule of a batch: how its signal lies, what it dropped, and documents at its threshold."""

from typing import Any

from fastapi import APIRouter, Request, Response

from services.gateway import around, signals
from services.gateway.conductor import batch_state
from services.gateway.models import GatewayDep
from services.gateway.ui import charts
from services.gateway.ui.recent import LooksDep
from services.gateway.ui.render import PageRoute, page
from shared.errors import UsageError

router = APIRouter(prefix="/batches/{batch_id}/rules", route_class=PageRoute)


@router.get("/{rule}")
def rule(request: Request, batch_id: str, rule: str, gw: GatewayDep, looks: LooksDep) -> Response:
    """The page of a rule."""
    view = gw.catalog.view(batch_id)
    finished = batch_state(gw.catalog, view) == "finished"
    near = around.tell(gw.store, view, rule, finished=finished)
    signal = _signal(gw, view, near["signal"], finished=finished)
    test = around.find_rule(view.pipeline, rule).rule.test
    line = {"op": test.op, "value": test.value, "condition": near["condition"]}
    return page(
        request,
        "rule.html",
        batch=looks.batch(batch_id),
        rule=rule,
        near=near,
        signal=signal,
        counts=_counts(looks.batch(batch_id)["funnel"], rule),
        chart=charts.histogram(signal, line) if signal else None,
        bins=_bins(signal) if signal else [],
        groups=charts.GROUPS,
    )


def _signal(gw: Any, view: Any, name: str, *, finished: bool) -> dict[str, Any] | None:
    """The distribution of the rule's column; None where it is no plain column."""
    try:
        signal = signals.find_signal(view.pipeline, name)
    except UsageError:
        return None
    return signals.tell(gw.store, view, signal, finished=finished)


def _counts(funnel: dict[str, Any], rule: str) -> dict[str, Any]:
    """The rule's line in the funnel, with its stage."""
    for stage in funnel["stages"]:
        for counted in stage.get("rules", []):
            if counted["rule"] == rule:
                return {"stage": stage["stage"], "entered": stage["entered"], **counted}
    return {}


def _bins(signal: dict[str, Any]) -> list[dict[str, Any]]:
    """The histogram as rows of a table."""
    names = charts.bin_names(signal["histogram"])
    split = signal["by_verdict"]
    return [
        {"bin": name, **{group: split[group]["counts"][i] for group in split}}
        for i, name in enumerate(names)
    ]
