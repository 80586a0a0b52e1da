"""MinHash band digests: documents that share one are near-duplicate candidates."""

from typing import Literal

import pyarrow as pa
from pydantic import Field

from services.dedup.normalization import Normalization
from shared.schema import Column
from shared.step import Params, row_step


class MinhashParams(Params):
    """Defaults are FineWeb's: 14 bands of 8, five words, seed 1 (specs 10.1, presets in 15.9).

    Two documents of Jaccard similarity s share a band with probability 1 - (1 - s^rows)^bands.
    For text without spaces between words take `unit: characters`, or `words`, where each ideograph
    is a word of its own (as are kana and Thai, Lao, Khmer and Myanmar letters).
    """

    bands: int = Field(default=14, ge=1, le=4096)
    rows: int = Field(default=8, ge=1, le=4096)
    ngram: int = Field(default=5, ge=1, le=1000)
    seed: int = Field(default=1, ge=0, lt=2**32)
    normalization: Normalization = "simplify"
    unit: Literal["words", "characters"] = "words"
    #: Whose values the functions give; see `services.dedup.kernels.minhash`.
    scheme: Literal["datasketch", "datasketch64", "datasketch_legacy", "datatrove"] = "datasketch"


@row_step(
    "dedup.minhash_v1",
    reads=("text",),
    columns=(
        Column(
            "bands",
            pa.list_(pa.uint64()),
            "one digest a band; null where the text is shorter than a shingle",
        ),
    ),
    params=MinhashParams,
)
def minhash(rows: pa.Table, params: MinhashParams) -> pa.Table:
    """MinHash over word or character n-grams, one 64-bit digest a band.

    Documents shorter than a shingle have none, are never matched, and so are always kept
    (specs 10.1).
    """
    import numpy as np

    from services.dedup.kernels.minhash import band_digests, functions

    chosen = functions(
        params.scheme, params.unit, params.ngram, params.bands * params.rows, params.seed
    )
    digests, found = band_digests(rows.column("text"), chosen, params.bands, params.normalization)
    ends = np.concatenate(([0], np.cumsum(found))) * params.bands
    # A null offset makes a null list, which takes no values.
    offsets = pa.array(ends.astype(np.int32), mask=np.append(~found, False))
    values = pa.array(digests[found].reshape(-1))
    return pa.table({"bands": pa.ListArray.from_arrays(offsets, values)})
