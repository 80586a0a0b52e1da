"""What a worker remembers of pure functions: results never depend on it, memory is bounded."""

from collections import OrderedDict
from collections.abc import Hashable
from typing import Generic, TypeVar, cast

V = TypeVar("V")
_ALL: list["Memory[object]"] = []


def remember(limit: int) -> "Memory[V]":
    """A new memory of at most `limit` bytes, for a module to keep; `forget` clears it."""
    memory: Memory[V] = Memory(limit)
    _ALL.append(cast("Memory[object]", memory))
    return memory


def forget() -> None:
    """Free all that is remembered, as a new worker would begin."""
    for memory in _ALL:
        memory.clear()


class Memory(Generic[V]):
    """Values by key, up to `limit` bytes; what was kept first goes first."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self.bytes = 0
        self._kept: OrderedDict[Hashable, tuple[V, int]] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def find(self, key: Hashable) -> V | None:
        """The value that was kept, while it is."""
        found = self._kept.get(key)
        return None if found is None else found[0]

    def keep(self, key: Hashable, value: V, size: int) -> None:
        """Remember a value that takes `size` bytes."""
        self.bytes += size - self._kept.pop(key, (None, 0))[1]
        self._kept[key] = value, size
        while self.bytes > self._limit:
            self.bytes -= self._kept.popitem(last=False)[1][1]

    def clear(self) -> None:
        """Forget everything."""
        self._kept.clear()
        self.bytes = 0
