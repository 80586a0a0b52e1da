"""What two documents are compared by: the set of their shingles.

A shingle is `ngram` units in a row of a document's normal form. Jaccard similarity is that of the
two sets. MinHash estimates it (`services.dedup.kernels.minhash`), verification computes it.
"""

from typing import TYPE_CHECKING, Literal, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from pydantic import Field

from services.dedup.normalization import Normalization
from shared.resources import Resource
from shared.step import Params
from shared.text.bpe import GPT2

if TYPE_CHECKING:
    from services.dedup.kernels.compiled import Texts
    from services.dedup.kernels.documents import Documents

Unit = Literal["words", "characters", "tokens", "jieba"]
Int64Array: TypeAlias = npt.NDArray[np.int64]
UInt64Array: TypeAlias = npt.NDArray[np.uint64]


class ShingleParams(Params):
    """How a text is cut into shingles; the defaults are FineWeb's (specs 10.1)."""

    #: `words` are parted by white space, and each character of a script without spaces (Han, kana,
    #: Thai, Lao, Khmer, Myanmar) is a word of its own. `tokens` are those of a tokenizer, as in
    #: RefinedWeb (specs 1.7). `jieba` cuts Chinese into words, at 1 MB a second.
    unit: Unit = "words"
    ngram: int = Field(default=5, ge=1, le=1000)
    normalization: Normalization = "simplify"
    #: Of `unit: tokens`: a tokenizer.json, or a file of merges in GPT-2's form.
    tokenizer: Resource = Field(default_factory=lambda: Resource(uri=GPT2))


def shingle_hashes(
    column: pa.ChunkedArray, params: ShingleParams
) -> tuple[UInt64Array, Int64Array]:
    """The shingles of each text as 64-bit hashes: `hashes[offsets[i]:offsets[i + 1]]`.

    Those of one text are distinct and ascend, so that two texts' sets are compared by a merge.
    Null texts and those shorter than a shingle have none.
    """
    from services.dedup.kernels.shingle_sets import shingle_sets

    return shingle_sets(documents(column, params))


def documents(column: pa.ChunkedArray, params: ShingleParams) -> "Documents":
    """A column of texts as the compiled loops take it."""
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.documents import CHARACTERS, TOKENS, WORDS, Documents
    from services.dedup.normalization import table_of

    table, ngram = table_of(params.normalization), params.ngram
    match params.unit:
        case "words":
            return Documents(texts_of(column), table, WORDS, True, ngram)
        case "characters":
            return Documents(texts_of(column), table, CHARACTERS, False, ngram)
        case "tokens":
            ids = _token_ids(_normal_forms(column, params.normalization), params.tokenizer)
            return Documents(ids, table_of("none"), TOKENS, False, ngram)
        case "jieba":
            words = _jieba_words(_normal_forms(column, params.normalization))
            return Documents(words, table_of("none"), WORDS, False, ngram)


def _normal_forms(column: pa.ChunkedArray, normalization: Normalization) -> pa.LargeStringArray:
    """The normal form of each text; of a null, the empty text."""
    from services.dedup.kernels.compiled import texts_of
    from services.dedup.kernels.normalise import normalise_all
    from services.dedup.normalization import table_of

    out, offsets = normalise_all(texts_of(column), table_of(normalization))
    return pa.LargeStringArray.from_buffers(
        len(column), pa.py_buffer(offsets), pa.py_buffer(out[: offsets[-1]])
    )


def _token_ids(texts: pa.LargeStringArray, tokenizer: Resource) -> "Texts":
    """The token ids of each text as bytes."""
    from services.dedup.kernels.compiled import Texts
    from services.dedup.kernels.documents import TOKEN_BYTES
    from shared.text.bpe import encode

    tokens = encode(pa.chunked_array([texts]), tokenizer)
    offsets = tokens.offsets * TOKEN_BYTES
    return Texts(tokens.values.view(np.uint8), offsets, np.ones(len(texts), np.bool_))


def _jieba_words(texts: pa.LargeStringArray) -> "Texts":
    """Each text as jieba's words with spaces between them; jieba's own spaces are no words."""
    from services.dedup.jieba_words import cut
    from services.dedup.kernels.compiled import texts_of

    return texts_of(pa.chunked_array([pa.array(map(cut, texts.to_pylist()), pa.large_string())]))
