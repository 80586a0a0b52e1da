"""Documents as units: the bytes of their texts, or their tokens."""

from collections.abc import Iterator
from typing import Any, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from services.dedup.substrings.params import SubstringParams
from services.dedup.within import salts_of
from shared.index import ROW_BITS
from shared.scope import Scope

Int64Array: TypeAlias = npt.NDArray[np.int64]
#: uint8 or uint32.
ValueArray: TypeAlias = npt.NDArray[Any]


class Units(NamedTuple):
    """Document i is `values[begins[i]:ends[i]]`."""

    values: ValueArray
    begins: Int64Array  # (N,)
    ends: Int64Array  # (N,)
    #: Byte of its document that each unit starts at; None where units are bytes.
    starts: Int64Array | None


class Documents(NamedTuple):
    """Some documents of a shard in order, and the salt of its group."""

    places: Int64Array  # (N,)
    texts: pa.ChunkedArray
    salt: np.uint64


def units_of(texts: pa.ChunkedArray, params: SubstringParams) -> Units:
    """The units of each text; a null has none."""
    if params.tokenizer is None:
        from services.dedup.kernels.compiled import texts_of

        data, offsets, valid = texts_of(texts)
        return Units(data, offsets[:-1], np.where(valid, offsets[1:], offsets[:-1]), None)
    from shared.text.bpe import encode

    tokens = encode(texts, params.tokenizer)
    return Units(tokens.values, tokens.offsets[:-1], tokens.offsets[1:], tokens.starts)


def documents(
    scope: Scope, params: SubstringParams, shards: range, most_bytes: int
) -> Iterator[Documents]:
    """The documents of some shards, at most about `most_bytes` of text at a time."""
    salts = salts_of(scope.batch, params.within, params.parts)
    for shard, rows in scope.rows(("text",), shards):
        places = (shard << ROW_BITS) | np.asarray(rows.column("row"), np.int64)
        texts = rows.column("text")
        if len(places) == 0:
            continue
        sizes = np.asarray(pc.fill_null(pc.binary_length(texts), 0), np.int64)
        slices = np.unique(np.cumsum(sizes) // most_bytes, return_index=True)[1]
        for begin, end in zip(slices, np.append(slices[1:], len(sizes)), strict=True):
            salt = np.uint64(0) if salts is None else salts[shard]
            yield Documents(places[begin:end], texts.slice(begin, end - begin), salt)
