"""From a document to its token spans, and back: look-ups in the tables that the export left."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from services.gateway.catalog import Catalog
from shared.dataset import DatasetManifest, read_manifest
from shared.errors import NotFoundError
from shared.stages import Pipeline
from shared.store import Store


def spans_of_document(store: Store, pipeline: Pipeline, document: str) -> list[dict[str, Any]]:
    """Where the batch's datasets hold the document: token shard and span [start, end)."""
    spans = []
    for dataset in pipeline.datasets:
        try:
            manifest = read_manifest(store, dataset)
        except NotFoundError:  # not exported yet
            continue
        spans += [
            {"dataset": dataset, **span} for span in _spans(store, manifest, dataset, document)
        ]
    return spans


def _spans(
    store: Store, manifest: DatasetManifest, dataset: str, document: str
) -> list[dict[str, Any]]:
    for position, shard in enumerate(manifest.shards):
        data = store.get(f"datasets/{dataset}/{shard.index_file}")
        index = pq.read_table(pa.BufferReader(data), use_threads=False)
        found = index.filter(pc.equal(index.column("document"), document))
        if found.num_rows:
            return [
                {"token_shard": position, "file": shard.tokens_file, **row}
                for row in found.select(["start", "end"]).to_pylist()
            ]
    return []


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
