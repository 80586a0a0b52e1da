"""Documents of a batch: the list with its filters, and the life of one."""

from typing import Annotated, Any

from fastapi import APIRouter, Query, Request, Response

from services.gateway import blocks, documents, runs
from services.gateway.models import GatewayDep, Paging
from services.gateway.state import Gateway
from services.gateway.ui import marked
from services.gateway.ui.recent import LooksDep
from services.gateway.ui.render import PageRoute, page, query

router = APIRouter(prefix="/batches/{batch_id}/documents", route_class=PageRoute)
#: Documents on a page, and training runs that are asked about a document.
DOCUMENTS = 50
RUNS = 100
#: Blocks of a document's page that are shown at a time, and characters of each.
BLOCKS = 200
BLOCK_CHARACTERS = 4000
VERDICTS = ("kept", "dropped", "failed")


@router.get("")
def listing(
    request: Request,
    batch_id: str,
    gw: GatewayDep,
    looks: LooksDep,
    verdict: Annotated[str, Query(pattern="^(kept|dropped|failed|)$")] = "",
    rule: str = "",
    url: str = "",
    language: str = "",
    cursor: str | None = None,
) -> Response:
    """Documents that pass the filters."""
    chosen: Any = {"verdict": verdict, "rule": rule, "url": url, "language": language}
    told = looks.batch(batch_id)
    found = documents.list_documents(
        batch_id,
        gw,
        Paging(cursor=cursor, limit=DOCUMENTS),
        **{name: value or None for name, value in chosen.items()},
    )
    return page(
        request,
        "documents.html",
        batch=told,
        chosen=chosen,
        verdicts=VERDICTS,
        rules=[r["rule"] for s in told["funnel"]["stages"] for r in s.get("rules", [])],
        documents=found.items,
        following=query(**chosen, cursor=found.next) if found.next else None,
        cursor=cursor,
    )


@router.get("/{document:path}")
def document(
    request: Request,
    batch_id: str,
    document: str,
    gw: GatewayDep,
    only: Annotated[str, Query(pattern="^(kept|removed|)$")] = "",
    blocks_from: str | None = None,
) -> Response:
    """The life of a document."""
    told = documents.read_document(batch_id, document, gw)
    pieces = marked.mark(told["text_before_edits"] or "", told["edits"])
    shown, left_out = marked.shortened(pieces)
    seen = runs.document_steps(gw, Paging(cursor=None, limit=RUNS), batch_id, document)
    return page(
        request,
        "document.html",
        life=told,
        pieces=shown,
        left_out=left_out,
        cuts=sum(p.kind == "removed" for p in pieces),
        language=_language(told),
        runs=seen.items,
        recipe=gw.catalog.view(batch_id).batch.recipe.name,
        blocks=_blocks(gw, told, only or None, blocks_from),
        block_characters=BLOCK_CHARACTERS,
        only=only,
        blocks_from=blocks_from,
    )


def _blocks(
    gw: Gateway, told: dict[str, Any], only: Any, cursor: str | None
) -> blocks.Blocks | None:
    """Some of the page's blocks of text; None where the batch has not stored them."""
    view = gw.catalog.view(told["batch"])
    found = blocks.blocks_step(view.pipeline)
    stored = {step["step"] for step in told["steps"] if step["committed"]}
    if found is None or found[0].step.name not in stored:
        return None
    page = Paging(cursor=cursor, limit=BLOCKS)
    return blocks.read_page(gw.store, view, told["document"], only, page)


def _language(told: dict[str, Any]) -> str | None:
    """The measured language, as the text's `lang`, where it is a plain code."""
    for step in told["steps"]:
        value = step["measurements"].get("language", {}).get("value")
        if isinstance(value, str) and value.isascii() and value.isalpha() and len(value) < 4:
            return value
    return None
