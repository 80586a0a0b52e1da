"""Byte-level BPE: trained on a sample of the kept text, or read from a file.

A token is a sequence of bytes, so every text can be written and none needs an unknown token
(GPT-2, Radford et al. 2019, section 2.2). Words are cut as in GPT-2, with three digits at most (as
GPT-4's cl100k_base does) and with a bound on every run: merging is quadratic in a word's length,
and crawls hold "words" of megabytes, on which an unbounded pattern trains for hours.
"""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from services.export.masks import Mask, Spans, masked_tokens
from shared.errors import UsageError
from shared.store import Store, open_source

if TYPE_CHECKING:
    from tokenizers import Tokenizer

#: GPT-2's pattern with bounded runs: contractions, letters, digits, other signs, white space.
#: 64 letters are longer than any word that is worth a token.
WORD_PATTERN = (
    r"'(?:[sdmt]|ll|ve|re)| ?\p{L}{1,64}| ?\p{N}{1,3}| ?[^\s\p{L}\p{N}]{1,64}"
    r"|\s{1,64}(?!\S)|\s{1,64}"
)
#: Texts are encoded in groups of about this many UTF-8 bytes: an encoding takes some hundred bytes
#: a token until its ids are taken out of it.
ENCODE_BYTES = 2**20


def train_tokenizer(texts: Iterable[str], vocab_size: int, eos: str) -> bytes:
    """`tokenizer.json` of a byte-level BPE with `eos` as token 0.

    The same texts give the same bytes, whatever their order and the number of threads: merges are
    chosen by count and, where counts are equal, by token id. The vocabulary is smaller than
    `vocab_size` where the texts hold fewer pairs to merge.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(WORD_PATTERN), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=[eos],
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return tokenizer.to_str().encode()


def fetch_tokenizer(uri: str) -> bytes:
    """The bytes of a `tokenizer.json`: an absolute path or a URI that sources may have.

    Raises NotFoundError where there is none.
    """
    from shared.settings import settings

    where, key = open_source(Store(settings().store), uri)
    return where.get(key)


class Encoder:
    """Turns texts into token ids.

    Special tokens that stand in a page's own text ("<|endoftext|>" in an article about language
    models) are encoded as plain text: only the export writes an end of sequence.
    """

    def __init__(self, tokenizer: "Tokenizer", eos: str) -> None:
        eos_id = tokenizer.token_to_id(eos)
        if eos_id is None:
            raise UsageError(
                f"the tokenizer has no end-of-sequence token {eos!r}; name its own in `eos`",
                field="eos",
            )
        tokenizer.encode_special_tokens = True
        tokenizer.no_truncation()
        tokenizer.no_padding()
        self._tokenizer = tokenizer
        self.eos_id: int = eos_id
        #: Ids may have gaps, so this is the highest one and one more.
        self.vocab_size: int = 1 + max(tokenizer.get_vocab(with_added_tokens=True).values())

    def encode(self, texts: list[str], dtype: str) -> list[npt.NDArray[np.unsignedinteger]]:
        """Token ids of each text, without an end of sequence."""
        encodings = self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)
        return [np.array(e.ids, dtype) for e in encodings]

    def encode_masked(
        self, texts: list[str], spans: list[Spans | None], dtype: str
    ) -> tuple[list[npt.NDArray[np.unsignedinteger]], list[Mask]]:
        """The same, and for each text which of its tokens lie in its spans."""
        encodings = self._tokenizer.encode_batch(texts, add_special_tokens=False)
        masks = [
            masked_tokens(text, e.offsets, found) if found else np.zeros(len(e), np.bool_)
            for text, e, found in zip(texts, encodings, spans, strict=True)
        ]
        return [np.array(e.ids, dtype) for e in encodings], masks


@lru_cache(maxsize=2)
def load_encoder(tokenizer_json: bytes, eos: str) -> Encoder:
    """The encoder of a `tokenizer.json`; UsageError where it is none or lacks the EOS token."""
    from tokenizers import Tokenizer

    try:
        tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    except Exception as error:  # the library raises plain Exception
        raise UsageError(f"not a tokenizer.json: {error}", field="tokenizer") from error
    return Encoder(tokenizer, eos)
