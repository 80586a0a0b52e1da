"""Hash of the whole text: equal texts, equal keys (specs 15.8)."""

import pyarrow as pa
from blake3 import blake3

from services.dedup.normalization import Normalization, table_of
from shared.schema import Column
from shared.step import Params, row_step

#: 128 bits: among 10^12 documents the chance of a single false match is 10^-15.
KEY_BYTES = 16


class TextHashParams(Params):
    """`normalization`: what counts as the same text; "none" compares the text byte for byte."""

    normalization: Normalization = "none"


@row_step(
    "dedup.text_hash_v1",
    reads=("text",),
    columns=(
        Column(
            "text_hash",
            pa.binary(KEY_BYTES),
            "blake3 of the normal form, 128 bits; null where the text is null or nothing is left",
        ),
    ),
    params=TextHashParams,
)
def text_hash(rows: pa.Table, params: TextHashParams) -> pa.Table:
    """Hash of the text after a normalisation.

    A text of which nothing is left (empty, or only punctuation under "simplify") has nothing to
    compare and no key, so that it is never dropped as a duplicate: a rule on its length says why.
    """
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.normalise import normalise_all

    texts = texts_of(rows.column("text"))
    data, offsets = texts.data, texts.offsets
    if params.normalization != "none":
        data, offsets = normalise_all(texts, table_of(params.normalization))
    view, ends = memoryview(data.data), offsets.tolist()
    hashes = [
        blake3(view[start:end]).digest(KEY_BYTES) if valid and end > start else None
        for start, end, valid in zip(ends, ends[1:], texts.valid.tolist(), strict=False)
    ]
    return pa.table({"text_hash": pa.array(hashes, pa.binary(KEY_BYTES))})
