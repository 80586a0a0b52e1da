"""What every archive format yields: one row of the spine, not yet in Arrow."""

from dataclasses import dataclass
from typing import Final

#: Counted, and a row with an error: a record that could not be read whole.
DAMAGED: Final = "damaged"
#: Counted, and a row with an error: bytes between records that are no record.
GARBAGE: Final = "garbage"


@dataclass(slots=True)
class Row:
    """A document, or the fault that stands in its place. Fields as in `shared.schema.SPINE`."""

    document: str
    offset: int
    length: int
    record_type: str | None = None
    record_id: str | None = None
    url: str | None = None
    date: str | None = None
    http_status: int | None = None
    content_type: str | None = None
    payload: bytes | None = None
    error: str | None = None


def document_id(archive: str, offset: int, inner: int = 0) -> str:
    """The id `archive:offset`, or `archive:offset+inner`.

    `inner`, in inflated bytes or in rows, is where a document starts in the midst of a compressed
    member or of a row group.
    """
    return f"{archive}:{offset}+{inner}" if inner else f"{archive}:{offset}"
