"""Compiled look-up of short strings: hash tables in one array of integers.

All tables that the loops read, but for the classes of characters, lie in one array (`Memory`):
a call that passes ten arrays costs more than most of what it does. A set of strings begins at a
base and holds, in this order: for each byte a word whose bit n says that some string of n bytes
begins with it; the same for the last byte; the number of slots, where the bounds and where the
bytes are (from the base); the slots (an index or -1, open addressing); the bounds; the bytes.
"""

import numpy as np
import numpy.typing as npt

from shared.text.compiled import leaf

Int64Array = npt.NDArray[np.int64]
Memory = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

#: Strings are shorter than this: their lengths are bits of a word.
LIMIT = 63
LAST, SLOTS, BOUNDS, BYTES, TABLE = 256, 512, 513, 514, 515
_OFFSET, _FACTOR = np.uint64(0xCBF29CE484222325), np.uint64(0x100000001B3)  # FNV-1a
_32 = np.uint64(32)


def string_set(strings: list[str]) -> Int64Array:
    """The set of different, not empty strings."""
    encoded = [s.encode() for s in strings]
    lengths = [len(e) for e in encoded]
    if not all(0 < n < LIMIT for n in lengths):
        raise ValueError(f"strings must have 1 to {LIMIT - 1} bytes")
    masks = np.zeros(512, np.int64)
    for raw in encoded:
        masks[raw[0]] |= 1 << len(raw)
        masks[LAST + raw[-1]] |= 1 << len(raw)
    data = np.frombuffer(b"".join(encoded), np.uint8)
    bounds = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    slots = np.full(1 << (4 * len(strings)).bit_length(), -1, np.int64)
    fill(data, bounds, slots)
    places = [len(slots), TABLE + len(slots), TABLE + len(slots) + len(bounds)]
    return np.concatenate((masks, np.array(places), slots, bounds, data.astype(np.int64)))


@leaf
def slot_of(data: Bytes, start: int, end: int, slots: int) -> int:
    """Where the search for a string begins."""
    value = _OFFSET
    for at in range(start, end):
        value = (value ^ np.uint64(data[at])) * _FACTOR
    return int(np.int64((value ^ (value >> _32)) & np.uint64(slots - 1)))


@leaf
def fill(data: Bytes, bounds: Int64Array, slots: Int64Array) -> None:
    """Enter each string."""
    for i in range(len(bounds) - 1):
        at = slot_of(data, bounds[i], bounds[i + 1], len(slots))
        while slots[at] >= 0:
            at = (at + 1) & (len(slots) - 1)
        slots[at] = i


@leaf
def search(data: Bytes, start: int, end: int, memory: Memory, base: int) -> int:
    """As `find`, of a string whose first byte, last byte and size occur."""
    slots, bounds = memory[base + SLOTS], base + memory[base + BOUNDS]
    at = slot_of(data, start, end, slots)
    while memory[base + TABLE + at] >= 0:
        index = int(memory[base + TABLE + at])
        begin = memory[bounds + index]
        if memory[bounds + index + 1] - begin == end - start:
            begin += base + memory[base + BYTES]
            same = True
            for i in range(end - start):
                same &= memory[begin + i] == data[start + i]
            if same:
                return index
        at = (at + 1) & (slots - 1)
    return -1


@leaf
def find(data: Bytes, start: int, end: int, memory: Memory, base: int) -> int:
    """The index of the string `data[start:end]` in the set at `base`, or -1."""
    size = end - start
    if size <= 0 or size >= LIMIT:
        return -1
    lengths = memory[base + data[start]] & memory[base + LAST + data[end - 1]]
    if not (lengths >> size) & 1:
        return -1
    return search(data, start, end, memory, base)
