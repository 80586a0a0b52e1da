"""`/v1/datasets` and `/v1/runs`: what was exported, and the models trained on it."""

from typing import Any

from fastapi import APIRouter

from services.gateway.models import GatewayDep, Page, PagingDep, page_of
from shared.dataset import read_manifest

router = APIRouter(prefix="/v1", tags=["datasets and runs"])


@router.get("/datasets")
def list_datasets(gw: GatewayDep, page: PagingDep) -> Page[dict[str, Any]]:
    """Committed datasets."""
    ids = sorted(
        e.key.split("/")[1] for e in gw.store.list("datasets/") if e.key.endswith("/manifest.json")
    )
    names, following = page_of(ids, page)
    items = []
    for name in names:
        manifest = read_manifest(gw.store, name)
        items.append(
            {
                "id": name,
                "recipe": manifest.recipe.name,
                "totals": manifest.totals.model_dump(),
                "sequence_length": manifest.sequence_length,
                "licence": manifest.licence,
            }
        )
    return Page(items=items, next=following)


@router.get("/datasets/{dataset}")
def read_dataset(dataset: str, gw: GatewayDep) -> dict[str, Any]:
    """A dataset's manifest: recipe, tokenizer, token shards, hashes, funnel."""
    return read_manifest(gw.store, dataset).model_dump(mode="json")
