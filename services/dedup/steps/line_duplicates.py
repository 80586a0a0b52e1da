"""Lines that occur again in other documents, cut out (cc_net, C4, MAP-Neo).

    sort     one task a group of shards: the lines' keys in sorted runs, one entry a line; what is
             repeated within a document, or within what is sorted together, is cut at once
    merge    many runs to few (`services.dedup.index.grouping`)
    match    one task a range of keys: the entries of a line in several runs; all but one, or all,
             are cut
    join     the cut lines of each document as edits

A line that a million pages share so costs a million cuts, and one entry a run. The recipe decides
what becomes of short rests: `characters > 0` (cc_net, C4), `characters >= 20` (MAP-Neo).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.index.grouping import (
    merge,
    merge_tasks,
    open_all,
    run_name,
    shards_of,
    sort_tasks,
)
from services.dedup.index.run import (
    Entries,
    concatenate,
    partition_range,
    sort_entries,
    windows,
    write_run,
)
from services.dedup.line_cuts import CUT_BYTES, CUTS, CutSorter, cut_batch, sorted_cuts
from services.dedup.lines import LineParams, copies, folding_of, losers, one_each
from services.dedup.steps.url_key import url_key
from services.dedup.within import salts_of
from shared.index import ROW_BITS
from shared.schema import EDITS_TYPE, Column
from shared.scope import Scope
from shared.step import GroupOutput, NoParams, Phase, group_step

if TYPE_CHECKING:
    from services.dedup.kernels.compiled import Texts

#: Bytes of an entry while a piece is sorted: key, place, line, rank and check (36), gathered,
#: picked twice, and the orders of both sorts (16).
ENTRY_BYTES = 160
#: Bytes of arrays a byte of text that is hashed at once, if all its lines are empty.
LINE_BYTES = 64

COLUMNS: Final = (
    Column("edits", EDITS_TYPE, "lines that go, with their line feeds"),
    Column("lines", pa.int64(), "lines left", "lines"),
    Column("lines_removed", pa.int64(), "lines that go", "lines"),
    Column("characters", pa.int64(), "length of what is left", "characters"),
    Column("characters_removed", pa.int64(), "length of what goes, line feeds too", "characters"),
)


class _Piece(NamedTuple):
    """Lines of some documents: an entry each, and those that a document has had before."""

    entries: Entries
    repeats: tuple[npt.NDArray[np.int64], npt.NDArray[np.int32]]


def sort(scope: Scope, partition: int, params: LineParams) -> GroupOutput:
    """Runs of a group of shards, one entry a line each, and the lines that go by them alone."""
    units = sort_tasks(params, len(scope.batch.shards))
    shards = shards_of(partition, units, len(scope.batch.shards))
    files: dict[str, bytes | Path] = {}
    counts = {"lines": 0, "repeated_in_document": 0, "removed": 0}

    def batches() -> Iterator[pa.RecordBatch]:
        for piece in _gathered(_pieces(scope, shards, params), scope.memory):
            entries = sort_entries(piece.entries)
            found = copies(entries)
            gone = losers(entries, found, params.keep)
            if len(entries):
                files[run_name(len(files))] = write_run(one_each(entries, found, params.keep))
            places = np.concatenate((piece.repeats[0], entries.places[gone]))
            lines = np.concatenate((piece.repeats[1], entries.columns["line"][gone]))
            counts["lines"] += len(entries) + len(piece.repeats[0])
            counts["repeated_in_document"] += len(piece.repeats[0])
            counts["removed"] += len(places)
            yield cut_batch(*sorted_cuts(places, lines))

    return GroupOutput(pa.RecordBatchReader.from_batches(CUTS, batches()), files, counts)


def _pieces(scope: Scope, shards: range, params: LineParams) -> Iterator[_Piece]:
    """The lines of shards, as many documents at once as memory allows."""
    salts = salts_of(scope.batch, params.within, params.parts)
    by_url = params.keep == "min_url_hash"
    for shard, table in scope.rows(("text", "url") if by_url else ("text",), shards):
        salt = salts[shard] if salts is not None else np.uint64(0)
        sizes = pc.fill_null(pc.binary_length(table["text"]), 0)
        ends = np.cumsum(np.asarray(sizes, np.int64))
        at = 0
        while at < table.num_rows:
            most = (ends[at - 1] if at else 0) + scope.memory // (4 * LINE_BYTES)
            end = max(at + 1, int(np.searchsorted(ends, most, "right")))
            yield _piece(table.slice(at, end - at), shard, salt, params)
            at = end


def _piece(rows: pa.Table, shard: int, salt: np.uint64, params: LineParams) -> _Piece:
    """Hash the lines of some documents."""
    from services.dedup.kernels import line_keys
    from services.dedup.kernels.compiled import texts_of

    texts = texts_of(rows["text"])
    bounds = line_keys.count_lines(texts)
    keys, checks, blank = line_keys.line_keys(texts, bounds, folding_of(params.normalization))
    counts = np.diff(bounds)
    places = np.repeat((shard << ROW_BITS) | np.asarray(rows["row"], np.int64), counts)
    lines = (np.arange(len(keys)) - np.repeat(bounds[:-1], counts)).astype(np.int32)
    counted = ~blank if params.blank == "keep" else np.ones(len(keys), np.bool_)
    first = line_keys.firsts(keys, bounds)
    columns: dict[str, npt.NDArray[Any]] = {"line": lines}
    if params.hash_bits == 128:
        columns["check"] = checks
    if params.keep == "min_url_hash":
        columns["rank"] = np.repeat(_url_ranks(rows), counts)
    if params.keep == "none":
        columns["cut"] = np.zeros(len(keys), np.uint8)
    repeats = counted & ~first
    entries = Entries(keys ^ salt, places, columns).take(counted & first)
    return _Piece(entries, (places[repeats], lines[repeats]))


def _url_ranks(rows: pa.Table) -> npt.NDArray[np.uint64]:
    """The first 64 bits of the MD5 of each document's normalised URL; they sort as it does."""
    from hashlib import md5

    urls = url_key(rows.select(["url"]), NoParams())["url_normalized"]
    digests = (
        md5((u or "").encode(), usedforsecurity=False).digest()[:8] for u in urls.to_pylist()
    )
    return np.frombuffer(b"".join(digests), ">u8").astype(np.uint64)


