"""Quantised fastText models with a tree over the labels (lid.176.ftz), read and run here.

The library looks each n-gram of a page up in a hash map; nearly all of them were pruned from such a
model. A bitmap says so, in 0.4 times the time. Every sum is the library's, in its order and
precision, so labels and probabilities are the same bits (tests compare them). `read` returns None
for any other model: the library runs those. The format is that of fastText's `saveModel`, version
12.
"""

import struct
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from shared.language_kernels import (
    Float32Array,
    Int32Array,
    Ngrams,
    Words,
    hash_bytes,
    hidden_layer,
    label_scores,
    subword_rows,
)

_MAGIC: Final = (793712314, 12)
_HIERARCHICAL_SOFTMAX: Final = 1
_SUPERVISED: Final = 3
_WORD: Final = 0
_EOS: Final = b"</s>"
#: A label that is less probable is not reported at all: the library adds it to each probability.
_TINY: Final = 1e-5


class _Reader:
    """Little-endian numbers of a file, one after the other."""

    def __init__(self, data: bytes) -> None:
        self.data, self.at = data, 0

    def take(self, form: str) -> tuple[Any, ...]:
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def word(self) -> bytes:
        end = self.data.index(0, self.at)
        word, self.at = self.data[self.at : end], end + 1
        return word

    def array(self, kind: str, size: int) -> npt.NDArray[Any]:
        values = np.frombuffer(self.data, kind, size, self.at)
        self.at += values.nbytes
        return values


@dataclass(frozen=True)
class Model:
    """What a prediction needs: (rows, dim) matrices, and (left, right) of the tree's nodes."""

    labels: list[str]
    words: Words
    ngrams: Ngrams
    matrix: Float32Array
    output: Float32Array
    tree: Int32Array

    def predict(self, line: str, top_k: int, least: float, _errors: str) -> list[Any]:
        """As the library's `f.predict`: (probability, label), the most probable first."""
        text = np.frombuffer(line.encode(), np.uint8)
        hidden = np.zeros(self.output.shape[1], np.float32)
        if not hidden_layer(text, self.words, self.ngrams, self.matrix, hidden):
            return []
        lowest = np.float32(np.log(np.float64(np.float32(least)) + _TINY))
        scores = label_scores(hidden, self.output, self.tree, lowest, top_k == 1)
        found = np.flatnonzero(scores)
        best = found[np.argsort(-scores[found], kind="stable")][: None if top_k < 0 else top_k]
        return [
            (score, self.labels[i]) for score, i in zip(scores[best].tolist(), best, strict=True)
        ]


def read(path: Path, library: Any) -> Model | None:
    """The model of a file that the library has loaded, None where it is of another kind."""
    file = _Reader(path.read_bytes())
    if file.take("ii") != _MAGIC:
        return None
    dim, *_, word_ngrams, loss, kind, bucket, shortest, longest, _rate = file.take("12i")
    file.take("d")
    size, words, _labels, _tokens, pruned = file.take("iiiqq")
    is_tree = (loss, kind, word_ngrams) == (_HIERARCHICAL_SOFTMAX, _SUPERVISED, 1)
    if not is_tree or pruned <= 0 or longest <= 0:
        return None
    entries = [(file.word(), *file.take("qb")) for _ in range(size)]
    prune = file.array("<i4", 2 * pruned).reshape(-1, 2)
    (is_quantised,) = file.take("?")
    if not is_quantised or any(kind != _WORD for _, _, kind in entries[:words]):
        return None
    _skip_quantised(file)
    (is_quantised,) = file.take("?")
    if is_quantised:
        return None
    rows, columns = file.take("qq")
    output = file.array("<f4", rows * columns).reshape(rows, columns)
    ngrams = _ngrams(prune, words, (bucket, shortest, longest))
    vocabulary = [word for word, *_ in entries]
    return Model(
        labels=[word.decode() for word in vocabulary[words:]],
        words=_words(vocabulary, words, ngrams),
        ngrams=ngrams,
        matrix=_matrix(library, words + pruned, dim),
        output=output,
        tree=_tree([count for _, count, _ in entries[words:]]),
    )


