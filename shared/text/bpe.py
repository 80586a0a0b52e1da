"""Byte-level BPE of whole columns: the token ids of each text, and where each token starts in it.

The ids are those of the `tokenizers` library. GPT-2's tokenizer and others of its kind run in
compiled loops: 56 MB of English and 21 MB of Chinese a second of a core, where the library does 3.
Any other tokenizer.json goes through the library. Special tokens that stand in a text
("<|endoftext|>" in an article about language models) are plain text.
"""

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final, NamedTuple, TypeAlias

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from shared.errors import UsageError
from shared.resources import Resource, load

if TYPE_CHECKING:
    from tokenizers import Tokenizer

    from shared.text.bpe_kernels import Vocabulary

#: The merges of GPT-2 (50,256 ids), which the project ships.
GPT2: Final = "package:shared/text/data/gpt2_merges.txt.gz"
#: Texts that the library encodes at once, in UTF-8 bytes: its encodings take some hundred bytes a
#: token until their ids are taken out.
_LIBRARY_BYTES: Final = 2**20


class Tokens(NamedTuple):
    """Text i has the tokens `offsets[i]:offsets[i + 1]`."""

    values: npt.NDArray[np.uint32]
    #: Byte of its text where a token starts: int64.
    starts: npt.NDArray[np.int64]
    offsets: npt.NDArray[np.int64]  # (N + 1,)


def encode(column: pa.ChunkedArray, tokenizer: Resource) -> Tokens:
    """The tokens of a column of texts; null texts have none.

    `tokenizer` is a file of merges in GPT-2's form, gzipped or not, or a tokenizer.json. Raises
    UsageError where it is neither. A tokenizer that is not of bytes may begin several tokens at one
    byte, and leave bytes to none.
    """
    encoder = load(tokenizer, _encoder)
    texts = pa.concat_arrays(column.cast(pa.large_string()).chunks or [pa.array([], _TEXT)])
    texts = texts.fill_null("")
    return encoder(texts)


_TEXT: Final = pa.large_string()
_Encoder: TypeAlias = Callable[[pa.LargeStringArray], Tokens]


def _encoder(path: Path) -> _Encoder:
    """What encodes texts by the tokenizer of a file."""
    from shared.text.bpe_vocabulary import read_tokenizer

    read = read_tokenizer(path)
    if not isinstance(read, str):
        return partial(_encode_compiled, vocabulary=read)
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(read)
    except Exception as error:  # the library raises plain Exception
        raise UsageError(f"{path.name} is no tokenizer.json: {error}") from error
    tokenizer.encode_special_tokens = True
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return partial(_encode_by_library, tokenizer=tokenizer)


def _encode_compiled(texts: pa.LargeStringArray, vocabulary: "Vocabulary") -> Tokens:
    from shared.text.bpe_kernels import encode_rows

    _, offsets, data = texts.buffers()
    if len(texts) == 0 or data is None:
        return Tokens(*_nothing(), np.zeros(len(texts) + 1, np.int64))
    bounds = np.frombuffer(offsets, np.int64)[texts.offset : texts.offset + len(texts) + 1]
    # A token has a byte or more; what is not written of an array takes no memory.
    size = int(bounds[-1] - bounds[0])
    values, starts = np.empty(size, np.uint32), np.empty(size, np.int64)
    found = np.empty(len(bounds), np.int64)
    encode_rows(np.frombuffer(data, np.uint8), bounds, vocabulary, values, starts, found)
    return Tokens(values[: found[-1]], starts[: found[-1]], found)


def _nothing() -> tuple[npt.NDArray[np.uint32], npt.NDArray[np.int64]]:
    return np.empty(0, np.uint32), np.empty(0, np.int64)


def _encode_by_library(texts: pa.LargeStringArray, tokenizer: "Tokenizer") -> Tokens:
    """Any tokenizer.json; the library gives places in characters, which are turned into bytes."""
    values, starts = [], []
    batch: list[str] = []
    room = _LIBRARY_BYTES
    for row, text in enumerate(texts):
        batch.append(text.as_py())
        room -= text.as_buffer().size
        if room > 0 and row + 1 < len(texts):
            continue
        encodings = tokenizer.encode_batch(batch, add_special_tokens=False)
        for page, encoding in zip(batch, encodings, strict=True):
            values.append(np.array(encoding.ids, np.uint32))
            data = np.frombuffer(page.encode(), np.uint8)
            bytes_of = np.append(np.flatnonzero(data & 0xC0 != 0x80), len(data))
            starts.append(bytes_of[[first for first, _ in encoding.offsets]])
        batch, room = [], _LIBRARY_BYTES
    empty_values, empty_starts = _nothing()
    return Tokens(
        np.concatenate([empty_values, *values]),
        np.concatenate([empty_starts, *starts]).astype(np.int64),
        np.cumsum([0, *map(len, values)], dtype=np.int64),
    )
