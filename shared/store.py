"""Object storage: the only source of truth, and the only file that imports obstore.

Data objects are immutable and named by their content. A receipt, written last and only where it is
absent, commits them: readers go through receipts, and the first writer wins. An object without a
receipt is garbage, swept by age.

URLs: a folder (`/data/corpusmill`, `file:///data/corpusmill`), `s3://bucket/prefix`,
`gs://bucket/prefix`, `az://container/prefix`. Credentials come from the environment variables that
the object store's own tools use (AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL, ...).
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError
from obstore.exceptions import NotFoundError as ObjectNotFoundError
from obstore.store import LocalStore, ObjectStore, from_url

from shared.errors import CorpusmillError, NotFoundError, PermanentError, TransientError, UsageError
from shared.metrics import count_bytes, store_error, store_operation
from shared.sources import STORE_SCHEME, check_source, normalise

if TYPE_CHECKING:
    from shared.web import WebStore

#: Large transfers go in parts of this size, so that memory stays bounded.
PART_BYTES = 8 * 2**20
#: S3's bound on keys, and file systems' on their parts.
KEY_BYTES = 1024
KEY_PART_BYTES = 255
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_RETRY: Any = {"max_retries": 5, "retry_timeout": timedelta(seconds=60)}


@dataclass(frozen=True)
class Entry:
    """An object in a listing."""

    key: str
    size: int
    modified: datetime


@dataclass(frozen=True)
class Stat:
    """Size in bytes and entity tag of an object."""

    size: int
    etag: str


class Store:
    """A prefix of an object store."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._objects = _connect(url)

    def get(self, key: str) -> bytes:
        """The whole object; NotFoundError where there is none."""
        with _Operation("get", key):
            data = bytes(obstore.get(self._objects, key).bytes())
        count_bytes("read", len(data))
        return data

    def get_json(self, key: str) -> Any:
        """The object, parsed as JSON."""
        return json.loads(self.get(key))

    def get_range(self, key: str, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), fewer only at the object's end."""
        return self.range_reader(key, self.stat(key).size)(offset, length)

    def range_reader(self, key: str, size: int) -> Callable[[int, int], bytes]:
        """`get_range` of one object whose size is known, without asking for it each time."""

        def read(offset: int, length: int) -> bytes:
            length = min(length, size - offset)
            if length <= 0:
                return b""
            with _Operation("get_range", key):
                data = bytes(obstore.get_range(self._objects, key, start=offset, length=length))
            count_bytes("read", len(data))
            return data

        return read

    def stat(self, key: str) -> Stat:
        """Size and etag; NotFoundError where there is no such object."""
        with _Operation("head", key):
            meta = obstore.head(self._objects, key)
        return Stat(meta["size"], str(meta["e_tag"] or meta["last_modified"].isoformat()))

    def exists(self, key: str) -> bool:
        """Whether the object is there."""
        try:
            self.stat(key)
        except NotFoundError:
            return False
        return True

    def put(self, key: str, data: bytes) -> None:
        """Write an object whose bytes follow from its key, or a mutable one (progress, marks)."""
        with _Operation("put", key):
            obstore.put(self._objects, key, data)
        count_bytes("written", len(data))

    def put_json(self, key: str, value: Any) -> None:
        """`put` of JSON."""
        self.put(key, to_json(value))

    def put_if_absent(self, key: str, data: bytes) -> bool:
        """Commit: True for the first writer; False, and nothing written, for every later one."""
        with _Operation("put_if_absent", key):
            try:
                obstore.put(self._objects, key, data, mode="create", use_multipart=False)
            except AlreadyExistsError:
                return False
        count_bytes("written", len(data))
        return True

    def put_stream(self, key: str, chunks: Iterable[bytes]) -> int:
        """Write an object from chunks, held in memory a part at a time; returns its bytes."""
        total = 0
        with self.writer(key) as write:
            for chunk in chunks:
                write(chunk)
                total += len(chunk)
        return total

    @contextmanager
    def writer(self, key: str) -> Iterator[Callable[[bytes], Any]]:
        """A function that appends to a new object; after an error there is no object."""
        with _Operation("write", key) as operation:
            writer = obstore.open_writer(self._objects, key, buffer_size=PART_BYTES)

            def write(data: bytes) -> None:
                operation.resume()
                writer.write(data)
                operation.pause()
                count_bytes("written", len(data))

            operation.pause()  # what the caller does between is none of the store's time
            try:
                yield write
            except BaseException:
                writer.close()
                obstore.delete(self._objects, key)
                raise
            operation.resume()
            writer.close()

    def list(self, prefix: str) -> Iterator[Entry]:
        """All objects below a prefix (a folder with its trailing slash), in order of keys."""
        with _Operation("list", prefix):
            found = [
                Entry(meta["path"], meta["size"], meta["last_modified"])
                for page in obstore.list(self._objects, prefix)
                for meta in page
            ]
        yield from sorted(found, key=lambda e: e.key)

    def delete(self, key: str) -> None:
        """Remove an object; no error where there is none."""
        try:
            with _Operation("delete", key):
                obstore.delete(self._objects, key)
        except NotFoundError:
            return

    def download(self, key: str, path: Path) -> None:
        """Copy an object to a local file, a part at a time."""
        path.parent.mkdir(parents=True, exist_ok=True)
        partial = path.with_name(path.name + ".partial")
        with _Operation("download", key), partial.open("wb") as file:
            for chunk in obstore.get(self._objects, key).stream(min_chunk_size=PART_BYTES):
                file.write(bytes(chunk))
                count_bytes("read", len(chunk))
        partial.replace(path)

    def upload(self, path: Path, key: str) -> None:
        """Copy a local file to an object, a part at a time."""
        with path.open("rb") as file:
            self.put_stream(key, iter(lambda: file.read(PART_BYTES), b""))

    def check_conditional_writes(self) -> None:
        """Raise PermanentError where the store does not enforce put-if-absent (at start)."""
        key = f"probes/{os.getpid()}-{os.urandom(6).hex()}"
        try:
            first = self.put_if_absent(key, b"1")
            second = self.put_if_absent(key, b"2")
            if not first or second or self.get(key) != b"1":
                raise PermanentError(
                    f"the store {self.url} does not enforce conditional writes (put-if-absent); "
                    "commits would not be safe. Use a store that does."
                )
        finally:
            self.delete(key)


