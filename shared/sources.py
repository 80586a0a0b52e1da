"""What a source, a list or a model may be read from: schemes, prefixes, addresses.

Whoever submits a batch names what the gateway and the workers read with their own rights. So a URI
is put into one spelling and compared with what the settings allow, at submission and again when a
worker opens it. `shared.store.open_source` is the one way in, and calls `check_source`.

Without `source_prefixes` a process that is told to bind to loopback opens all that the store can
open: it serves one person, whose disk it is. Any other opens `store:`, s3://, gs:// and az:// only:
a local path would be a path of the gateway's and the workers' disks.
"""

import ipaddress
import os
import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from shared.errors import TransientError, UsageError

if TYPE_CHECKING:
    from shared.settings import Settings

#: `store:<key>` names an object of the project's own store (uploads).
STORE_SCHEME: Final = "store:"
#: What of the own store may be a source: the rest are results, and the hashes of tokens.
UPLOADS: Final = "uploads/"
_BUCKETS: Final = {"s3": "s3", "s3a": "s3", "gs": "gs", "az": "az", "azure": "az"}
_WEB: Final = {"http": 80, "https": 443}
_BUCKET: Final = re.compile(r"[A-Za-z0-9$][A-Za-z0-9._-]{0,254}", re.ASCII)
_HOST: Final = re.compile(r"[a-z0-9._-]{1,253}|\[[0-9a-f:.]{2,45}\]", re.ASCII)
_CONTROLS: Final = re.compile(r"[\x00-\x1f\x7f]")
#: What no part of a path holds, once its percent-encoding is undone.
_HIDDEN: Final = re.compile(r"[/\\\x00-\x1f\x7f]")
_SHARED: Final = (STORE_SCHEME, "s3://", "gs://", "az://")
#: Percent-encoding on top of each other that is undone before a path is judged.
_MOST_DECODINGS: Final = 5
#: Serve machines' credentials, and are public by their number: Azure's wire server.
_METADATA: Final = frozenset({ipaddress.ip_address("168.63.129.16")})
_NEVER: Final = tuple(
    map(ipaddress.ip_network, ("192.0.0.0/24", "100.64.0.0/10", "0.0.0.0/8", "::/96"))
)
_NAT64: Final = ipaddress.ip_network("64:ff9b::/96")
Address = ipaddress.IPv4Address | ipaddress.IPv6Address


@dataclass(frozen=True)
class Place:
    """A URI in one spelling. `root` is `store:`, `/`, `s3://bucket/` or `https://host:443/`."""

    root: str
    path: str

    @property
    def text(self) -> str:
        """As it is compared."""
        return self.root + self.path

    def lies_below(self, folder: str) -> bool:
        """Whether it is the folder or in it: `s3://b` does not hold `s3://b-evil/x`."""
        if folder.endswith(("/", ":")):
            return self.text.startswith(folder) or self.text == folder.removesuffix("/")
        return self.text == folder or self.text.startswith(folder + "/")


def normalise(uri: str) -> Place:
    """The place that a URI names; UsageError where it is none, or tries to climb out of one."""
    if _CONTROLS.search(uri):  # some parsers pass over them
        raise _refused(uri, "it holds control characters")
    if uri.startswith(STORE_SCHEME):
        return Place(STORE_SCHEME, _path(uri, uri.removeprefix(STORE_SCHEME)))
    scheme, found, rest = uri.partition("://")
    scheme = scheme.lower()
    if not found or scheme == "file":
        return _local(uri, rest if found else uri)
    if scheme in _WEB:
        return _web(uri)
    if scheme not in _BUCKETS:
        known = "absolute paths, file://, store:, s3://, gs://, az://, http://, https://"
        raise _refused(uri, f"its scheme is none of {known}")
    bucket, _, key = rest.partition("/")
    if not _BUCKET.fullmatch(bucket):
        raise _refused(uri, f"{bucket!r} is no bucket's name")
    return Place(f"{_BUCKETS[scheme]}://{bucket}/", _path(uri, key))


def _local(uri: str, path: str) -> Place:
    """A path of this machine, links resolved."""
    if not path.startswith("/"):
        raise UsageError(f"{uri!r} is neither an absolute path nor a URI", field="sources")
    _path(uri, re.sub("/+", "/", path).lstrip("/"))
    real = os.path.realpath(path)
    return Place("/", real.lstrip("/") + ("/" if path.endswith("/") and real != "/" else ""))


