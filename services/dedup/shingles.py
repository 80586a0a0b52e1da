"""What two documents are compared by: the set of their shingles.

A shingle is `ngram` units in a row of a document's normal form. Jaccard similarity is that of the
two sets. MinHash estimates it (`services.dedup.kernels.minhash`), verification computes it.
"""

from typing import Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from services.dedup.normalization import Normalization
from shared.step import Params

Unit = Literal["words", "characters"]
Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]


class ShingleParams(Params):
    """How a text is cut into shingles; the defaults are FineWeb's (specs 10.1)."""

    #: `words` are parted by white space, and each character of a script without spaces (Han, kana,
    #: Thai, Lao, Khmer, Myanmar) is a word of its own.
    unit: Unit = "words"
    ngram: int = Field(default=5, ge=1, le=1000)
    normalization: Normalization = "simplify"


def shingle_hashes(
    column: pa.ChunkedArray, params: ShingleParams
) -> tuple[UInt64Array, Int64Array]:
    """The shingles of each text as 64-bit hashes: `hashes[offsets[i]:offsets[i + 1]]`.

    Those of one text are distinct and ascend, so that two texts' sets are compared by a merge.
    Null texts and those shorter than a shingle have none.
    """
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.shingling import text_shingles
    from services.dedup.normalization import table_of

    by_words = params.unit == "words"
    table = table_of(params.normalization)
    return text_shingles(texts_of(column), table, by_words, by_words, params.ngram)
