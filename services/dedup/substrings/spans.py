"""Marked windows of a shard's documents as spans of their texts, and what is left of them."""

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.substrings.params import SubstringParams
from services.dedup.substrings.units import units_of
from shared.schema import EDITS_TYPE, SPANS_TYPE

Int64Array = npt.NDArray[np.int64]


class Spans(NamedTuple):
    """Spans in order, disjoint: position of the document among those given, begin, end."""

    row: Int64Array
    begins: Int64Array
    ends: Int64Array

    def take(self, index: npt.NDArray[np.bool_]) -> "Spans":
        """Those for which a mask is true."""
        return Spans(*(column[index] for column in self))


def join(rows: pa.Table, keyed: pa.Table, params: SubstringParams) -> pa.Table:
    """The columns of a shard's documents; null where the text is."""
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.suffixes import count_characters

    column = rows.column("text")
    texts = texts_of(column)
    numbers = np.asarray(rows.column("row"), np.int64)
    spans = byte_spans(column, unit_spans(keyed, numbers, params.length), params)
    begins = spans.begins + texts.offsets[spans.row]
    found = count_characters(texts.data, begins, begins + spans.ends - spans.begins)
    duplicate = np.zeros(len(numbers), np.int64)
    np.add.at(duplicate, spans.row, found)
    characters = np.asarray(pc.fill_null(pc.utf8_length(column), 0), np.int64)
    mask = ~texts.valid
    cut = spans if params.mode == "cut" else spans.take(np.zeros(len(spans.row), np.bool_))
    return pa.table(
        {
            "edits": _lists(cut, mask, EDITS_TYPE),
            "spans": _lists(spans, mask, SPANS_TYPE),
            "spans_count": pa.array(_counts(spans, len(mask)), pa.int32(), mask=mask),
            "duplicate_characters": pa.array(duplicate, pa.int64(), mask=mask),
            "remaining_characters": pa.array(characters - duplicate, pa.int64(), mask=mask),
            "duplicate_frac": pa.array(duplicate / np.maximum(characters, 1), mask=mask),
        }
    )


def unit_spans(keyed: pa.Table, rows: Int64Array, length: int) -> Spans:
    """Unions of marked windows in units; `rows` are the spine's rows of the documents."""
    row = np.searchsorted(rows, np.asarray(keyed.column("row"), np.int64))
    begins = np.asarray(keyed.column("start"), np.int64)
    ends = begins + np.asarray(keyed.column("count"), np.int64) - 1 + length
    order = np.lexsort((begins, row))
    row, begins, ends = row[order], begins[order], ends[order]
    reach = np.maximum.accumulate((row << 32) + ends)  # farthest end so far, documents apart
    new = np.ones(len(row), np.bool_)
    new[1:] = (row[1:] << 32) + begins[1:] > reach[:-1]
    first = np.flatnonzero(new)
    last = np.append(first, len(row))[1:] - 1
    return Spans(row[first], begins[first], reach[last] & (2**32 - 1))


def byte_spans(texts: pa.ChunkedArray, spans: Spans, params: SubstringParams) -> Spans:
    """The same in bytes of the texts, each shrunk to whole characters; those left empty go."""
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.suffixes import to_characters

    chosen, local = np.unique(spans.row, return_inverse=True)
    part = texts.take(pa.array(chosen))
    data, offsets, _ = texts_of(part)
    units = units_of(part, params)
    at, stops = offsets[:-1][local], offsets[1:][local]
    begins, ends = at + spans.begins, at + spans.ends
    if units.starts is not None:
        first = units.begins[local]
        begins = at + units.starts[first + spans.begins]
        behind = first + spans.ends
        inside = behind < units.ends[local]
        ends = stops.copy()
        ends[inside] = at[inside] + units.starts[behind[inside]]
    left = to_characters(data, begins, ends, stops)
    return Spans(spans.row, begins - at, ends - at).take(left)


def _counts(spans: Spans, rows: int) -> Int64Array:
    """Spans of each document."""
    return np.bincount(spans.row, minlength=rows)


def _lists(spans: Spans, mask: npt.NDArray[np.bool_], kind: pa.ListType) -> pa.ListArray:
    """Each document's spans as a list; a further field of the list's structs is empty."""
    bounds = np.concatenate(([0], np.cumsum(_counts(spans, len(mask)))))
    numbers = [pa.array(values, pa.int64()).cast(pa.int32()) for values in spans[1:]]
    fields = list(kind.value_type)
    empty = [pa.array([""] * len(spans.row), field.type) for field in fields[2:]]
    structs = pa.StructArray.from_arrays([*numbers, *empty], fields=fields)
    return pa.ListArray.from_arrays(
        pa.array(bounds, pa.int32()), structs, type=kind, mask=pa.array(mask)
    )