def _web(uri: str) -> Place:
    """An address of the web, its port written out."""
    try:
        parts = urlsplit(uri)
        port = parts.port or _WEB[parts.scheme]
    except ValueError as error:
        raise _refused(uri, str(error)) from error
    if parts.username is not None or parts.password is not None:
        raise _refused(uri, "it holds a user or a password, which the batch's record would keep")
    if parts.query or parts.fragment or "?" in uri or "#" in uri:
        raise _refused(uri, "an address with a query or a fragment is no source")
    host = (parts.hostname or "").rstrip(".")
    host = f"[{host}]" if ":" in host else host
    if not _HOST.fullmatch(host):
        raise _refused(uri, f"{host!r} is no host's name")
    return Place(f"{parts.scheme}://{host}:{port}/", _path(uri, parts.path.lstrip("/")))


def _path(uri: str, path: str) -> str:
    """The path as it is; UsageError for parts that climb or hide, however they are encoded."""
    segments = path.split("/")
    if segments[-1] == "":  # a folder
        segments.pop()
    for segment in segments:
        for spelling in _decodings(segment):
            if spelling in ("", ".", "..") or _HIDDEN.search(spelling):
                raise _refused(uri, f"{segment!r} is no part of a path")
        if any("\ud800" <= c <= "\udfff" for c in segment):
            raise _refused(uri, "it is not Unicode")
    return path


def _decodings(segment: str) -> Iterator[str]:
    yield segment
    for _ in range(_MOST_DECODINGS):
        decoded = unquote(segment)
        if decoded == segment:
            return
        segment = decoded
        yield segment
    if unquote(segment) != segment:
        yield ""  # nobody encodes a name so often in good faith


def check_source(uri: str, store_url: str, conf: "Settings | None" = None) -> None:
    """Raise UsageError unless the settings allow reading what the URI names.

    `store_url` is the project's own store, of which only uploads may be read.
    """
    if conf is None:
        from shared.settings import settings

        conf = settings()
    place = normalise(uri)
    _spare_store(uri, place, store_url)
    allowed = conf.source_prefixes or (() if is_loopback(conf.host) else _SHARED)
    if allowed and not any(place.lies_below(_prefix(p)) for p in allowed):
        raise _refused(uri, f"sources may begin with {', '.join(allowed)} (source_prefixes)")


def _spare_store(uri: str, place: Place, store_url: str) -> None:
    """Refuse what lies in the project's own store, but uploads."""
    if place.root == STORE_SCHEME:
        inside: str | None = place.path
    else:
        own = normalise(store_url if "://" in store_url else os.path.abspath(store_url))  # noqa: PTH100
        folder = own.text if own.text.endswith("/") else own.text + "/"
        inside = place.text.removeprefix(folder) if place.text.startswith(folder) else None
        if place.text == own.text:
            inside = ""
    if inside is not None and (not inside.startswith(UPLOADS) or inside == UPLOADS):
        raise _refused(uri, f"of this project's store only {STORE_SCHEME}{UPLOADS}... may be read")


def _prefix(prefix: str) -> str:
    """A setting's prefix in the spelling of places: `https://host/x` gets its port."""
    _, found, rest = prefix.partition("://")
    if prefix == STORE_SCHEME or (found and not rest):
        return prefix.lower()
    return normalise(prefix).text


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its name or number alone; nothing is looked up."""
    if host.lower().rstrip(".") == "localhost":
        return True
    try:
        address = ipaddress.ip_address(host.strip("[]"))
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def public_addresses(host: str, port: int) -> list[str]:
    """The addresses of a host on the web; UsageError if any of them is not public.

    Who reads from the host must connect to one of these and not look it up again, for a name can
    have another address a moment later.
    """
    try:
        found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno == socket.EAI_AGAIN:
            raise TransientError(f"cannot look {host} up: {error}") from error
        raise UsageError(f"there is no host {host}: {error}", field="sources") from error
    except (UnicodeError, OSError) as error:
        raise UsageError(f"{host!r} is no host's name: {error}", field="sources") from error
    addresses = list(dict.fromkeys(str(info[4][0]) for info in found))
    for address in addresses:
        if not is_public(address):
            raise UsageError(
                f"{host} has the address {address}, which is not public; it is not read",
                field="sources",
            )
    return addresses


def is_public(text: str) -> bool:
    """Whether an address belongs to the public Internet, by itself and by what it stands for."""
    address: Address = ipaddress.ip_address(text.partition("%")[0])
    if address in _METADATA or any(
        address in net for net in _NEVER if net.version == address.version
    ):
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped is not None:
            return False
        inner = address.sixtofour
        if address in _NAT64:
            inner = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not (address.is_multicast or address.is_reserved)


def _refused(uri: str, why: str) -> UsageError:
    return UsageError(f"{uri[:300]!r} is not read: {why}", field="sources")
