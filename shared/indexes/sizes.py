"""How much an index holds, as the heads of its runs tell."""

import json
from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from shared.errors import NotFoundError
from shared.ranges import open_object
from shared.store import Store

#: A run begins with 8 bytes of magic, the length of its header (4) and the header, as JSON
#: (`services.dedup.index.run`).
_HEADER_AT = 12


class Size(NamedTuple):
    """Entries and bytes of some runs."""

    entries: int
    bytes: int


@lru_cache(maxsize=2**14)
def _size(store: Store, key: str) -> Size:
    """Of one run; runs never change."""
    run = open_object(store, key)
    length = int.from_bytes(run.read(8, 4), "little")
    return Size(json.loads(run.read(_HEADER_AT, length))["entries"], run.size)


def size_of(store: Store, keys: Iterable[str]) -> Size:
    """Of some runs together; those that are lost count nothing."""
    found = []
    for key in keys:
        try:
            found.append(_size(store, key))
        except NotFoundError:
            continue
    return Size(sum(s.entries for s in found), sum(s.bytes for s in found))
