"""The submit form. What was typed stays, and a fault is told at the field that it names."""

import re
import secrets
from typing import Any

from fastapi import APIRouter, Request, Response
from pydantic import ValidationError

from services.gateway import batches
from services.gateway.models import BatchRequest, GatewayDep
from services.gateway.state import Gateway
from services.gateway.ui import recipes
from services.gateway.ui.render import FormDep, PageRoute, go_to, page, path, told
from shared.errors import CorpusmillError, UsageError
from shared.recipe import builtin_recipes, load_recipe, parse_yaml, usage_error

router = APIRouter(route_class=PageRoute)
FIELDS = ("sources", "recipe", "own_recipe", "shard_bytes", "submitter", "labels")
FIRST_RECIPE = "refinedweb-lite"
_LABEL = re.compile(r"^\s*([^=\s]+)\s*=\s*(.*?)\s*$")


@router.get("/submit")
def empty_form(request: Request, gw: GatewayDep, recipe: str = FIRST_RECIPE) -> Response:
    """The form."""
    return _form(request, gw, {"recipe": recipe})


@router.post("/submit")
async def submit(request: Request, gw: GatewayDep, sent: FormDep) -> Response:
    """Submit; on to the batch, or back to the form with what was typed."""
    from starlette.concurrency import run_in_threadpool

    try:
        batch = await run_in_threadpool(_submit, gw, sent)
    except (CorpusmillError, ValidationError) as error:
        if isinstance(error, ValidationError):
            error = usage_error(error, "")
        found = await told(request, error)
        fault = {"field": _field(found.field), "detail": found.detail}
        return _form(request, gw, sent, found.status, fault)
    return go_to(path("batches", batch))


def _submit(gw: Gateway, sent: dict[str, str]) -> str:
    """The id of the new batch, or of the one that this form made before."""
    key = sent.get("key") or secrets.token_hex(16)
    response = Response()
    return str(batches.submit(batch_request(sent), gw, response, key)["id"])


def batch_request(sent: dict[str, str]) -> BatchRequest:
    """The request that a form stands for; UsageError or ValidationError name the field."""
    own = sent.get("own_recipe", "").strip()
    size = sent.get("shard_bytes", "").strip()
    lines = [line.strip() for line in sent.get("sources", "").splitlines()]
    return BatchRequest(
        sources=[line for line in lines if line],
        recipe=parse_yaml(own, "own recipe") if own else sent.get("recipe", ""),
        shard_bytes=size or None,  # pydantic reads the number
        submitter=sent.get("submitter", "").strip(),
        labels=_labels(sent.get("labels", "")),
    )


def _labels(text: str) -> dict[str, Any]:
    """`name=value`, one a line."""
    labels = {}
    for line in filter(str.strip, text.splitlines()):
        match = _LABEL.match(line)
        if match is None:
            raise UsageError(f"labels: {line.strip()!r} is not name=value", field="labels")
        labels[match[1]] = match[2]
    return labels


def _field(field: str | None) -> str | None:
    """The form's field that a path into the request belongs to."""
    first = (field or "").partition(".")[0]
    if first in ("steps", "keep", "extends", "override", "name", "keep_from"):
        return "own_recipe"
    return first if first in FIELDS else None


def _form(
    request: Request,
    gw: Gateway,
    sent: dict[str, str],
    status: int = 200,
    fault: dict[str, Any] | None = None,
) -> Response:
    known = list(builtin_recipes())
    chosen = sent.get("recipe") if sent.get("recipe") in known else known[0]
    assert chosen is not None
    recipe = load_recipe(chosen)
    if fault and fault["field"] == "recipe" and sent.get("own_recipe", "").strip():
        fault = {**fault, "field": "own_recipe"}
    return page(
        request,
        "submit.html",
        status,
        sent={name: sent.get(name, "") for name in FIELDS} | {"recipe": chosen},
        fault=fault,
        known=known,
        recipe=recipe,
        rules=recipes.rules(recipe),
        default_shard_bytes=gw.conf.shard_bytes,
        # A form sent twice makes one batch; after a fault it is another request.
        key=secrets.token_hex(16),
    )
