"""Which runs stand for which members: what is merged, what is read, what can go (LSM style).

Whenever enough members in a row have their runs, these are merged into one; whenever there are
enough of those, they are merged in turn. So an index of n members is read from about
8 x log8(n) sets of runs. A compaction holds all entries of its members: when one of them is
dropped, its entries are left out by those who read, and the compaction is written again.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from pydantic import BaseModel, ConfigDict

from shared.errors import NotFoundError
from shared.index import StoredRun
from shared.indexes.log import DATA, Member, history, read_log
from shared.indexes.members import ready, run_files, unfinished
from shared.ranges import open_object
from shared.recipe import digest
from shared.settings import Settings
from shared.store import Store


class Compaction(BaseModel):
    """Runs of all entries of some members in a row (by their ordinals, from `first` to `last`)."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    first: int
    last: int
    level: int
    members: tuple[int, ...]
    #: Shards of the members, by ordinal: from and up to.
    numbers: dict[int, tuple[int, int]]
    runs: tuple[str, ...]
    entries: int
    bytes: int
    created: datetime

    @property
    def id(self) -> str:
        """Names its objects: the members that it holds."""
        return compaction_id(self.members)


Piece = Compaction | Member


@dataclass(frozen=True)
class Merge:
    """Pieces to be merged into one."""

    pieces: tuple[Piece, ...]
    level: int
    #: Those of the pieces' members that are still there.
    members: tuple[Member, ...]


def compaction_id(members: Sequence[int]) -> str:
    """First and last member, and a hash of all."""
    return f"{members[0]:08d}-{members[-1]:08d}-{digest(list(members))[:8]}"


def compaction_key(index: str, name: str) -> str:
    """Where a compaction is described."""
    return f"{DATA}{index}/compactions/{name}.json"


@lru_cache(maxsize=4096)
def _compaction(store: Store, key: str) -> Compaction:
    """A record; its key names its members, and it never changes."""
    return Compaction.model_validate(store.get_json(key))


def read_compactions(store: Store, index: str) -> list[Compaction]:
    """All compactions of an index, those that nothing reads any more included."""
    found = []
    for entry in store.list(f"{DATA}{index}/compactions/"):
        try:
            found.append(_compaction(store, entry.key))
        except NotFoundError:  # cleared away just now
            continue
    return found


def cover(compactions: Iterable[Compaction], members: Sequence[Member]) -> list[Piece]:
    """What to read for some members in order: the largest compactions, else their own runs."""
    wanted = [m.ordinal for m in members]
    starts: dict[int, Compaction] = {}
    for one in compactions:
        inside = [o for o in wanted if one.first <= o <= one.last]
        if not inside or one.last > wanted[-1] or not set(inside) <= set(one.members):
            continue
        best = starts.get(inside[0])
        # Of two of one range, the one with fewer members that are gone.
        if best is None or (one.last, -len(one.members)) > (best.last, -len(best.members)):
            starts[inside[0]] = one
    pieces: list[Piece] = []
    upto = -1
    for member in members:
        if member.ordinal <= upto:
            continue
        chosen = starts.get(member.ordinal, member)
        pieces.append(chosen)
        upto = chosen.last if isinstance(chosen, Compaction) else member.ordinal
    return pieces


def piece_runs(
    store: Store, index: str, pieces: Iterable[Piece], members: Sequence[Member]
) -> list[StoredRun]:
    """The runs of some pieces in order, without entries of who is not among the members."""
    live = {m.ordinal for m in members}
    runs = []
    for piece in pieces:
        without: tuple[range, ...] = ()
        if isinstance(piece, Member):
            keys, base = run_files(store, index, piece), piece.base
        else:
            keys, base = list(piece.runs), 0
            without = tuple(range(*piece.numbers[o]) for o in sorted(set(piece.members) - live))
        runs += [StoredRun(open_object(store, key), base, without) for key in keys]
    return runs


