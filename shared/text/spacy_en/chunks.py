"""Compiled cutting of one chunk (text between white space) into spaCy's tokens."""

import numpy as np
from numba import njit

from shared.text.spacy_en.affixes import STOP, infix_size, prefix_size, suffix_size
from shared.text.spacy_en.strings import Bytes, Int64Array, find
from shared.text.spacy_en.tables import ACTIVE, Tables
from shared.text.spacy_en.urls import is_url
from shared.text.utf8 import flags_at


@njit(cache=True, nogil=True)
def put_special(
    start: int, special: int, tables: Tables, starts: Int64Array, ends: Int64Array, count: int
) -> int:
    """Write the tokens of a special case that begins at `start`."""
    at = start
    for i in range(tables.piece_bounds[special], tables.piece_bounds[special + 1]):
        starts[count], ends[count] = at, start + tables.piece_ends[i]
        at = ends[count]
        count += 1
    return count


@njit(cache=True, nogil=True)
def put_middle(
    data: Bytes,
    start: int,
    end: int,
    tables: Tables,
    starts: Int64Array,
    ends: Int64Array,
    count: int,
) -> int:
    """Write the tokens of what is left between prefixes and suffixes: `_attach_tokens`."""
    special = find(data, start, end, tables.specials)
    if special >= 0:
        return put_special(start, special, tables, starts, ends, count)
    dotted = False
    for at in range(start, end):
        dotted |= data[at] == STOP
    at = start
    if dotted and is_url(data, start, end, tables.flags):
        at = end
    begin = start
    while at < end:
        kind, size = flags_at(data, at, end, tables.flags)
        found = infix_size(data, at, start, end, tables.flags) if kind & ACTIVE else 0
        if found and at > start:  # what stands at the start is no infix
            if begin < at:
                starts[count], ends[count] = begin, at
                count += 1
            starts[count], ends[count] = at, at + found
            count += 1
            begin = at + found
        at += max(found, size)
    if begin < end:
        starts[count], ends[count] = begin, end
        count += 1
    return count


@njit(cache=True, nogil=True)
def put_chunk(
    data: Bytes,
    start: int,
    end: int,
    tables: Tables,
    starts: Int64Array,
    ends: Int64Array,
    count: int,
) -> int:
    """Write the tokens of a chunk: `_split_affixes`, `_attach_tokens`. Returns the new count.

    Suffixes are found from the outside to the inside; until the middle is written, their starts
    wait at the end of `starts`, where there is room for each byte that is still to come.
    """
    specials, waiting, last, stop = tables.specials, len(starts), -1, end
    while start < end and end - start != last:
        if find(data, start, end, specials) >= 0:
            break
        last = end - start
        prefix = prefix_size(data, start, end, tables.flags)
        alone = prefix > 0 and find(data, start + prefix, end, specials) >= 0
        suffix = 0 if alone else suffix_size(data, start + prefix, end, tables)
        if suffix and find(data, start, end - suffix, specials) >= 0:
            prefix, alone = 0, True
        if prefix:
            starts[count], ends[count] = start, start + prefix
            count += 1
            start += prefix
        if suffix:
            end -= suffix
            waiting -= 1
            starts[waiting] = end
        if alone:
            break
    if start < end:
        count = put_middle(data, start, end, tables, starts, ends, count)
    for i in range(waiting, len(starts)):
        start = starts[i]
        after = starts[i + 1] if i + 1 < len(starts) else np.int64(stop)
        starts[count], ends[count] = start, after
        count += 1
    return count
