"""From a document to its token spans, and back: look-ups in the tables that the export left."""

from typing import Any

from services.gateway.catalog import Catalog
from shared.dataset import find_document, read_manifest
from shared.errors import NotFoundError
from shared.stages import Pipeline
from shared.store import Store


def spans_of_document(store: Store, pipeline: Pipeline, document: str) -> list[dict[str, Any]]:
    """Where the batch's datasets hold the document: token shard and span [start, end)."""
    spans = []
    for dataset in pipeline.datasets:
        try:
            manifest = read_manifest(store, dataset)
            shard, start, end = find_document(store, manifest, document)
        except NotFoundError as error:
            if error.field is None:  # an object of the dataset is gone
                raise
            continue  # dropped before the export, or not exported yet
        file = manifest.shards[shard].tokens_file
        place = {"dataset": dataset, "token_shard": shard, "file": file}
        spans.append(place | {"start": start, "end": end})
    return spans


def batch_of_dataset(catalog: Catalog, dataset: str) -> Pipeline:
    """A batch that writes the dataset."""
    for batch in reversed(catalog.ids()):
        pipeline = catalog.view(batch).pipeline
        if dataset in pipeline.datasets:
            return pipeline
    raise NotFoundError(f"no batch here wrote dataset {dataset!r}", field="dataset")


def archive_place(pipeline: Pipeline, document: str) -> dict[str, Any]:
    """The archive and offset that a document's id names."""
    name, _, offset = document.rpartition(":")
    source = next(s for s in pipeline.batch.sources if s.name == name)
    return {
        "archive": source.uri,
        "offset": int(offset.partition("+")[0]),
        "batch": pipeline.batch.id,
    }
