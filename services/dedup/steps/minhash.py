"""MinHash band digests: documents that share one are near-duplicate candidates."""

from typing import Literal

import pyarrow as pa
from pydantic import Field

from services.dedup.shingles import ShingleParams
from shared.schema import Column
from shared.step import row_step


class MinhashParams(ShingleParams):
    """Defaults are FineWeb's: 14 bands of 8, five words, seed 1 (specs 10.1).

    Two documents of Jaccard similarity s share a band with probability 1 - (1 - s^rows)^bands.
    What others published (specs 15.9):

        pipeline        unit          ngram  normalization  bands x rows
        refinedweb      tokens        5      refinedweb     450 x 20
        lee             words         5      none           450 x 20
        fineweb         words         5      simplify       14 x 8
        redpajama .7    words         13     redpajama      14 x 9
        redpajama .8    words         13     redpajama      9 x 13
        redpajama .9    words         13     redpajama      5 x 25
        redpajama 1.0   words         13     redpajama      1 x 128
        map_neo         characters    13     map_neo        9 x 13
        dclm            words         5      none           93 x 15
        owt2, pile      words         5      none           3 x 3

    For text without spaces between words take `unit: characters`, `jieba`, or `words`, where each
    ideograph is a word of its own (as are kana and Thai, Lao, Khmer and Myanmar letters).
    """

    bands: int = Field(default=14, ge=1, le=4096)
    rows: int = Field(default=8, ge=1, le=4096)
    seed: int = Field(default=1, ge=0, lt=2**32)
    #: Whose values the functions give; see `services.dedup.kernels.minhash`.
    scheme: Literal["datasketch", "datasketch64", "datasketch_legacy", "datatrove", "fast"] = (
        "datasketch"
    )


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
    """MinHash over n-grams of words, characters or tokens, one 64-bit digest a band.

    Documents shorter than a shingle have none, are never matched, and so are always kept
    (specs 10.1).
    """
    import numpy as np

    from services.dedup.kernels.minhash import band_digests, functions
    from services.dedup.shingles import documents

    chosen = functions(params.scheme, params.bands * params.rows, params.seed)
    digests, found = band_digests(documents(rows.column("text"), params), chosen, params.bands)
    ends = np.concatenate(([0], np.cumsum(found))) * params.bands
    # A null offset makes a null list, which takes no values.
    offsets = pa.array(ends.astype(np.int32), mask=np.append(~found, False))
    values = pa.array(digests[found].reshape(-1))
    return pa.table({"bands": pa.ListArray.from_arrays(offsets, values)})
