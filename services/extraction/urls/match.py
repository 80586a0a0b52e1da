"""Which list names a URL, its host or its domain."""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Final
from urllib.parse import urlsplit

import numpy as np
import numpy.typing as npt

from services.extraction.urls.blocklists import Blocklist, Convention, url_key
from services.extraction.urls.hosts import Host, host_of, split
from services.extraction.urls.keys import (
    ABSENT,
    Int64Array,
    Table,
    find_prefixes,
    hash_strings,
    spans,
)

#: What of a URL a list names, in the order in which it is looked for.
PARTS: Final = ("domain", "host", "url")
_DOMAIN, _HOST, _URL = range(3)


@dataclass(frozen=True)
class Urls:
    """URLs and their hosts, in parallel."""

    urls: Sequence[str]
    hosts: list[Host]
    rests: list[str]

    @classmethod
    def of(cls, urls: Sequence[str]) -> "Urls":
        """Take URLs apart; anything may stand in them."""
        parts = [split(url) for url in urls]
        hosts = [host_of(url, host) for url, (host, _) in zip(urls, parts, strict=True)]
        return cls(urls, hosts, [rest for _, rest in parts])


class Matches:
    """For each URL what names it first: domains before hosts before URLs, then the lists in order.

    `part` is a place in PARTS, `source` in the lists, `label` in the list's names; ABSENT for a URL
    that nothing names.
    """

    def __init__(self, urls: Urls, lists: Sequence[Blocklist], convention: Convention) -> None:
        rows = len(urls.urls)
        self.part, self.source, self.label = (np.full(rows, ABSENT, np.int64) for _ in range(3))
        if any(len(one.domains.first) for one in lists):
            for part, keys, owners in _domain_keys(urls, convention):
                hashes = hash_strings(keys)
                for number, one in enumerate(lists):
                    self._add(part, number, owners, one.domains.find(hashes))
        if convention != "dclm" and any(len(one.urls.first) for one in lists):
            for number, one in enumerate(lists):
                labels = _find_urls(urls, one.urls, convention)
                self._add(_URL, number, np.arange(rows), labels)

    @property
    def found(self) -> npt.NDArray[np.bool_]:
        """Which URLs something names."""
        return np.asarray(self.source != ABSENT)

    def _add(self, part: int, source: int, owners: Int64Array, labels: Int64Array) -> None:
        """Note the first hit of each URL that had none before; `owners` ascend."""
        hits = np.flatnonzero((labels != ABSENT) & ~self.found[owners])
        rows, first = np.unique(owners[hits], return_index=True)
        self.part[rows], self.source[rows] = part, source
        self.label[rows] = labels[hits[first]]


def _domain_keys(urls: Urls, convention: Convention) -> list[tuple[int, Sequence[str], Int64Array]]:
    """(part, keys to look up, the URL of each key)."""
    hosts, rows = urls.hosts, np.arange(len(urls.hosts))
    if convention == "dclm":
        return [(_HOST, [_authority(url) for url in urls.urls], rows)]
    if convention == "datatrove":
        return [
            (_DOMAIN, [host.written_registered for host in hosts], rows),
            (_HOST, [host.written_full for host in hosts], rows),
        ]
    names = [host.names for host in hosts]
    owners = np.repeat(rows, [len(n) for n in names])
    return [
        (_DOMAIN, [host.registered for host in hosts], rows),
        (_HOST, list(chain.from_iterable(names)), owners),
    ]


def _authority(url: str) -> str:
    """DCLM's key of a URL: its authority, port and user included; "" where it cannot be read."""
    try:
        return urlsplit(url).netloc.lower().replace("www", "")
    except ValueError:
        return ""


def _find_urls(urls: Urls, table: Table, convention: Convention) -> Int64Array:
    if convention == "datatrove":
        return table.find(hash_strings(urls.urls))
    keys = [url_key(h.name, rest)[0] for h, rest in zip(urls.hosts, urls.rests, strict=True)]
    found = find_prefixes(*spans(keys), table.first, table.second, table.labels)
    return np.asarray(found)
