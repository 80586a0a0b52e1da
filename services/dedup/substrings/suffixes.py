"""The engine that holds a group's text in memory: a suffix array of all of its documents.

Suffixes of the documents' bytes, one after the other, are sorted; equal windows are then
neighbours. A suffix that starts no window of its document is left out, so that no match crosses
documents and no separators are needed. Tokens are written as two or four bytes, the highest
first, and only suffixes that start at a token count.
"""

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.substrings.params import SubstringParams, ranges_table, suffix_tasks
from services.dedup.substrings.units import Units, documents, units_of
from services.dedup.within import salts_of
from shared.errors import UsageError
from shared.scope import Scope
from shared.step import GroupOutput

Int64Array = npt.NDArray[np.int64]
ByteArray = npt.NDArray[np.uint8]
AnyArray = npt.NDArray[Any]

#: What the suffix sort's positions can number.
MOST_BYTES = 2**31 - 1
#: Bytes of text that are turned into units at once.
AT_ONCE = 2**22


class Group(NamedTuple):
    """All documents that are compared: document i has the units `bounds[i]` to `bounds[i + 1]`."""

    places: Int64Array  # (N,)
    data: ByteArray  # the units' bytes, `width` each
    width: int
    bounds: Int64Array  # (N + 1,)


def suffixes(scope: Scope, partition: int, params: SubstringParams) -> GroupOutput:
    """The marked windows of some groups, each by a suffix array."""
    found = [
        marked_windows(_read(scope, shards, params), params)
        for shards in _groups(scope, partition, params)
    ]
    nothing = (np.empty(0, np.int64),) * 3
    columns = [np.concatenate(parts) for parts in zip(nothing, *found, strict=True)]
    order = np.lexsort((columns[1], columns[0]))
    places, starts, counts = (column[order] for column in columns)
    return GroupOutput(ranges_table(places, starts, counts))


def marked_windows(group: Group, params: SubstringParams) -> tuple[Int64Array, ...]:
    """Marked windows in a row: place of the document, first unit, how many."""
    from pydivsufsort import divsufsort

    from services.dedup.kernels.suffixes import NONE, mark_repeats, marked_ranges, windows_only

    data, width, bounds = group.data, group.width, group.bounds
    if len(data) == 0:
        return (np.empty(0, np.int64),) * 3
    marks = np.zeros(len(data) // width, np.uint8)
    # The last units of a document start no window.
    for back in range(1, params.length):
        last = bounds[1:] - back
        marks[last[last >= bounds[:-1]]] = NONE
    order = divsufsort(data)
    count = windows_only(order, marks, width)
    first = params.keep == "first"
    mark_repeats(data, order[:count], marks, width, params.length, first)
    document, start, length = marked_ranges(marks, bounds)
    return group.places[document], start, length


def _groups(scope: Scope, partition: int, params: SubstringParams) -> Iterator[list[int]]:
    """The shards of each group that a task has, groups in the order of their first shards."""
    shards = len(scope.batch.shards)
    salts = salts_of(scope.batch, params.within, params.parts)
    groups: dict[int, list[int]] = {}
    for shard in range(shards):
        groups.setdefault(0 if salts is None else int(salts[shard]), []).append(shard)
    yield from list(groups.values())[partition :: suffix_tasks(params, shards)]


def _read(scope: Scope, shards: list[int], params: SubstringParams) -> Group:
    """A group's documents; UsageError where their suffix array does not fit in memory."""
    places, sizes = [np.empty(0, np.int64)], [np.empty(0, np.int64)]
    values: list[AnyArray] = [np.empty(0, np.uint8 if params.unit == "bytes" else np.uint32)]
    units, width, text_bytes = 0, 1 if params.unit == "bytes" else 2, 0
    for number, shard in enumerate(shards, start=1):
        for part in documents(scope, params, range(shard, shard + 1), AT_ONCE):
            got = units_of(part.texts, params)
            text_bytes += _text_bytes(part.texts)
            places.append(part.places)
            sizes.append(got.ends - got.begins)
            values.append(_joined(got))
            units += len(values[-1])
            if width == 2 and len(values[-1]) and int(values[-1].max()) >= 2**16:
                width = 4
        if needed(units, width) > scope.memory or units * width > MOST_BYTES:
            more = (
                rows for s in shards[number:] for _, rows in scope.rows(("text",), range(s, s + 1))
            )
            all_bytes = text_bytes + sum(_text_bytes(rows.column("text")) for rows in more)
            raise _too_large(scope, needed(units, width) * all_bytes // text_bytes)
    bounds = np.concatenate(([0], np.cumsum(np.concatenate(sizes))))
    joined = np.concatenate(values)
    data = joined if width == 1 else joined.astype(f">u{width}").view(np.uint8)
    return Group(np.concatenate(places), data, width, bounds)


def needed(units: int, width: int) -> int:
    """Bytes of memory for so many units: their bytes, a position for each byte, a mark a unit."""
    return units * (5 * width + 1)


def _too_large(scope: Scope, size: int) -> UsageError:
    return UsageError(
        f"engine: suffix_array needs about {size} bytes of memory for its largest group, the "
        f"setting dedup_memory allows {scope.memory}, and no more than {MOST_BYTES} bytes of units "
        "can be sorted at once; engine: fingerprints has no such bounds, and within: crawl or "
        "part makes smaller groups",
        field="engine",
    )


def _text_bytes(texts: pa.ChunkedArray) -> int:
    """Bytes of all texts."""
    return int(pc.sum(pc.binary_length(texts)).as_py() or 0)


def _joined(units: Units) -> AnyArray:
    """The units of all documents, one document after the other."""
    if np.array_equal(units.begins[1:], units.ends[:-1]):
        return units.values[units.begins[0] : units.ends[-1]].copy()
    pieces = zip(units.begins, units.ends, strict=True)  # nulls with bytes: rare
    return np.concatenate([units.values[begin:end] for begin, end in pieces])
