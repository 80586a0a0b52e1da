"""Lists of domains and URLs, read once a process into sorted hashes.

Formats, told apart by content, each also gzipped:

- a tar file of folders that are categories, with files `domains` and `urls` in them (UT1, the
  blacklists of Toulouse); files of these names outside a category belong to the list itself;
- a plain list: a domain or URL a line; what follows it, and lines that start with `#`, are ignored;
- a hosts file: an address, then the domains that it blocks.

Files are read in blocks, so their size does not matter; `docs/url-filter.md` has the memory.
"""

import gzip
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import IO, Final, Literal, cast

import numpy as np

from services.extraction.urls.entries import have_slash, lower, simplify_entries, split_entries
from services.extraction.urls.hosts import canonical, split
from services.extraction.urls.keys import Collector, Table, hash_keys, hash_strings
from shared.errors import UsageError

#: What an entry blocks, and in which letters. `standard`: a domain and all below it, a URL and all
#: below it, whatever scheme, case, `www.` and port. `datatrove`: the entry as it stands, compared
#: with the registered domain, the host and the whole URL. `dclm`: the authority in lower case
#: without any `www`; URLs are not looked at.
Convention = Literal["standard", "datatrove", "dclm"]

_BLOCK: Final = 1 << 22
#: Names of a category's files.
_DOMAINS: Final = "domains"
_URLS: Final = "urls"


@dataclass(frozen=True)
class Blocklist:
    """Domains and URLs. Labels are places in `names`; "" is the list itself."""

    domains: Table
    urls: Table
    names: tuple[str, ...]


@cache
def blocklist_parser(
    convention: Convention, categories: tuple[str, ...], *, may_lack: bool = False
) -> Callable[[Path], Blocklist]:
    """The function that reads a list; the same one for the same arguments, as `load` wants it.

    It raises UsageError where the list has categories, and none of the wanted; with `may_lack` only
    where it has some.
    """

    def parse(path: Path) -> Blocklist:
        names = ("", *categories)
        reader = _Reader(convention)
        found = set()
        for category, kind, file in _files(path):
            found.add(category)
            if category in names:
                reader.read(file, kind, names.index(category))
        if not found & set(names) and not (may_lack and not found):
            has = ", ".join(sorted(found)) or "no file named domains or urls"
            raise UsageError(f"the list has none of the categories; it has {has}", "categories")
        return Blocklist(reader.domains.table(), reader.urls.table(), names)

    return parse


def _files(path: Path) -> Iterator[tuple[str, str, IO[bytes]]]:
    """(category, file name, content) of a list's files; a plain list has neither name."""
    if tarfile.is_tarfile(path):
        with tarfile.open(path) as tar:
            for member in tar:
                folder, _, name = f"/{member.name.removeprefix('./')}".rpartition("/")
                if name not in (_DOMAINS, _URLS) or not member.isfile():
                    continue
                if (file := tar.extractfile(member)) is not None:
                    yield folder.rpartition("/")[2], name, file
        return
    with path.open("rb") as file:
        zipped = file.read(2) == b"\x1f\x8b"
        file.seek(0)
        yield "", "", cast("IO[bytes]", gzip.GzipFile(fileobj=file)) if zipped else file


@dataclass
class _Reader:
    """Reads files of entries, in whole lines, a block at a time."""

    convention: Convention
    domains: Collector = field(default_factory=Collector)
    urls: Collector = field(default_factory=Collector)

    def read(self, file: IO[bytes], kind: str, label: int) -> None:
        rest = b""
        while block := file.read(_BLOCK):
            whole, _, rest = (rest + block).rpartition(b"\n")
            self._add(bytearray(whole), kind, label)
        self._add(bytearray(rest), kind, label)

    def _add(self, lines: bytearray, kind: str, label: int) -> None:
        data = np.frombuffer(lines, np.uint8)
        starts, ends = split_entries(data)
        if self.convention != "datatrove":
            lower(data)
        odd = np.zeros(len(starts), np.bool_)
        if self.convention == "standard":
            is_url, odd = simplify_entries(data, starts, ends)
        elif kind:
            is_url = np.full(len(starts), kind == _URLS)
        else:
            is_url = have_slash(data, starts, ends)
        first, second = hash_keys(data, starts, ends)
        places = np.flatnonzero(odd)
        if len(places):
            entries = [_text(lines[starts[i] : ends[i]]) for i in places]
            keys, is_url[places] = zip(*map(entry_key, entries), strict=True)
            first[places], second[places] = hash_strings(keys)
        some = first != 0  # the hash of ""
        for keys_of, chosen in ((self.domains, some & ~is_url), (self.urls, some & is_url)):
            keys_of.add((first[chosen], second[chosen]), label)


def _text(entry: bytes | bytearray) -> str:
    """UT1 has entries in Latin-1 beside those in UTF-8."""
    try:
        return entry.decode()
    except UnicodeDecodeError:
        return entry.decode("latin-1")


def entry_key(entry: str) -> tuple[str, bool]:
    """The standard key of an entry, and whether it is a URL: it has a path or query."""
    host, rest = split(entry.removeprefix("*."))
    return url_key(canonical(host.lstrip(".")), rest)


def url_key(name: str, rest: str) -> tuple[str, bool]:
    """The standard key of a host's name and what follows the authority."""
    path = rest.partition("#")[0].rstrip("/").lower()
    return (name.removeprefix("www.") + path, True) if path else (name, False)
