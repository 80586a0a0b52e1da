"""Bytes of an archive by offset, fetched in blocks, so that memory does not grow with the archive.

Blocks start at multiples of their size, and the last two stay: a member that crosses a border, or
a step back after damage, costs no second fetch.
"""

from collections.abc import Callable
from typing import Final

from shared.shards import DEFAULT_EXPANSION

#: Bytes a range read: large enough that an object store's latency (tens of ms) disappears.
BLOCK_BYTES: Final = 4 * 2**20
_KEPT_BLOCKS: Final = 2
#: What expands to no more than this is not asked how: it harms nobody.
_HARMLESS_BYTES: Final = 2**20


def most_output(compressed: int, expansion: int) -> int:
    """Bytes that so many compressed bytes may expand to."""
    return max(_HARMLESS_BYTES, compressed * expansion)


class Window:
    """Random access to `size` bytes behind `read(offset, length)`.

    `expansion` is how much of what they compress is believed, in bytes out for one in.
    """

    def __init__(
        self,
        read: Callable[[int, int], bytes],
        size: int,
        block_bytes: int = BLOCK_BYTES,
        expansion: int = DEFAULT_EXPANSION,
    ) -> None:
        self.size = size
        self.block_bytes = block_bytes
        self.expansion = expansion
        self._read = read
        self._blocks: dict[int, bytes] = {}

    def get(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length), fewer only at the archive's end."""
        length = min(length, self.size - offset)
        if length <= 0:
            return b""
        index, inside = divmod(offset, self.block_bytes)
        data = self._block(index)[inside : inside + length]
        if len(data) == length or inside + len(data) < self.block_bytes:
            return data
        parts, missing = [data], length - len(data)
        while missing > 0:
            index += 1
            part = self._block(index)[:missing]
            if not part:
                break
            parts.append(part)
            missing -= len(part)
        return b"".join(parts)

    def find(self, needle: bytes, start: int, end: int) -> int:
        """Offset of the first `needle` that starts in [start, end), or -1."""
        while start < end:
            # Up to the end of the block, and the rest of a needle that crosses it.
            border = min((start // self.block_bytes + 1) * self.block_bytes, end)
            data = self.get(start, border - start + len(needle) - 1)
            found = data.find(needle)
            if found >= 0:
                return start + found
            start = border
        return -1

    def is_zero(self, start: int, end: int) -> bool:
        """Whether all bytes in [start, end) are zero (padding of tapes and file systems)."""
        while start < end:
            data = self.get(start, min(self.block_bytes, end - start))
            if not data or data.count(0) != len(data):
                return False
            start += len(data)
        return True

    def _block(self, index: int) -> bytes:
        block = self._blocks.get(index)
        if block is None:
            offset = index * self.block_bytes
            block = self._read(offset, max(0, min(self.block_bytes, self.size - offset)))
            self._blocks[index] = block
            while len(self._blocks) > _KEPT_BLOCKS:
                del self._blocks[next(iter(self._blocks))]
        return block
