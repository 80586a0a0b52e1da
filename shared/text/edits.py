"""Applies edits to texts, and finds spans of a text again after its edits.

Text is never rewritten in place: a step that cleans it leaves spans to cut or replace (a column
like any other), and this function makes the text that later steps read. The documents of a column
lie one after the other in its buffer, so the new column is one join of the kept spans and the
replacements, whatever the number of documents. Needs numpy and Arrow only: every service applies
edits.
"""

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from shared.errors import PermanentError
from shared.schema import SPANS_TYPE

Int64Array = npt.NDArray[np.int64]


def apply_edits(texts: pa.ChunkedArray, edits: pa.ChunkedArray) -> pa.ChunkedArray:
    """The texts after their edits, as large_string.

    `texts` is string or large_string, `edits` is EDITS_TYPE with as many rows. A null or empty
    list leaves its text as it is; a null text stays null, whatever its edits.

    Raises PermanentError where an edit lies outside its text, inside a character, or overlaps the
    edit before it: that is a defect of the step that made it.
    """
    if len(texts) != len(edits):
        raise PermanentError(f"{len(edits)} lists of edits for {len(texts)} texts")
    column: pa.LargeStringArray = texts.cast(pa.large_string()).combine_chunks()
    lists = edits.combine_chunks()
    parents = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    spans = pc.list_flatten(lists)
    if column.null_count:
        on_text = pc.is_valid(column).take(parents)
        spans, parents = spans.filter(on_text), parents[on_text.to_numpy(zero_copy_only=False)]
    if not len(spans):
        return pa.chunked_array([column], type=pa.large_string())
    return pa.chunked_array([_replace(column, parents, spans)])


def _replace(
    column: pa.LargeStringArray, parents: Int64Array, spans: pa.StructArray
) -> pa.LargeStringArray:
    """`spans[i]` applied to document `parents[i]` (ascending) of the column."""
    validity, _, data = column.buffers()
    offsets = _offsets(column)
    start = spans.field("start").to_numpy(zero_copy_only=False).astype(np.int64)
    end = spans.field("end").to_numpy(zero_copy_only=False).astype(np.int64)
    new = pc.fill_null(spans.field("text"), "").cast(pa.large_binary())
    raw = memoryview(data if data is not None else b"")
    _check(offsets, parents, start, end, np.frombuffer(raw, dtype=np.uint8))
    pieces: list[memoryview | bytes] = []
    position = int(offsets[0])
    begins, ends = (start + offsets[parents]).tolist(), (end + offsets[parents]).tolist()
    for begin, stop, replacement in zip(begins, ends, new.to_pylist(), strict=True):
        pieces.append(raw[position:begin])
        pieces.append(replacement)
        position = stop
    pieces.append(raw[position : int(offsets[-1])])
    lengths = np.diff(offsets)
    np.add.at(lengths, parents, pc.binary_length(new).to_numpy() - (end - start))
    moved = np.concatenate(([0], np.cumsum(lengths))).astype(np.int64)
    if column.offset and validity is not None:  # the new column starts at bit 0
        validity = pc.is_valid(column).buffers()[1]
    return pa.Array.from_buffers(
        pa.large_string(),
        len(column),
        [validity, pa.py_buffer(moved), pa.py_buffer(b"".join(pieces))],
    )


def _offsets(column: pa.LargeStringArray) -> Int64Array:
    """Where each document starts in the column's data, and where the last one ends."""
    buffer = column.buffers()[1]
    return np.frombuffer(buffer, dtype=np.int64)[column.offset : column.offset + len(column) + 1]


def _check(
    offsets: Int64Array,
    parents: Int64Array,
    start: Int64Array,
    end: Int64Array,
    data: npt.NDArray[np.uint8],
) -> None:
    """Raise PermanentError, naming the row, at the first edit that is not well formed."""
    size = np.diff(offsets)[parents]
    bad = (start < 0) | (start > end) | (end > size)
    bad[1:] |= (parents[1:] == parents[:-1]) & (start[1:] < end[:-1])
    if not bad.any():
        for edge in (start, end):
            inner = edge < size  # the end of a text is always the end of a character
            at = (edge + offsets[parents])[inner]
            bad[inner] |= (data[at] & 0xC0) == 0x80  # a continuation byte
    if bad.any():
        i = int(np.flatnonzero(bad)[0])
        raise PermanentError(
            f"row {parents[i]}: edit [{start[i]}, {end[i]}) of a text of {size[i]} bytes overlaps "
            "another, splits a character or lies outside"
        )


def move_spans(spans: pa.ChunkedArray, edits: pa.ChunkedArray) -> pa.ChunkedArray:
    """Where spans of the texts lie after the edits: SPANS_TYPE with as many rows and spans.

    Of a span that was cut as a whole nothing is left: it is empty. A replacement belongs to every
    span that holds a part of what it replaces; what is inserted at a span's edge belongs to none.
    """
    if len(spans) != len(edits):
        raise PermanentError(f"{len(edits)} lists of edits for {len(spans)} lists of spans")
    lists = spans.combine_chunks()
    found, changes = pc.list_flatten(lists), edits.combine_chunks()
    in_row = pc.list_parent_indices(changes).to_numpy(zero_copy_only=False).astype(np.int64)
    changes = pc.list_flatten(changes)
    if not len(found) or not len(changes):
        return pa.chunked_array([lists])
    row = pc.list_parent_indices(lists).to_numpy(zero_copy_only=False).astype(np.int64)
    moved = _move(row, found, in_row, changes)
    lengths = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False)
    offsets = np.concatenate(([0], np.cumsum(lengths))).astype(np.int32)
    structs = pa.StructArray.from_arrays(
        [pa.array(positions.astype(np.int32)) for positions in moved],
        fields=list(SPANS_TYPE.value_type),
    )
    absent = pc.is_null(lists)
    return pa.chunked_array(
        [pa.ListArray.from_arrays(pa.array(offsets), structs, type=SPANS_TYPE, mask=absent)]
    )


def _move(
    row: Int64Array, found: pa.StructArray, in_row: Int64Array, changes: pa.StructArray
) -> tuple[Int64Array, Int64Array]:
    """New starts and ends of spans, `found[i]` of row `row[i]`; both sorted by row and start."""
    start, end = (found.field(n).to_numpy(zero_copy_only=False).astype(np.int64) for n in _EDGES)
    begin, stop = (changes.field(n).to_numpy(zero_copy_only=False).astype(np.int64) for n in _EDGES)
    size = pc.fill_null(pc.binary_length(changes.field("text")), 0).to_numpy().astype(np.int64)
    grown = np.concatenate(([0], np.cumsum(size - (stop - begin))))
    grown_before = grown[np.searchsorted(in_row, row)]
    # One number for row and position, so that one search serves all rows.
    base, in_base = row << 32, in_row << 32

    done = np.searchsorted(in_base + stop, base + start, "right")  # edits that end before
    inside = np.append(in_base + begin, np.iinfo(np.int64).max)[done] < base + start
    new_start = np.where(inside, np.append(begin, 0)[done], start) + grown[done] - grown_before

    begun = np.searchsorted(in_base + begin, base + end, "left")  # edits that begin before
    last = np.maximum(begun - 1, 0)
    inside = (begun > 0) & ((in_base + stop)[last] > base + end) & (in_row[last] == row)
    new_end = np.where(inside, stop[last], end) + grown[begun] - grown_before
    return new_start, np.maximum(new_end, new_start)


_EDGES = ("start", "end")
