"""The log of all indexes: joins and drops in one order; an index is what its entries add up to."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from shared.recipe import digest
from shared.shards import Membership
from shared.store import Store, to_json

LOG = "index/log/"
DATA = "index/data/"


class Joined(BaseModel):
    """What a join says of one index: the batch's shards, and what makes its keys comparable."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    shards: int = Field(ge=0)
    kind: dict[str, Any]


class Join(BaseModel):
    """A batch joined indexes (`<name>/<step>`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Literal["join"] = "join"
    batch: str
    time: datetime
    indexes: dict[str, Joined]


class Drop(BaseModel):
    """A batch, or (`batch` is None) everything, was dropped from an index.

    `readable`: the batch's runs were all there, so that later batches may have read them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    event: Literal["drop"] = "drop"
    index: str
    batch: str | None = None
    readable: bool = True
    time: datetime


Event = Annotated[Join | Drop, Field(discriminator="event")]
_EVENT: TypeAdapter[Join | Drop] = TypeAdapter(Event)


@dataclass(frozen=True)
class Member:
    """A batch in an index. Its shards are numbered from `base`; `ordinal` is its log entry's."""

    ordinal: int
    batch: str
    base: int
    shards: int
    time: datetime
    kind: Mapping[str, Any]
    #: Where it is dropped: its runs were all there, so that later batches may have read them.
    readable: bool = True

    @property
    def numbers(self) -> range:
        """Its shards as the index counts them."""
        return range(self.base, self.base + self.shards)


@dataclass(frozen=True)
class History:
    """An index after some part of the log: members in order, and those that were dropped."""

    members: tuple[Member, ...]
    dropped: tuple[Member, ...]
    #: Of all batches that ever joined: numbers of dropped ones are not given again.
    shards: int

    @property
    def kind(self) -> Mapping[str, Any] | None:
        """What makes its keys comparable, the same for all members."""
        return self.members[0].kind if self.members else None

    @property
    def known(self) -> bool:
        """Whether there is, or was, anything."""
        return bool(self.members or self.dropped)

    @property
    def digest(self) -> str:
        """Of the members: what a batch that joins now depends on."""
        return digest([[m.batch, m.base] for m in self.members])


@lru_cache(maxsize=2**16)
def _event(store: Store, key: str) -> Join | Drop:
    """An entry; entries never change."""
    return _EVENT.validate_python(store.get_json(key))


def read_log(store: Store) -> dict[int, Join | Drop]:
    """All entries by number, in order."""
    return {
        int(e.key.removeprefix(LOG).removesuffix(".json")): _event(store, e.key)
        for e in store.list(LOG)
    }


def append(
    store: Store, make: Callable[[Mapping[int, Join | Drop]], Join | Drop | None]
) -> int | None:
    """Add the entry that `make` makes of all entries before it; None where it makes none.

    Where another entry was faster, `make` is asked again.
    """
    while True:
        events = read_log(store)
        event = make(events)
        if event is None:
            return None
        number = max(events, default=-1) + 1
        if store.put_if_absent(f"{LOG}{number:08d}.json", to_json(event.model_dump(mode="json"))):
            return number


def history(events: Mapping[int, Join | Drop], index: str, before: int | None = None) -> History:
    """An index as the entries (before one, or all) add up to."""
    members: dict[str, Member] = {}
    dropped: list[Member] = []
    shards = 0
    for ordinal, event in events.items():
        if before is not None and ordinal >= before:
            break
        if isinstance(event, Join):
            if (joined := event.indexes.get(index)) is not None:
                members[event.batch] = Member(
                    ordinal, event.batch, shards, joined.shards, event.time, joined.kind
                )
                shards += joined.shards
        elif event.index == index and event.batch is None:
            members, dropped, shards = {}, [], 0
        elif event.index == index and event.batch in members:
            gone = members.pop(event.batch)
            dropped.append(Member(**{**vars(gone), "readable": event.readable}))
    return History(tuple(members.values()), tuple(dropped), shards)


def names(events: Mapping[int, Join | Drop]) -> list[str]:
    """All indexes (`<name>/<step>`) that hold or held a batch since they were last dropped."""
    seen = {name for e in events.values() if isinstance(e, Join) for name in e.indexes}
    return sorted(n for n in seen if history(events, n).known)


def names_of(events: Mapping[int, Join | Drop], name: str) -> list[str]:
    """The indexes of a name, one a step."""
    return [n for n in names(events) if n.rpartition("/")[0] == name]


def join_of(events: Mapping[int, Join | Drop], batch: str) -> tuple[int, Join] | None:
    """The entry with which a batch joined its indexes."""
    for ordinal, event in events.items():
        if isinstance(event, Join) and event.batch == batch:
            return ordinal, event
    return None


def memberships(events: Mapping[int, Join | Drop], ordinal: int) -> dict[str, Membership]:
    """What a batch's record says of the indexes that it joined with an entry."""
    event = events[ordinal]
    assert isinstance(event, Join)
    found = {}
    for index in event.indexes:
        earlier = history(events, index, ordinal)
        found[index] = Membership(ordinal=ordinal, base=earlier.shards, members=earlier.digest)
    return found
