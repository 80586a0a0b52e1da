"""Which format an archive has, told from its first bytes, and the rows of a shard of it.

The bytes decide, not the name: crawls are renamed, recompressed and served with wrong suffixes.
Only where the first bytes say nothing (a damaged start) the name is believed.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from services.extraction.archive.cursor import Cursor
from services.extraction.archive.lines import read_lines
from services.extraction.archive.members import (
    DICTIONARY_MAGIC,
    GZIP_MAGIC,
    WARC_MAGIC,
    ZSTD_MAGIC,
    Codec,
    DamageError,
    gzip_codec,
    zstd_codec,
)
from services.extraction.archive.row import Row
from services.extraction.archive.tables import read_table
from services.extraction.archive.warc import read_warc
from services.extraction.archive.window import Window
from shared.errors import UsageError

_HEAD_BYTES: Final = 512
#: First bytes of what is not read, and what to do instead.
_REFUSED: Final = {
    b"PK\x03\x04": "a zip file (WACZ?): unpack it and submit the WARCs in its archive/ folder",
    b"PK\x05\x06": "an empty zip file",
    b"filedesc:": "an ARC file: convert it with `warcio recompress`",
    b"\x04\x22\x4d\x18": "lz4: recompress it with gzip (a member a record) or zstd",
    b"\x02\x21\x4c\x18": "lz4: recompress it with gzip (a member a record) or zstd",
    b"BZh": "bzip2: recompress it with gzip or zstd",
    b"\xfd7zXZ\x00": "xz: recompress it with gzip or zstd",
}
_WARC_NAMES: Final = (".warc", ".wet", ".wat")
_LINE_NAMES: Final = (".jsonl", ".ndjson", ".json")


@dataclass(frozen=True)
class Options:
    """`limit`: bytes of a payload at most; `text_fields`: of JSONL and Parquet, tried in order."""

    limit: int
    text_fields: tuple[str, ...]


def read_rows(
    archive: str, window: Window, span: tuple[int, int], options: Options, counts: Counter[str]
) -> Iterator[Row]:
    """Rows of what starts in bytes `span` of the archive, in order; raises UsageError.

    For any cut of an archive into spans, the rows of the parts are the rows of the whole.
    """
    if window.size == 0:
        return
    head = window.get(0, _HEAD_BYTES)
    if head.startswith(b"PAR1"):
        yield from read_table(archive, window, span, options.limit, options.text_fields, counts)
        return
    codec = _codec(archive, head, window)
    try:
        inner = Cursor(codec.open(0).pieces()).peek(_HEAD_BYTES) if codec else head
    except DamageError:
        inner = b""
    kind = _kind(archive, head, inner)
    if kind == "jsonl":
        fields = options.text_fields
        yield from read_lines(archive, window, codec, span, options.limit, fields, counts)
    elif codec is not None or span[0] == 0:
        yield from read_warc(archive, window, codec, span, options.limit, counts)


def _codec(archive: str, head: bytes, window: Window) -> Codec | None:
    """The archive's compression; UsageError where its zstd dictionary, which all needs, is lost."""
    if head.startswith(GZIP_MAGIC):
        return gzip_codec(window)
    if head.startswith(ZSTD_MAGIC) or head[1:4] == DICTIONARY_MAGIC[1:]:
        try:
            return zstd_codec(window)
        except DamageError as error:
            raise UsageError(
                f"{archive}: the dictionary at its start is damaged: {error}"
            ) from error
    return None


def _kind(archive: str, head: bytes, inner: bytes) -> str:
    """Either "warc" or "jsonl"; UsageError for anything else."""
    for magic, advice in _REFUSED.items():
        if head.startswith(magic) or inner.startswith(magic):
            raise UsageError(f"{archive} is {advice}")
    start = inner.removeprefix(b"\xef\xbb\xbf").lstrip()
    if start.upper().startswith(WARC_MAGIC):
        return "warc"
    if start.startswith(b"{"):
        return "jsonl"
    name = archive.lower()
    if any(suffix in name for suffix in _WARC_NAMES):
        return "warc"
    if any(suffix in name for suffix in _LINE_NAMES):
        return "jsonl"
    raise UsageError(
        f"{archive} is none of WARC, WET, JSONL (plain, gzip, zstd) or Parquet: "
        f"it begins with {start[:16] or head[:16]!r}"
    )
