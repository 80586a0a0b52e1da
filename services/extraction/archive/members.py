"""Gzip members and zstd frames: inflated in bounded memory, found again after damage.

A compressed WARC is a chain of members, usually one a record (WARC 1.1, annex D). `chain` walks it
from any byte: a shard takes the members that *start* in its range, so it begins with the first
offset at or after its start whose bytes inflate to `WARC/`, and ends with the first such member
that belongs to the next shard. What lies between two members and is none belongs to the shard of
the member before it.

Known limit: a member stored inside a record uncompressed (a page that is itself a WARC.gz) looks
like a member to a shard that starts in its midst.
"""

import struct
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, Protocol

from services.extraction.archive.cursor import Cursor
from services.extraction.archive.window import Window, most_output

#: Compressed bytes handed to zlib at once: few at first and then twice as many each time, for zlib
#: gives nothing back of a call that ends in a fault, and a damaged record's header says which
#: page is lost. Counted from the member's start, so that what a record in the midst of a member
#: reports as its length does not depend on where shards were cut.
_FIRST_FEED_BYTES: Final = 2**10
_MOST_FEED_BYTES: Final = 2**16
#: Inflated bytes a piece at most: gzip expands up to 1,032 times.
_PIECE_BYTES: Final = 2**20

GZIP_MAGIC: Final = b"\x1f\x8b\x08"
ZSTD_MAGIC: Final = b"\x28\xb5\x2f\xfd"
#: Of the skippable frame that holds the dictionary (Webrecorder's and IIPC's Warc-zstd draft).
DICTIONARY_MAGIC: Final = b"\x5d\x2a\x4d\x18"
#: Limits what a hostile frame header may demand: 128 MiB, zstd's own --long.
_ZSTD_WINDOW_BYTES: Final = 2**27
_DICTIONARY_BYTES: Final = 16 * 2**20
#: First bytes of a record, in any case (jwat reads `warc/1.0`).
WARC_MAGIC: Final = b"WARC/"


class DamageError(Exception):
    """The bytes cannot be inflated any further; `offset` bytes of the archive were sound."""

    def __init__(self, offset: int, cause: str) -> None:
        super().__init__(f"damaged after byte {offset}: {cause}")


class ExpansionError(DamageError):
    """The bytes expand too much to be anything but an attack; they are inflated no further."""

    def __init__(self, offset: int, expansion: int) -> None:
        super().__init__(offset, "")
        self.args = (f"expands to more than {expansion} times its compressed bytes",)


class _Expansion:
    """Watches what a member expands to."""

    def __init__(self, window: Window, offset: int) -> None:
        self._offset, self._times = offset, window.expansion
        self._bytes = 0

    def count(self, piece: bytes, compressed: int) -> bytes:
        """The piece; ExpansionError where all so far came of too few compressed bytes."""
        self._bytes += len(piece)
        if self._bytes > most_output(compressed, self._times):
            raise ExpansionError(self._offset + compressed, self._times)
        return piece


class Member(Protocol):
    """A run of records that can be inflated from `offset` on, independently of what precedes."""

    offset: int
    #: Compressed bytes from `offset` that were needed so far.
    reached: int
    #: Where the member ended; None until it has.
    end: int | None

    def pieces(self) -> Iterator[bytes]:
        """Inflate; raises DamageError."""


class GzipMember:
    """One gzip member (RFC 1952)."""

    def __init__(self, window: Window, offset: int) -> None:
        self.offset = offset
        self.reached = 0
        self.end: int | None = None
        self._window = window

    def pieces(self) -> Iterator[bytes]:
        """Inflate; raises DamageError."""
        engine = zlib.decompressobj(wbits=31)
        position = self.offset
        feed = _FIRST_FEED_BYTES
        expansion = _Expansion(self._window, self.offset)
        while not engine.eof:
            data = engine.unconsumed_tail
            if not data:
                data = self._window.get(position, feed)
                position += len(data)
                feed = min(2 * feed, _MOST_FEED_BYTES)
            try:
                piece = engine.decompress(data, _PIECE_BYTES) if data else engine.flush()
            except zlib.error as error:
                raise DamageError(position - len(data), str(error)) from error
            self.reached = position - len(engine.unused_data) - self.offset
            if engine.eof:
                self.end = self.offset + self.reached
            if piece:
                yield expansion.count(piece, self.reached - len(engine.unconsumed_tail))
            elif not data and not engine.eof:
                raise DamageError(position, "the archive ends within a gzip member")


