"""The host of a URL, and the domain that somebody registered, by the Public Suffix List.

The list is the snapshot in tldextract, ICANN's part (blogspot.com is a domain, not a suffix): no
network, no cache on disk. URLs are read as leniently as tldextract reads them, so that nothing a
crawl holds raises: without a scheme the text up to the first `/`, `?` or `#` is the authority, and
user name, port and final dots do not belong to the host.
"""

import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Final

#: Hosts that a process remembers (about 0.5 kB each), so that a host is looked up once in a while.
REMEMBERED: Final = 16_384
#: DNS allows no longer name; longer ones are only compared.
_LONGEST: Final = 253
_SCHEME: Final = re.compile(r"(?:[a-zA-Z0-9+.-]+:)?//")
_AUTHORITY_ENDS: Final = re.compile(r"[/?#]")
#: Full stops that IDNA reads as dots.
_DOTS: Final = re.compile("[\u3002\uff0e\uff61]")


@dataclass(frozen=True, slots=True)
class Host:
    """A host, "" for what is not there.

    `name` and `registered` are lower-case and ASCII (IDNA); `registered` is "" for an address, a
    name without a public suffix and a public suffix. The others are as tldextract writes them, in
    the URL's own letters.
    """

    name: str
    registered: str
    written_registered: str
    written_full: str

    @property
    def names(self) -> list[str]:
        """The host and the domains above it, down to the registered one; most specific first."""
        if not self.registered:
            return [self.name]
        labels = self.name.split(".")
        least = self.registered.count(".") + 1
        return [".".join(labels[i:]) for i in range(len(labels) - least + 1)]


def split(url: str) -> tuple[str, str]:
    """The host as written, and what follows the authority."""
    scheme = _SCHEME.match(url)
    start = scheme.end() if scheme else 0
    found = _AUTHORITY_ENDS.search(url, start)
    end = found.start() if found else len(url)
    host = url[start:end].rpartition("@")[2]
    if host.startswith("[") and "]" in host:
        return host[: host.index("]") + 1], url[end:]
    return host.partition(":")[0].strip().rstrip(".\u3002\uff0e\uff61"), url[end:]


def canonical(host: str) -> str:
    """Lower case, IDNA's ASCII form where there is one; each label by itself."""
    host = _DOTS.sub(".", host)
    if host.isascii() or len(host) > _LONGEST:
        return host.lower()
    return ".".join(_ascii_label(label) for label in host.split("."))


def _ascii_label(label: str) -> str:
    import idna

    if label.isascii():
        return label.lower()
    try:
        return idna.encode(label, uts46=True).decode()
    except UnicodeError:
        return label.lower()


_remembered: dict[str, Host] = {}


def host_of(url: str, written: str) -> Host:
    """The host of a URL whose `split` gave `written`."""
    host = _remembered.get(written)
    if host is None:
        if len(_remembered) >= REMEMBERED:
            _remembered.clear()
        host = _remembered[written] = _look_up(url, written)
    return host


def _look_up(url: str, written: str) -> Host:
    found = _suffixes()(url)
    domain = found.top_domain_under_public_suffix
    name = canonical(written)
    labels = domain.count(".") + 1
    registered = ".".join(name.split(".")[-labels:]) if domain else ""
    return Host(name, registered, domain, found.fqdn)


@cache
def _suffixes() -> Any:
    """The Public Suffix List, read once a process (40 ms)."""
    from tldextract import TLDExtract

    return TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)