def _gathered(pieces: Iterator[_Piece], memory: int) -> Iterator[_Piece]:
    """Pieces put together, as long as sorting them takes about `memory` bytes."""
    waiting: list[_Piece] = []
    bytes_ = 0
    for piece in pieces:
        waiting.append(piece)
        bytes_ += ENTRY_BYTES * len(piece.entries) + CUT_BYTES * len(piece.repeats[0])
        if bytes_ >= memory // 2:
            yield _joined(waiting)
            waiting, bytes_ = [], 0
    if waiting:
        yield _joined(waiting)


def _joined(pieces: list[_Piece]) -> _Piece:
    places, lines = (np.concatenate([p.repeats[i] for p in pieces]) for i in (0, 1))
    return _Piece(concatenate([p.entries for p in pieces]), (places, lines))


def match(scope: Scope, partition: int, params: LineParams) -> GroupOutput:
    """The lines of this batch that go for what another run has of them, for a range of keys."""
    runs = open_all(scope, params.index)
    base = (scope.index(params.index).base if params.index is not None else 0) << ROW_BITS
    low, high = partition_range(partition, params.partitions)
    cuts = CutSorter(scope.memory // 4)
    removed = 0
    # Beside a window there is what `copies` picks of it: as much again.
    for window in windows(runs, low, high, scope.memory // 4):
        gone = losers(window, copies(window), params.keep)
        places = window.places[gone] - base
        own = places >= 0
        cuts.add(places[own], window.columns["line"][gone][own])
        removed += int(own.sum())
    batches = pa.RecordBatchReader.from_batches(CUTS, cuts.batches())
    return GroupOutput(batches, counts={"removed": removed})


def join(rows: pa.Table, keyed: pa.Table, _params: LineParams) -> pa.Table:
    """The cut lines of a shard's documents as edits, and what is left of each."""
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.line_keys import count_lines, line_edits
    from shared.text.utf8 import count_characters

    texts = texts_of(rows["text"])
    at = np.searchsorted(np.asarray(rows["row"], np.int64), np.asarray(keyed["row"], np.int64))
    at, lines = sorted_cuts(at, np.asarray(keyed["line"], np.int32))
    starts, ends, bounds = line_edits(texts, at, lines.astype(np.int64))
    begins = np.repeat(texts.offsets[:-1], np.diff(bounds))
    gone = count_characters(texts.data, begins + starts, begins + ends)
    characters_removed = np.diff(np.concatenate(([0], np.cumsum(gone)))[bounds])
    removed = np.bincount(at, minlength=len(texts.valid))
    null = ~texts.valid
    measures = {
        "lines": np.diff(count_lines(texts)) - removed,
        "lines_removed": removed,
        "characters": np.asarray(pc.fill_null(pc.utf8_length(rows["text"]), 0))
        - characters_removed,
        "characters_removed": characters_removed,
    }
    arrays = {name: pa.array(v.astype(np.int64), mask=null) for name, v in measures.items()}
    return pa.table({"edits": _edits(starts, ends, bounds, texts), **arrays})


def _edits(
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    bounds: npt.NDArray[np.int64],
    texts: "Texts",
) -> pa.ListArray:
    """Deletions as a column; null where the text is."""
    spans = pa.StructArray.from_arrays(
        [pa.array(starts, pa.int32()), pa.array(ends, pa.int32()), pa.repeat("", len(starts))],
        fields=list(EDITS_TYPE.value_type),
    )
    offsets = pa.array(bounds.astype(np.int32), mask=np.append(~texts.valid, False))
    return pa.ListArray.from_arrays(offsets, spans)


group_step(
    "dedup.line_duplicates_v1",
    reads=("text", "url"),
    phases=(
        Phase("sort", sort, sort_tasks, joined=lambda _params: True),
        Phase("merge", merge, merge_tasks),
        Phase(
            "match",
            match,
            lambda params, _shards: int(params.partitions),
            joined=lambda _params: True,
        ),
    ),
    doc="Lines that other documents have, or the document itself before, cut out (specs 15.8).",
    params=LineParams,
    columns=COLUMNS,
    join=join,
)
