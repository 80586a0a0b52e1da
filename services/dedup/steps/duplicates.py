"""The three duplicate steps: one implementation, a kind of key each.

A recipe drops the duplicates with a keep rule: `duplicate: "keeper == true"`.
"""

from functools import partial

from services.dedup.clusters import COLUMNS, DuplicateParams, cluster, join, match
from services.dedup.keys import KeyReader, band_keys, binary_keys
from shared.step import Phase, group_step


def _register(name: str, column: str, reader: KeyReader, length: str, doc: str) -> None:
    """A duplicate step over the keys in `column`; `longest` keeps the greatest `length`."""
    group_step(
        name,
        reads=(column, "document", length),
        phases=(
            Phase(
                "match",
                partial(match, column=column, reader=reader),
                lambda params, _shards: int(params.partitions),
            ),
            Phase("cluster", partial(cluster, length=length), joined=lambda _params: True),
        ),
        doc=doc,
        params=DuplicateParams,
        columns=COLUMNS,
        join=join,
    )


_register(
    "dedup.exact_duplicates_v1",
    "text_hash",
    binary_keys,
    "characters",
    "Documents whose texts have the same hash; one of each cluster stays (specs 15.8).",
)
_register(
    "dedup.url_duplicates_v1",
    "url_key",
    binary_keys,
    # The archive's own measure: URLs are compared before anything is extracted, too.
    "payload_bytes",
    "Documents found under the same URL; one of each cluster stays (specs 1.9, 3.2).",
)
_register(
    "dedup.near_duplicates_v1",
    "bands",
    band_keys,
    "characters",
    "Documents that share a MinHash band, linked transitively; one of each cluster stays "
    "(specs 1.7, 10.1). Candidates are not verified, as in RefinedWeb and FineWeb.",
)