def is_key(key: str) -> bool:
    """Whether an object, or a prefix, can be named so: what clients name is part of some keys."""
    if _CONTROLS.search(key) or any("\ud800" <= c <= "\udfff" for c in key):
        return False
    parts = key.removesuffix("/").split("/") if key else []
    if len(key.encode()) > KEY_BYTES or any(part in ("", ".", "..") for part in parts):
        return False
    return all(len(part.encode()) <= KEY_PART_BYTES for part in parts)


def to_json(value: Any) -> bytes:
    """JSON in UTF-8; keys stay in their order, since the order of keep rules means something."""
    return json.dumps(value, ensure_ascii=False, indent=1).encode()


def open_source(store: Store, uri: str) -> "tuple[Store | WebStore, str]":
    """The store and key that a source's URI names, if the settings allow it: the one way in.

    UsageError where they do not (`shared.sources`), NotFoundError for a folder that is not there.
    """
    check_source(uri, store.url)
    place = normalise(uri)
    if place.root == STORE_SCHEME:
        return store, place.path
    if place.root.startswith(("http://", "https://")):
        from shared.web import WebStore

        return WebStore(place.root.removesuffix("/")), place.path
    if not place.path:
        raise UsageError(f"{uri!r} names no object", field="sources")
    if place.root != "/":
        return Store(place.root.removesuffix("/")), place.path
    path = Path(place.text)
    if not path.parent.is_dir():
        raise NotFoundError(f"no object {uri}")
    return Store(str(path.parent)), path.name


def open_folder(store: Store, uri: str) -> tuple[Store, str, str]:
    """For a URI that ends with a slash: its store, its prefix there, and what URIs begin with.

    So `begin + entry.key` names each entry below the prefix.
    """
    check_source(uri, store.url)
    place = normalise(uri)
    if place.root == STORE_SCHEME:
        return store, place.path, STORE_SCHEME
    if place.root.startswith(("http://", "https://")):
        raise UsageError(f"{uri!r}: servers of the web list no folders", field="sources")
    if place.root != "/":
        return Store(place.root.removesuffix("/")), place.path, place.root
    folder = Path(place.text)
    if not folder.is_dir():
        raise NotFoundError(f"no folder {uri}")
    return Store(str(folder)), "", f"{folder}/".replace("//", "/")


def _connect(url: str) -> ObjectStore:
    if url.startswith("file://"):
        url = url.removeprefix("file://")
    if "://" not in url:
        return LocalStore(Path(url), mkdir=True)
    options: Any = {}
    if url.startswith("s3://") and os.environ.get("AWS_ENDPOINT_URL", "").startswith("http://"):
        options["client_options"] = {"allow_http": True}
    try:
        return from_url(url, retry_config=_RETRY, **options)
    except (BaseError, ValueError) as error:
        raise UsageError(f"cannot open the store {url!r}: {error}", field="store") from error


class _Operation:
    """Times an operation, and turns its exceptions into the three kinds of `shared.errors`."""

    def __init__(self, name: str, key: str) -> None:
        self._name, self._key = name, key
        self._seconds = 0.0
        self._started: float | None = None

    def resume(self) -> None:
        """From now on, time is the store's."""
        self._started = time.perf_counter()

    def pause(self) -> None:
        """From now on, time is the caller's."""
        if self._started is not None:
            self._seconds += time.perf_counter() - self._started
            self._started = None

    def __enter__(self) -> Self:
        if not is_key(self._key):
            raise NotFoundError(f"no object is named {self._key[:300]!r}")
        self.resume()
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        self.pause()
        store_operation(self._name, self._seconds)
        if isinstance(error, ObjectNotFoundError | FileNotFoundError):
            raise NotFoundError(f"no object {self._key}") from error
        if isinstance(error, BaseError | OSError):
            store_error(self._name, "transient")
            raise TransientError(f"store: {self._key}: {error}") from error
        if isinstance(error, Exception):
            store_error(self._name, "other")


def main(url: str) -> None:
    """Exit with an error where the store cannot be used."""
    try:
        Store(url).check_conditional_writes()
    except CorpusmillError as error:
        sys.exit(f"store {url}: {error}")


if __name__ == "__main__":
    main(sys.argv[1])
