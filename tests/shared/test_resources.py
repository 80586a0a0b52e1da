import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from blake3 import blake3

from shared import resources
from shared.errors import PermanentError, UsageError
from shared.recipe import absolute_resources, load_recipe, pin_resources, resolve
from shared.resources import Resource, load, local_path, pin, provide, replace_resources
from shared.schema import Column
from shared.step import Params, Step, load_registry
from shared.store import Store

SHIPPED = "package:services/langid/models/lid.176.ftz"


class ListParams(Params):
    words: Resource
    more: tuple[Resource, ...] = ()
    limit: int = 3


@pytest.fixture(autouse=True)
def step(monkeypatch):
    """A step that names files, known while the test runs."""
    columns = (Column("n", pa.int64(), "n"),)
    listed = Step(
        "quality.listed_v1", (), columns, ListParams, "Nothing.", row=lambda rows, _: rows
    )
    monkeypatch.setitem(load_registry(), listed.name, listed)


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setattr(resources, "_cache_folder", lambda: folder)
    return folder


@pytest.fixture
def store(tmp_path):
    return Store(str(tmp_path / "store"))


def read(path: Path) -> bytes:
    return path.read_bytes()


def recipe(words: object, **params: object):
    return load_recipe(
        {
            "name": "r",
            "steps": [
                {"extraction.records_v1": {}},
                {"quality.listed_v1": {"words": words, **params}},
            ],
        }
    )


def fingerprint(made) -> str:
    return resolve(made).steps[1].fingerprint


def test_a_shipped_file_is_pinned_by_itself():
    shipped = Resource.model_validate(SHIPPED)
    assert shipped.blake3 == blake3(load(shipped, read)).hexdigest()


@pytest.mark.parametrize("uri", ["package:services/none.txt", "package:../../etc/hostname"])
def test_only_files_of_the_project_are_shipped(uri):
    with pytest.raises(ValueError, match="ships no file|outside the project"):
        Resource(uri=uri)


def test_a_shipped_file_of_another_version_is_refused():
    with pytest.raises(ValueError, match="another content"):
        Resource(uri=SHIPPED, blake3="0" * 64)


def test_pinning_keeps_the_content_and_the_other_parameters(tmp_path, store):
    (tmp_path / "a.txt").write_text("one\ntwo\n")
    made = pin_resources(recipe(str(tmp_path / "a.txt"), limit=5), store)
    params = made.steps[1].params
    known = blake3(b"one\ntwo\n").hexdigest()
    assert params == {"words": {"uri": str(tmp_path / "a.txt"), "blake3": known}, "limit": 5}
    assert store.get(f"resources/{known}") == b"one\ntwo\n"


def test_the_content_decides_the_fingerprint_not_the_place(tmp_path, store):
    for name, text in (("a", "x"), ("b", "x"), ("c", "y")):
        (tmp_path / name).write_text(text)
    a, b, c = (pin_resources(recipe(str(tmp_path / name)), store) for name in "abc")
    assert fingerprint(a) == fingerprint(b) != fingerprint(c)
    assert a.hash == b.hash != c.hash


def test_what_was_pinned_is_what_a_worker_gets(tmp_path, store):
    path = tmp_path / "a.txt"
    path.write_text("before")
    made = pin_resources(recipe(str(path)), store)
    path.write_text("after")
    params = resolve(pin_resources(made, store)).steps[1].params
    with pytest.raises(PermanentError, match="not provided"):
        local_path(params.words)
    provide(store, params)
    assert load(params.words, read) == b"before"


def test_damaged_content_of_the_store_is_refused(tmp_path, store, cache):
    (tmp_path / "a.txt").write_text("x")
    params = resolve(pin_resources(recipe(str(tmp_path / "a.txt")), store)).steps[1].params
    store.put(params.words.key, b"z")
    with pytest.raises(PermanentError, match="damaged"):
        provide(store, params)
    assert list(cache.iterdir()) == []


def test_a_missing_file_and_a_wrong_hash_name_the_field(tmp_path, store):
    with pytest.raises(UsageError, match="there is no file") as caught:
        pin_resources(recipe(SHIPPED, more=[str(tmp_path / "none")]), store)
    assert caught.value.field == "recipe.steps.1.params.more.0"
    (tmp_path / "a").write_text("x")
    with pytest.raises(UsageError, match="has the hash"):
        pin_resources(recipe({"uri": str(tmp_path / "a"), "blake3": "0" * 64}), store)


def test_objects_of_stores_are_pinned(tmp_path, store):
    store.put("uploads/w.txt", b"up")
    params = resolve(pin_resources(recipe("store:uploads/w.txt"), store)).steps[1].params
    provide(store, params)
    assert load(params.words, read) == b"up"


def test_a_folder_becomes_the_same_tar_wherever_it_lies(tmp_path, store):
    for top in ("a", "b"):
        (tmp_path / top / "adult").mkdir(parents=True)
        (tmp_path / top / "adult" / "domains").write_text("x.test\n")
    a, b = (
        pin(store, ListParams(words=Resource(uri=str(tmp_path / top))), "params") for top in "ab"
    )
    assert a.words.blake3 == b.words.blake3
    provide(store, a)
    with tarfile.open(local_path(a.words)) as tar:
        assert tar.getnames() == ["adult/domains"]


def test_an_unpinned_file_can_be_loaded_directly(tmp_path):
    (tmp_path / "a").write_text("x")
    assert load(Resource(uri=str(tmp_path / "a")), read) == b"x"


def test_relative_paths_are_read_from_the_recipe_s_folder(tmp_path):
    made = absolute_resources(recipe("lists/a.txt", more=["store:b", SHIPPED]), tmp_path)
    assert made.steps[1].params["words"]["uri"] == str(tmp_path / "lists" / "a.txt")
    assert [m["uri"] for m in made.steps[1].params["more"]] == ["store:b", SHIPPED]


def test_nothing_changes_where_there_is_nothing_to_change():
    params = ListParams(words=Resource(uri="a"))
    assert replace_resources(params, lambda resource, _: resource) is params