def _skip_quantised(file: _Reader) -> None:
    """A quantised matrix; its rows come from the library."""
    (norms,) = file.take("?")
    rows, _columns, codes = file.take("qqi")
    file.at += codes
    for has, size in ((True, 0), (norms, rows)):
        if has:
            file.at += size
            dim, _parts, _each, _last = file.take("4i")
            file.at += 4 * 256 * dim


def _matrix(library: Any, rows: int, dim: int) -> Float32Array:
    """The rows of words and n-grams as the library decodes them."""
    matrix = np.empty((rows, dim), np.float32)
    for row in range(rows):
        matrix[row] = library.get_input_vector(row)
    return matrix


def _ngrams(prune: Int32Array, words: int, limits: tuple[int, int, int]) -> Ngrams:
    """`prune` has the bucket and the number of each n-gram; rows follow those of the words."""
    order = np.argsort(prune[:, 0])
    kept = prune[order, 0].astype(np.uint64)
    bits = np.zeros(limits[0] // 64 + 1, np.uint64)
    np.bitwise_or.at(bits, kept >> np.uint64(6), np.uint64(1) << (kept & np.uint64(63)))
    ranks = np.searchsorted(kept, np.arange(len(bits), dtype=np.uint64) * np.uint64(64))
    rows = words + prune[order, 1].astype(np.int32)
    return Ngrams(bits, ranks.astype(np.int32), rows, np.array(limits, np.int64))


def _words(vocabulary: list[bytes], words: int, ngrams: Ngrams) -> Words:
    """The vocabulary, words before labels, and the rows that each word stands for."""
    ends = np.cumsum([0, *map(len, vocabulary)])
    hashes = np.array([hash_bytes(np.frombuffer(w, np.uint8)) for w in vocabulary], np.uint32)
    slots = np.full(1 << (4 * len(vocabulary)).bit_length(), -1, np.int32)
    for i, h in enumerate(hashes.tolist()):
        at = h & (len(slots) - 1)
        while slots[at] >= 0:
            at = (at + 1) & (len(slots) - 1)
        slots[at] = i
    known = [_rows_of(word, i, ngrams) for i, word in enumerate(vocabulary[:words])]
    lengths = [*map(len, known), *[0] * (len(vocabulary) - words)]
    data = np.frombuffer(b"".join(vocabulary), np.uint8)
    return Words(data, ends, hashes, slots, np.concatenate(known), np.cumsum([0, *lengths]))


def _rows_of(word: bytes, number: int, ngrams: Ngrams) -> Int32Array:
    """The row of a known word and those of its n-grams; the mark of a line's end has none."""
    marked = np.frombuffer(b"<" + word + b">", np.uint8)
    out = np.empty(len(marked) * int(ngrams.limits[2]) + 1, np.int32)
    found = 0 if word == _EOS else subword_rows(marked, len(marked), ngrams, out)
    return np.concatenate((np.array([number], np.int32), out[:found]))


def _tree(counts: list[int]) -> Int32Array:
    """Huffman's tree over the labels as the library builds it: (left, right) of each inner node."""
    leaves = len(counts)
    weight = np.full(2 * leaves - 1, 10**15, np.int64)
    weight[:leaves] = counts
    children = np.empty((leaves - 1, 2), np.int32)
    leaf, node = leaves - 1, leaves
    for i in range(leaves, 2 * leaves - 1):
        for side in range(2):
            if leaf >= 0 and weight[leaf] < weight[node]:
                children[i - leaves, side], leaf = leaf, leaf - 1
            else:
                children[i - leaves, side], node = node, node + 1
        weight[i] = weight[children[i - leaves]].sum()
    return children
