"""RefinedWeb's formatting of extracted text: no URLs, at most two newlines in a row.

Specs, section 1.2, row 3 (arXiv 2306.01116, appendix G.1). The paper gives no expression for a URL;
this one takes what starts with `http://`, `https://`, `ftp://` or `www.` up to white space, quotes,
angle brackets or the scripts that write without spaces, and leaves closing punctuation to the
sentence.
"""

import re
from typing import Any, Final

import pyarrow as pa

from shared.schema import EDITS_TYPE, Column
from shared.step import NoParams, row_step

#: What ends a URL: space, quotes, brackets that no URL holds bare, CJK and full-width characters.
_OUTSIDE: Final = (
    '\\s\\x00-\\x20\\x7f<>"{}|\\\\^`\u2018-\u201f\u2026\u00ab\u00bb\u200b'
    "\u3000-\u303f\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uac00-\ud7af\uff00-\uffef"
)
_CLOSING: Final = ".,;:!?'()\\[\\]*_~"
URL: Final = re.compile(
    f"(?:https?://|ftp://|www\\.)[^{_OUTSIDE}]*[^{_OUTSIDE}{_CLOSING}]", re.IGNORECASE
)
#: Newlines and URLs without anything between them: deleting the URLs joins the newlines.
_REGION: Final = re.compile(f"(?:{URL.pattern}|\n)+", re.IGNORECASE)
_MAYBE: Final = re.compile("://|www\\.|\n\n\n", re.IGNORECASE)
#: Newlines in a row that stay (RefinedWeb).
_MOST_NEWLINES: Final = 2

Edit = dict[str, Any]


@row_step(
    "extraction.format_v1",
    reads=("text",),
    columns=(Column("edits", EDITS_TYPE, "URLs and surplus newlines, deleted"),),
    params=NoParams,
)
def format_v1(table: pa.Table, params: NoParams) -> pa.Table:
    """Delete every URL in the text and every newline after the second in a row."""
    edits = [None if text is None else find_edits(text) for text in table["text"].to_pylist()]
    return pa.table({"edits": pa.array(edits, EDITS_TYPE)})


def find_edits(text: str) -> list[Edit]:
    """The deletions, in bytes of the UTF-8 text, sorted and apart from each other."""
    if not _MAYBE.search(text):
        return []
    edits: list[Edit] = []
    at = at_bytes = 0
    for region in _REGION.finditer(text):
        for start, end in _deletions(text, region.start(), region.end()):
            first = at_bytes + len(text[at:start].encode())
            last = first + len(text[start:end].encode())
            edits.append({"start": first, "end": last, "text": ""})
            at, at_bytes = end, last
    return edits


def _deletions(text: str, start: int, end: int) -> list[tuple[int, int]]:
    """Character spans of a region: all of it but its first two newlines, neighbours joined."""
    kept = -1
    spans = []
    for _ in range(_MOST_NEWLINES):
        found = text.find("\n", max(start, kept + 1), end)
        if found < 0:
            break
        spans.append((start if kept < 0 else kept + 1, found))
        kept = found
    spans.append((start if kept < 0 else kept + 1, end))
    return [(a, b) for a, b in spans if a < b]
