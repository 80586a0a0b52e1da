"""Files that a recipe's parameters name: lists, models. Known by their content.

    package:services/langid/models/lid.176.ftz   ships with the project
    /data/ut1, lists/words.txt                   a file, or a folder (it becomes one tar file)
    store:uploads/..., s3://bucket/key           an object of the project's store, or of another

`pin` runs when a batch is submitted: it puts the content into the store, under its hash, and
writes the hash into the recipe, so that fingerprints and results depend on what the file holds and
not on where it lay. `provide` brings pinned content to a worker's machine before its task runs;
`load` is what a step calls.
"""

import secrets
import tarfile
from collections.abc import Callable
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, TypeVar

from blake3 import blake3
from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import NotFoundError, PermanentError, UsageError
from shared.sources import STORE_SCHEME, check_source
from shared.store import Store, open_source

PACKAGE_SCHEME = "package:"
#: The folder that holds the packages `shared` and `services`.
_ROOT = Path(__file__).resolve().parents[1]
#: Marks a parameter that names what a worker reads itself, under the rules for sources.
READ_FROM = "read from"
#: Parsed resources that a process keeps.
_LOADED = 32
T = TypeVar("T")


class Resource(BaseModel):
    """A file by URI and, once pinned, the blake3 hash (256 bits, hex) of its content.

    A recipe may write the URI alone. Shipped files are always pinned.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    uri: str = Field(min_length=1)
    blake3: str | None = Field(default=None, pattern=r"^[0-9a-f]{64}$")

    @model_validator(mode="before")
    @classmethod
    def _read(cls, value: Any) -> Any:
        if isinstance(value, str):
            value = {"uri": value}
        if not isinstance(value, dict) or not str(value.get("uri", "")).startswith(PACKAGE_SCHEME):
            return value
        path = _package_path(value["uri"])
        if not path.is_file():
            raise ValueError(f"the project ships no file {value['uri']!r}")
        known = _hash_shipped(path)
        if value.get("blake3") not in (None, known):
            raise ValueError(f"{value['uri']} has another content in this version of the project")
        return {**value, "blake3": known}

    @property
    def is_shipped(self) -> bool:
        """Whether the file is part of the project."""
        return self.uri.startswith(PACKAGE_SCHEME)

    @property
    def key(self) -> str:
        """Where the store has the pinned content."""
        return f"resources/{self.blake3}"


def load(resource: Resource, parse: Callable[[Path], T]) -> T:
    """`parse` of the resource's local file; kept, so that a process parses a content once.

    A folder is given as a tar file. Raises UsageError where there is no such file, PermanentError
    where pinned content was not provided.
    """
    result: T = _load(local_path(resource), parse)
    return result


@lru_cache(maxsize=_LOADED)
def _load(path: Path, parse: Callable[[Path], Any]) -> Any:
    return parse(path)


def local_path(resource: Resource) -> Path:
    """The resource as a file of this machine."""
    if resource.is_shipped:
        return _package_path(resource.uri)
    if resource.blake3 is not None:
        path = _cache_folder() / resource.blake3
        if not path.is_file():
            raise PermanentError(f"{resource.uri} ({resource.key}) was not provided")
        return path
    from shared.settings import settings

    return _local_file(resource.uri, settings().store)


def provide(store: Store, params: BaseModel) -> None:
    """Bring all pinned resources among the parameters to this machine.

    Raises NotFoundError where the store lacks one, PermanentError where its bytes are wrong.
    """

    def bring(resource: Resource, _field: str) -> Resource:
        if not resource.is_shipped and resource.blake3 is not None:
            path = _cache_folder() / resource.blake3
            if not path.is_file():
                _download(store, resource, path)
        return resource

    replace_resources(params, bring)


def _download(store: Store, resource: Resource, path: Path) -> None:
    arriving = _new_file()
    store.download(resource.key, arriving)
    if _hash_file(arriving) != resource.blake3:
        arriving.unlink()
        raise PermanentError(f"{resource.key} of the store is damaged: it has another hash")
    arriving.replace(path)


def pin(store: Store, params: BaseModel, where: str) -> BaseModel:
    """The parameters with every resource pinned, its content in the store.

    `where` names the parameters in errors: UsageError for a file that is not there, or that is not
    the one whose hash the recipe names.
    """

    def pinned(resource: Resource, field: str) -> Resource:
        if resource.is_shipped or (resource.blake3 and store.exists(resource.key)):
            return resource
        try:
            path = _fetch(store, resource.uri)
            found = Resource(uri=resource.uri, blake3=_hash_file(path))
            if resource.blake3 not in (None, found.blake3):
                raise UsageError(f"{resource.uri} has the hash {found.blake3}")
        except (NotFoundError, UsageError) as error:
            raise UsageError(f"{where}.{field}: {error}", field=f"{where}.{field}") from error
        if not store.exists(found.key):
            store.upload(path, found.key)
        return found

    _check_named(store, params, where)
    found: BaseModel = replace_resources(params, pinned)
    return found


def _check_named(store: Store, params: BaseModel, where: str) -> None:
    """Refuse at submission what a worker would refuse to read: parameters marked READ_FROM."""
    for name, field in type(params).model_fields.items():
        value = getattr(params, name)
        if READ_FROM in field.metadata and value != field.default:
            try:
                where_it_is, key = open_source(store, value)
                where_it_is.stat(key)
            except UsageError as error:
                raise UsageError(f"{where}.{name}: {error}", field=f"{where}.{name}") from error


def replace_resources(value: Any, change: Callable[[Resource, str], Resource], at: str = "") -> Any:
    """A parameter's value with `change(resource, field)` in place of each resource in it.

    Looks into models, lists, tuples and dicts; returns the value itself where nothing changes.
    """
    if isinstance(value, Resource):
        return change(value, at)
    items: dict[Any, Any]
    if isinstance(value, BaseModel):
        items = {name: getattr(value, name) for name in type(value).model_fields}
    elif isinstance(value, dict):
        items = value
    elif isinstance(value, list | tuple):
        items = dict(enumerate(value))
    else:
        return value
    changed = {
        name: replace_resources(item, change, f"{at}.{name}".lstrip("."))
        for name, item in items.items()
    }
    if all(changed[name] is item for name, item in items.items()):
        return value
    if isinstance(value, BaseModel):
        return value.model_copy(update=changed)
    return changed if isinstance(value, dict) else type(value)(changed.values())


def _fetch(store: Store, uri: str) -> Path:
    """The content of a URI as a local file."""
    if uri.startswith("file://") or not ("://" in uri or uri.startswith(STORE_SCHEME)):
        return _local_file(uri, store.url)
    where, key = open_source(store, uri)
    if (size := where.stat(key).size) > (most := _largest()):
        raise UsageError(f"{uri} has {size} bytes; a list or a model has {most} at most")
    path = _new_file()
    where.download(key, path)
    return _named_by_content(path)


def _largest() -> int:
    from shared.settings import settings

    return settings().upload_bytes


def _local_file(name: str, store_url: str) -> Path:
    path = Path(name.removeprefix("file://")).expanduser().resolve()
    check_source(str(path), store_url)
    if path.is_dir():
        return _packed(path)
    if not path.is_file():
        raise UsageError(f"there is no file {name}")
    return path


def _packed(folder: Path) -> Path:
    """A tar file of the folder's files, the same bytes for the same content."""

    def anonymous(member: tarfile.TarInfo) -> tarfile.TarInfo:
        member.mtime = member.uid = member.gid = 0
        member.uname = member.gname = ""
        member.mode = 0o644
        return member

    path = _new_file()
    with tarfile.open(path, "w", format=tarfile.PAX_FORMAT) as tar:
        for file in sorted(p for p in folder.rglob("*") if p.is_file()):
            tar.add(file, str(file.relative_to(folder)), filter=anonymous)
    return _named_by_content(path)


def _new_file() -> Path:
    return _cache_folder() / f"arriving-{secrets.token_hex(8)}"


def _named_by_content(path: Path) -> Path:
    """Move a file of the cache to the name by which it is looked for."""
    return path.replace(path.with_name(_hash_file(path)))


@cache
def _cache_folder() -> Path:
    """Where this machine keeps content of the store, named by hash."""
    from shared.settings import settings

    folder = settings().cache / "resources"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _package_path(uri: str) -> Path:
    path = (_ROOT / uri.removeprefix(PACKAGE_SCHEME)).resolve()
    if _ROOT not in path.parents:
        raise ValueError(f"{uri!r} lies outside the project")
    return path


def _hash_file(path: Path) -> str:
    hasher = blake3()
    hasher.update_mmap(path)
    return hasher.hexdigest()


#: Of shipped files, which do not change while the program runs.
_hash_shipped = cache(_hash_file)
