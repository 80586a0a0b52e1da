"""Within which documents duplicates count: all, those of a crawl, those of a part of the crawls.

FineWeb compares within each crawl, since what global deduplication leaves of old crawls is bad
(specs 15.9). RefinedWeb cuts all crawls into 100 parts that each hold 1/100 of every crawl (specs
1.7). A group's documents have keys of their own: each key is mixed with a salt of its group.
"""

import re
from functools import lru_cache
from hashlib import blake2b
from pathlib import PurePosixPath
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from shared.shards import Batch

UInt64Array = npt.NDArray[np.uint64]
Int64Array = npt.NDArray[np.int64]
Within = Literal["all", "crawl", "part"]

#: Names of Common Crawl's crawls: by week (or, long ago, by year), and the news crawl's months.
CRAWL: Final = re.compile(r"CC-MAIN-\d{4}(?:-\d{4}(?!\d)|-\d{2}(?!\d)|(?![\d-]))")
NEWS: Final = re.compile(r"CC-NEWS[/-](\d{4})/?(\d{2})(?:\d{2})?(?!\d)")


def crawl_of(uri: str, label: str = "") -> str:
    """The crawl that an archive belongs to: by its URI, else the label given; "" where unknown."""
    if found := CRAWL.search(uri):
        return found[0]
    found = NEWS.search(uri)
    return f"CC-NEWS-{found[1]}-{found[2]}" if found else label


def part_of(uri: str, parts: int) -> int:
    """The part that an archive belongs to: a hash of its file's name, wherever it is stored."""
    name = PurePosixPath(uri).name.encode()
    return int.from_bytes(blake2b(name, digest_size=8).digest(), "little") % parts


def parts_of(batch: Batch, parts: int) -> Int64Array:
    """The part of each shard."""
    cached = lru_cache(None)(lambda uri: part_of(uri, parts))
    return np.array([cached(s.source.uri) for s in batch.shards], np.int64)


def salts_of(batch: Batch, within: Within, parts: int) -> UInt64Array | None:
    """For each shard the salt of the group that it belongs to; None where there is one group."""
    if within == "all":
        return None
    label = str(batch.labels.get("crawl", ""))

    @lru_cache(None)
    def salt(uri: str) -> int:
        group = crawl_of(uri, label) if within == "crawl" else f"{part_of(uri, parts)}/{parts}"
        data = f"{within}:{group}".encode()
        return int.from_bytes(blake2b(data, digest_size=8).digest(), "little")

    return np.array([salt(s.source.uri) for s in batch.shards], np.uint64)