def next_merge(
    pieces: Sequence[Piece], members: Sequence[Member], fanout: int, *, everything: bool = False
) -> Merge | None:
    """What to merge next, of pieces in a row that all have their runs; None where nothing is due.

    `everything` asks for one compaction of all.
    """
    live = {m.ordinal: m for m in members}

    def merge(some: Sequence[Piece], level: int) -> Merge:
        inside = [o for p in some for o in _ordinals(p) if o in live]
        return Merge(tuple(some), level, tuple(live[o] for o in inside))

    for piece in pieces:
        if isinstance(piece, Compaction) and not set(piece.members) <= live.keys():
            return merge([piece], piece.level)
    if everything and len(pieces) > 1:
        return merge(pieces, 1 + max(map(_level, pieces)))
    for start in range(len(pieces) - fanout + 1):
        some = pieces[start : start + fanout]
        if len({_level(p) for p in some}) == 1:
            return merge(some, 1 + _level(some[0]))
    return None


def _level(piece: Piece) -> int:
    return piece.level if isinstance(piece, Compaction) else 0


def _ordinals(piece: Piece) -> tuple[int, ...]:
    return piece.members if isinstance(piece, Compaction) else (piece.ordinal,)


def due(store: Store, index: str, fanout: int, *, everything: bool = False) -> Merge | None:
    """The next merge of an index, None where nothing is due."""
    members = history(read_log(store), index).members
    pieces = cover(read_compactions(store, index), members)
    row: list[Piece] = []
    for piece in [*pieces, None]:
        if piece is not None and (isinstance(piece, Compaction) or ready(store, index, piece)):
            row.append(piece)
            continue
        # Across a member without its runs nothing is merged: its place in the order is there.
        found = next_merge(row, members, fanout, everything=everything)
        if found is not None:
            return found
        row = []
    return None


def garbage(store: Store, index: str, grace: timedelta) -> list[Compaction]:
    """Compactions that nobody reads, and nobody has read for a while.

    A task that began before a larger compaction was there still reads the smaller ones, and a
    batch that joined before the larger one's last member goes on doing so.
    """
    events = read_log(store)
    compactions = read_compactions(store, index)
    members = history(events, index).members
    used = [p for p in cover(compactions, members) if isinstance(p, Compaction)]
    idle = [c for c in compactions if c not in used]
    if not idle:
        return []
    readers = [m.ordinal for m in unfinished(store, events, index)]
    return [c for c in idle if _is_garbage(c, used, readers, grace)]


def _is_garbage(
    one: Compaction, used: Iterable[Compaction], readers: Iterable[int], grace: timedelta
) -> bool:
    over = [u for u in used if u.first <= one.last and u.last >= one.first]
    last = max((u.last for u in over), default=one.last)
    if any(one.last < reader <= last for reader in readers):
        return False
    since = max((u.created for u in over), default=one.created)
    return datetime.now(UTC) - max(since, one.created) > grace


def remove(store: Store, index: str, compactions: Iterable[Compaction]) -> int:
    """Remove compactions, descriptions first; returns objects."""
    removed = 0
    for one in compactions:
        for key in (compaction_key(index, one.id), *one.runs):
            store.delete(key)
            removed += 1
    return removed


def is_asked(store: Store, index: str) -> bool:
    """Whether somebody asked for one compaction of everything."""
    return store.exists(f"{DATA}{index}/compact.json")


def has_failed(store: Store, index: str) -> bool:
    """Whether compacting failed for good; it is not tried again until somebody asks."""
    return store.exists(f"{DATA}{index}/failed.json")


def grace(conf: Settings) -> timedelta:
    """How long what was merged is kept: longer than any task that may still read it."""
    return conf.visibility_timeout


def work_left(store: Store, index: str, conf: Settings) -> bool:
    """Whether the index has something to merge or to clear away."""
    return bool(
        is_asked(store, index)
        or due(store, index, conf.index_fanout) is not None
        or garbage(store, index, grace(conf))
    )