class ZstdFrame:
    """One zstd frame (RFC 8878), fed a block (at most 128 KiB inflated) at a time."""

    def __init__(self, window: Window, offset: int, dictionary: bytes | None = None) -> None:
        self.offset = offset
        self.reached = 0
        self.end: int | None = None
        self._window = window
        self._dictionary = dictionary

    def pieces(self) -> Iterator[bytes]:
        """Inflate; raises DamageError. A skippable frame yields nothing."""
        import zstandard

        magic = self._take(4)
        if magic[1:] == DICTIONARY_MAGIC[1:] and magic[0] >> 4 == 5:
            size = struct.unpack("<I", self._take(4))[0]
            self.reached += size
            self.end = min(self.offset + self.reached, self._window.size)
            return
        if magic != ZSTD_MAGIC:
            raise DamageError(self.offset, "no zstd frame")
        given = zstandard.ZstdCompressionDict(self._dictionary) if self._dictionary else None
        engine = zstandard.ZstdDecompressor(
            dict_data=given, max_window_size=_ZSTD_WINDOW_BYTES
        ).decompressobj()
        head, checksum = self._frame_header()
        feed, last = magic + head, False
        expansion = _Expansion(self._window, self.offset)
        while True:
            try:
                piece = engine.decompress(feed)
            except zstandard.ZstdError as error:
                at = self.offset + self.reached - len(feed)
                raise DamageError(at, str(error)) from error
            if last:
                self.end = self.offset + self.reached
            if piece:
                yield expansion.count(piece, self.reached)
            if last:
                return
            feed, last = self._block()
            if last and checksum:
                feed += self._take(4)

    def _frame_header(self) -> tuple[bytes, bool]:
        """The rest of the frame header, and whether a checksum follows the blocks."""
        descriptor = self._take(1)
        bits = descriptor[0]
        single = bits >> 5 & 1
        content_size = (single, 2, 4, 8)[bits >> 6]
        rest = (0 if single else 1) + (0, 1, 2, 4)[bits & 3] + content_size
        return descriptor + self._take(rest), bool(bits >> 2 & 1)

    def _block(self) -> tuple[bytes, bool]:
        """The next block with its header, and whether it is the frame's last."""
        head = self._take(3)
        bits = int.from_bytes(head, "little")
        is_run = (bits >> 1 & 3) == 1
        return head + self._take(1 if is_run else bits >> 3), bool(bits & 1)

    def _take(self, length: int) -> bytes:
        data = self._window.get(self.offset + self.reached, length)
        self.reached += len(data)
        if len(data) < length:
            raise DamageError(self.offset + self.reached, "the archive ends within a zstd frame")
        return data


@dataclass(frozen=True)
class Codec:
    """How a compressed archive's members begin, and how one is opened."""

    magic: bytes
    open: Callable[[int], Member]


def gzip_codec(window: Window) -> Codec:
    """For an archive of gzip members."""
    return Codec(GZIP_MAGIC, lambda offset: GzipMember(window, offset))


def zstd_codec(window: Window) -> Codec:
    """For an archive of zstd frames; a dictionary is taken from its first frame."""
    dictionary = _dictionary(window)
    return Codec(ZSTD_MAGIC, lambda offset: ZstdFrame(window, offset, dictionary))


def _dictionary(window: Window) -> bytes | None:
    if window.get(0, 4) != DICTIONARY_MAGIC:
        return None
    size = struct.unpack("<I", window.get(4, 4).ljust(4, b"\0"))[0]
    if size > _DICTIONARY_BYTES:
        raise DamageError(0, f"a dictionary of {size} bytes")
    data = window.get(8, size)
    if data[:4] == ZSTD_MAGIC:
        packed = Window(lambda at, length: data[at : at + length], len(data))
        data = Cursor(ZstdFrame(packed, 0).pieces()).take(_DICTIONARY_BYTES)
    _check_dictionary(data)
    return data


def _check_dictionary(data: bytes) -> None:
    """Raise DamageError where zstd cannot use it."""
    import zstandard

    try:
        zstandard.ZstdDecompressor(dict_data=zstandard.ZstdCompressionDict(data)).decompressobj()
    except zstandard.ZstdError as error:
        raise DamageError(0, f"no zstd dictionary: {error}") from error


@dataclass(frozen=True)
class Gap:
    """Bytes [offset, end) between members that are no member."""

    offset: int
    end: int
    cause: str


def chain(
    window: Window, codec: Codec, start: int, end: int
) -> Iterator[tuple[Member, Cursor] | Gap]:
    """The members that start in [start, end) and hold records, and the gaps after them.

    The caller consumes each member's cursor before it asks for the next.
    """
    position = next_member(window, codec, start, end) if start else 0
    while position < window.size:
        member = codec.open(position)
        cursor = Cursor(member.pieces())
        try:
            cursor.skip_blank()
            first = cursor.peek(len(WARC_MAGIC))
            cause = "inflates to no WARC record"
        except DamageError as damage:
            first, cause = b"?", str(damage)
        if first.upper() == WARC_MAGIC:
            if position >= end:
                return
            yield member, cursor
            following = member.end
        elif not first and member.end is not None:
            following = member.end
        else:
            following = next_member(window, codec, position + 1, window.size)
            yield Gap(position, following, cause)
        if following is None:
            following = next_member(window, codec, position + 1, window.size)
        position = following


def next_member(window: Window, codec: Codec, start: int, end: int) -> int:
    """The first offset in [start, end) whose bytes inflate to a record.

    The archive's size where there is none.
    """
    while (start := window.find(codec.magic, start, end)) >= 0:
        if _holds_records(codec.open(start)):
            return start
        start += 1
    return window.size


def _holds_records(member: Member) -> bool:
    cursor = Cursor(member.pieces())
    try:
        cursor.skip_blank()
        return cursor.peek(len(WARC_MAGIC)).upper() == WARC_MAGIC
    except DamageError:
        return False
