"""The three duplicate steps: one implementation, a kind of key each.

    sort, merge, match      edges between documents that share a key (`services.dedup.matching`)
    cluster                 clusters and their keepers (`services.dedup.clusters`)
    gather, verify, settle  where near duplicates are verified: the texts of all candidates, the
                            pairs that pass, clusters of these (`services.dedup.verification`)

A recipe drops the duplicates with a keep rule: `duplicate: "keeper == true"`.
"""

from functools import partial
from typing import Any

from services.dedup import across, verification
from services.dedup.clusters import COLUMNS, cluster, join
from services.dedup.duplicates import DuplicateParams, NearDuplicateParams, UrlDuplicateParams
from services.dedup.index.grouping import merge, merge_tasks, sort_tasks
from services.dedup.keys import KeyColumn, read_bands, read_hashes
from services.dedup.matching import match, sort, verified
from shared.scope import Scope
from shared.step import GroupOutput, Phase, group_step

BANDS = KeyColumn("bands", read_bands)
TEXT_HASH = KeyColumn("text_hash", read_hashes)
URL_KEY = KeyColumn("url_key", read_hashes)
#: What `longest` goes by. URLs are compared before anything is extracted, too: there it is the
#: archive's own measure.
LENGTH = "characters"
URL_LENGTH = "payload_bytes"


def _partitions(params: DuplicateParams, _shards: int) -> int:
    return params.partitions


def _score(params: DuplicateParams) -> tuple[str, ...]:
    return () if params.score is None else (params.score,)


def _score_and_text(params: DuplicateParams) -> tuple[str, ...]:
    return (*_score(params), "text") if verified(params) else _score(params)


def _phases(column: KeyColumn, length: str) -> tuple[Phase, ...]:
    """From keys to clusters."""
    return (
        Phase("sort", partial(sort, column=column), sort_tasks),
        Phase("merge", merge, merge_tasks),
        Phase("match", match, _partitions),
        Phase(
            "cluster",
            partial(cluster, column=column.name, length=length),
            joined=lambda params: not verified(params),
        ),
    )


def _sort_urls(scope: Scope, partition: int, params: UrlDuplicateParams) -> GroupOutput:
    if params.across_parts is None:
        return sort(scope, partition, params, column=URL_KEY)
    return across.sort(across.InPartOrder(scope, params.across_parts), partition, params, URL_KEY)


def _match_urls(scope: Scope, partition: int, params: UrlDuplicateParams) -> GroupOutput:
    if params.across_parts is None:
        return match(scope, partition, params)
    return across.match(across.InPartOrder(scope, params.across_parts), partition, params)


def _cluster_urls(scope: Scope, partition: int, params: UrlDuplicateParams) -> GroupOutput:
    found = partial(cluster, column=URL_KEY.name, length=URL_LENGTH)
    if params.across_parts is None:
        return found(scope, partition, params)
    ordered = across.InPartOrder(scope, params.across_parts)
    return across.in_batch_order(ordered, found(ordered, partition, params))


def _joined(_params: Any) -> bool:
    return True


group_step(
    "dedup.exact_duplicates_v1",
    reads=("text_hash", "document", LENGTH),
    also_reads=_score,
    phases=_phases(TEXT_HASH, LENGTH),
    doc="Documents whose texts have the same hash; one of each cluster stays (specs 15.8).",
    params=DuplicateParams,
    columns=COLUMNS,
    join=join,
)
group_step(
    "dedup.url_duplicates_v1",
    reads=("url_key", "document", URL_LENGTH),
    also_reads=_score,
    phases=(
        Phase("sort", _sort_urls, sort_tasks),
        Phase("merge", merge, merge_tasks),
        Phase("match", _match_urls, _partitions),
        Phase("cluster", _cluster_urls, joined=_joined),
    ),
    doc="Documents found under the same URL; one of each cluster stays (specs 3.2), or all of the "
    "first part of the archives that has it (specs 1.9).",
    params=UrlDuplicateParams,
    columns=COLUMNS,
    join=join,
)
group_step(
    "dedup.near_duplicates_v1",
    reads=("bands", "document", LENGTH),
    also_reads=_score_and_text,
    phases=(
        *_phases(BANDS, LENGTH),
        Phase("gather", verification.gather, verification.gather_tasks),
        Phase("verify", verification.verify, verification.verify_tasks),
        Phase(
            "settle",
            partial(verification.settle, length=LENGTH),
            verification.settle_tasks,
            joined=verified,
        ),
    ),
    doc="Documents that share a MinHash band, linked transitively; one of each cluster stays "
    "(specs 1.7, 10.1). Candidates are verified where `verify` asks for it.",
    params=NearDuplicateParams,
    columns=COLUMNS,
    join=join,
)
