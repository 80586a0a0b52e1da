"""Listings of the store that are shared by all who look at about the same time.

A thousand batches of one recipe keep the receipts of a stage in one folder, and hundreds of clients
ask for their states: each folder is listed once for all of them, by one thread at a time. A listing
that takes long (a hundred thousand shards: a second and more) is used for ten times as long, so
that looking never takes more than a tenth of the time. Whoever plans by an old listing may send a
task that is done by now; its worker finds the receipt. `Listing.begun` says how old it is.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

Value = TypeVar("Value")

#: A listing counts for so many times as long as it took.
COST_FACTOR = 10.0
#: Quicker ones are made anew whenever someone wants a fresh one.
_QUICK_SECONDS = 0.005
#: Listings that are kept.
_MOST = 256


@dataclass(frozen=True)
class Listing(Generic[Value]):
    """What was there; `begun` is when the listing began (monotonic seconds)."""

    value: Value
    begun: float
    took: float

    def serves(self, since: float) -> bool:
        """Whether it is of use to someone who wants nothing older than `since`."""
        if self.begun >= since:
            return True
        fresh = self.took * COST_FACTOR if self.took > _QUICK_SECONDS else 0.0
        return time.monotonic() - self.begun < fresh


class Listings(Generic[Value]):
    """Listings by folder."""

    def __init__(self, read: Callable[[str], Value]) -> None:
        self._read = read
        self._kept: OrderedDict[str, Listing[Value]] = OrderedDict()
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def get(self, folder: str, since: float) -> Listing[Value]:
        """A folder's listing that began after `since`, or one whose time is not over yet."""
        with self._lock:
            lock = self._locks.setdefault(folder, threading.Lock())
        with lock:
            known = self._kept.get(folder)
            if known is not None and known.serves(since):
                return known
            begun = time.monotonic()
            value = self._read(folder)
            found = Listing(value, begun, time.monotonic() - begun)
            with self._lock:
                self._kept[folder] = found
                self._kept.move_to_end(folder)
                while len(self._kept) > _MOST:
                    self._locks.pop(self._kept.popitem(last=False)[0], None)
            return found

    def forget(self, folder: str) -> None:
        """This process has changed what is there."""
        with self._lock:
            self._kept.pop(folder, None)
