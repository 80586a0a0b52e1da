import threading

import pytest

from shared.errors import NotFoundError
from shared.store import Store


def test_first_writer_wins(tmp_path):
    store = Store(str(tmp_path))
    assert store.put_if_absent("a/b.json", b"first")
    assert not store.put_if_absent("a/b.json", b"second")
    assert store.get("a/b.json") == b"first"


def test_only_one_of_many_writers_commits(tmp_path):
    store = Store(str(tmp_path))
    won = []
    barrier = threading.Barrier(8)

    def write(i: int) -> None:
        barrier.wait()
        if store.put_if_absent("receipt.json", str(i).encode()):
            won.append(i)

    threads = [threading.Thread(target=write, args=(i,)) for i in range(8)]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert len(won) == 1
    assert store.get("receipt.json") == str(won[0]).encode()


def test_ranges_stop_at_the_end(tmp_path):
    store = Store(str(tmp_path))
    store.put("x", b"0123456789")
    assert store.get_range("x", 2, 3) == b"234"
    assert store.get_range("x", 8, 100) == b"89"
    assert store.get_range("x", 10, 5) == b""
    assert store.range_reader("x", 10)(9, 9) == b"9"


def test_listing_is_sorted_and_bounded_by_the_folder(tmp_path):
    store = Store(str(tmp_path))
    for key in ("b/2", "b/1", "bb/3", "a/0"):
        store.put(key, b"")
    assert [e.key for e in store.list("b/")] == ["b/1", "b/2"]


def test_missing_objects_are_named(tmp_path):
    store = Store(str(tmp_path))
    with pytest.raises(NotFoundError, match="no object nothing/here"):
        store.get("nothing/here")
    assert not store.exists("nothing/here")
    store.delete("nothing/here")


def test_a_broken_stream_leaves_no_object(tmp_path):
    store = Store(str(tmp_path))

    def chunks():
        yield b"part"
        raise RuntimeError("the client went away")

    with pytest.raises(RuntimeError):
        store.put_stream("upload", chunks())
    assert not store.exists("upload")


def test_large_objects_go_in_parts(tmp_path):
    store = Store(str(tmp_path))
    data = bytes(range(256)) * 100_000
    assert store.put_stream("big", (data[i : i + 70_001] for i in range(0, len(data), 70_001)))
    store.download("big", tmp_path / "copy")
    assert (tmp_path / "copy").read_bytes() == data
    store.upload(tmp_path / "copy", "again")
    assert store.get("again") == data


@pytest.mark.parametrize(
    "key", ["../x", "a/../b", "a//b", "/a", "a/.", "\x0b", "a\nb", "é" * 200, "a/" * 600, "\udcff"]
)
def test_what_no_object_is_named_is_not_there(tmp_path, key):
    store = Store(str(tmp_path / "store"))
    for ask in (store.get, store.stat, lambda k: list(store.list(k))):
        with pytest.raises(NotFoundError):
            ask(key)
    assert not store.exists(key)
    with pytest.raises(NotFoundError):
        store.put(key, b"x")
    assert [p.name for p in tmp_path.rglob("*")] == ["store"]


@pytest.mark.parametrize("key", ["a", "a/b.json", "a b/ü%20", "...", "a/..b"])
def test_what_an_object_may_be_named(tmp_path, key):
    store = Store(str(tmp_path))
    store.put(key, b"x")
    assert store.get(key) == b"x"
    assert [e.key for e in store.list("")] == [key]
