"""Batches, sources and shards: what was submitted, and how it is cut into work.

A source is cut by compressed byte range from its size alone, so that planning needs no scan. A
shard owns the records (gzip members, zstd frames, lines, row groups) that *start* in its range.
"""

import re
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from functools import cached_property
from pathlib import PurePosixPath
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from shared.recipe import Recipe, digest

#: Compressed bytes a shard. 32 MiB of gzip are about 300 typical pages of 260 kB of HTML, or
#: 1,500 of a usual crawl: minutes of work on one core, well below a task's time limit.
DEFAULT_SHARD_BYTES = 32 * 2**20
#: Bytes out for one byte in, after which a compressed record counts as an attack. gzip reaches
#: 1,032 (zeros and nothing else), pages about 10, a page that repeats one line 300.
DEFAULT_EXPANSION = 1000


class Source(BaseModel):
    """One archive. `name` is the shortest end of its path that is unique in the batch."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str
    name: str
    size: int = Field(ge=0)
    etag: str

    @cached_property
    def id(self) -> str:
        """Identifies the source in keys of the store."""
        slug = re.sub(r"[^A-Za-z0-9._-]+", "_", PurePosixPath(self.name).name)[-48:]
        return f"{slug}-{digest([self.uri, self.name, self.size, self.etag])[:10]}"


@dataclass(frozen=True)
class Shard:
    """Bytes [start, end) of a source; `index` is its position in the batch."""

    index: int
    source: Source
    start: int
    end: int

    @property
    def id(self) -> str:
        """Identifies the shard in keys of the store and in messages."""
        return f"{self.source.id}.{self.start}-{self.end}"


class Membership(BaseModel):
    """A batch's place in an index (`shared.indexes`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    #: Number of the log's entry with which it joined: what came before is what it sees.
    ordinal: int = Field(ge=0)
    #: What its shards are numbered from: shards of all batches that joined earlier.
    base: int = Field(ge=0)
    #: Digest of the batches that it sees.
    members: str


class Batch(BaseModel):
    """`batches/<id>/batch.json`: what was submitted, immutable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str
    recipe: Recipe
    sources: tuple[Source, ...] = Field(min_length=1)
    shard_bytes: int = Field(default=DEFAULT_SHARD_BYTES, ge=1024)
    submitter: str = ""
    created: datetime
    labels: dict[str, Any] = Field(default_factory=dict)
    #: By index and step (`news/near_duplicates_v1`).
    indexes: dict[str, Membership] = Field(default_factory=dict)

    @cached_property
    def shards(self) -> tuple[Shard, ...]:
        """All shards in a fixed order: sources by name, then by byte range."""
        cuts = [
            (source, start, min(start + self.shard_bytes, source.size))
            for source in sorted(self.sources, key=lambda s: (s.name, s.id))
            for start in range(0, max(source.size, 1), self.shard_bytes)
        ]
        return tuple(Shard(i, *cut) for i, cut in enumerate(cuts))

    @cached_property
    def scope(self) -> str:
        """Identifies what a group step depends on: shards, the crawl's name, earlier batches."""
        shards = [s.id for s in self.shards]
        crawl = self.labels.get("crawl")
        if not self.indexes and crawl is None:
            return digest(shards)
        members = {name: m.model_dump() for name, m in self.indexes.items()}
        return digest([shards, members, crawl])


def unique_names(uris: list[str]) -> list[str]:
    """For each URI the shortest end of its path that no other URI has."""
    parts = [PurePosixPath(uri).parts for uri in uris]
    depth = 1
    while True:
        names = ["/".join(p[-depth:]) for p in parts]
        counts = Counter(names)
        if all(n == 1 for n in counts.values()) or depth > max(map(len, parts)):
            return names
        depth += 1


@dataclass
class ShardReader:
    """What a source step reads from: a byte range of an archive, and where it counts records.

    `read(offset, length)` returns the archive's bytes, fewer only at its end; offsets are of the
    whole archive. `records` counts the records of the shard by type, those that give no document
    (warcinfo, request, metadata, ...) included. What expands more than `expansion` times is an
    error.
    """

    archive: str
    size: int
    start: int
    end: int
    read: Callable[[int, int], bytes]
    expansion: int = DEFAULT_EXPANSION
    records: Counter[str] = field(default_factory=Counter)
