"""The compiled encoder against the `tokenizers` library: the same ids, at the same bytes."""

import gzip
import json
from itertools import chain, pairwise, product
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers

from shared.errors import UsageError
from shared.resources import Resource, load
from shared.testing import HOSTILE_TEXTS
from shared.text.bpe import GPT2, Tokens, encode
from shared.text.bpe_kernels import SHORT
from shared.text.bpe_vocabulary import byte_characters, read_tokenizer

GPT2_RESOURCE = Resource.model_validate(GPT2)
#: Ids that GPT-2's own encoder gives.
PUBLISHED = {
    "Hello world": [15496, 995],
    "Hello, world!": [15496, 11, 995, 0],
    "The quick brown fox jumps over the lazy dog.": [
        464,
        2068,
        7586,
        21831,
        18045,
        625,
        262,
        16931,
        3290,
        13,
    ],
    "\n\n": [628],
    "\u00a0": [1849],
    "<|endoftext|>": [27, 91, 437, 1659, 5239, 91, 29],
}
ODD = [
    *("don't  we'll  I'D they're 'tis '' '", "a \n\n b\t\tc ", "  ", " \u3000a", "x\u00a0\u00a0y", "it's's"),
    *("３.１４ ½Ⅳ ٣٤ 1a2b", "naïve façade \u0301e", "日本語テキスト한국어ไทย", "\ud7ff\ue000\U0010ffff"),
    *("a" * (SHORT - 1), "ab" * SHORT, " " + "中" * 200, "\x1c\x1d\x1e\x1f\x85", "!" * 500, "1" * 500),
]  # fmt: skip


def merges_of_gpt2() -> list[tuple[str, str]]:
    path = Path(__file__).parents[3] / GPT2.removeprefix("package:")
    lines = gzip.decompress(path.read_bytes()).decode().splitlines()[1:]
    return [tuple(line.split(" ")) for line in lines]


def gpt2() -> Tokenizer:
    merges = merges_of_gpt2()
    tokens = [*byte_characters(), *(a + b for a, b in merges)]
    tokenizer = Tokenizer(models.BPE({t: i for i, t in enumerate(tokens)}, merges))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    return tokenizer


LIBRARY = gpt2()
FEW = settings(deadline=None, max_examples=40)  # the first call compiles


def column(texts) -> pa.ChunkedArray:
    return pa.chunked_array([pa.array(texts, pa.large_string())])


def check_spans(texts: list[str | None], tokens: Tokens, decoder: Tokenizer) -> None:
    """Each token starts where the one before it ends: the bytes of a token are its span's."""
    spelled = {v: k for k, v in decoder.get_vocab().items()}
    for text, (a, b) in zip(texts, pairwise(tokens.offsets.tolist()), strict=True):
        sizes = [len(spelled[v]) for v in tokens.values[a:b].tolist()]
        assert tokens.starts[a:b].tolist() == (np.cumsum([0, *sizes])[:-1]).tolist()
        assert sum(sizes) == len((text or "").encode())


def check(texts: list[str | None]) -> None:
    tokens = encode(column(texts), GPT2_RESOURCE)
    expected = LIBRARY.encode_batch_fast([t or "" for t in texts])
    got = [tokens.values[a:b].tolist() for a, b in pairwise(tokens.offsets.tolist())]
    assert got == [e.ids for e in expected]
    check_spans(texts, tokens, LIBRARY)


@pytest.mark.parametrize("text", PUBLISHED)
def test_published_ids(text):
    assert encode(column([text]), GPT2_RESOURCE).values.tolist() == PUBLISHED[text]


def test_hostile_and_odd_texts():
    check([*HOSTILE_TEXTS, *ODD])


@pytest.mark.parametrize("name", ["train_small_en", "train_small_zh"])
def test_real_pages(data_path, name):
    with gzip.open(data_path / f"text/{name}.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line, _ in zip(lines, range(250), strict=False)]
    check(texts)


def test_every_code_point_is_of_the_librarys_class():
    """Between a letter, a digit, a sign and a space, a character is cut from them or is not."""
    planes = (range(0xD800), range(0xE000, 0x34000), range(0x34000, 0x110000, 251))
    characters = [chr(c) for c in chain(*planes, range(0xE0000, 0xE0200))]
    groups = [characters[i : i + 4096] for i in range(0, len(characters), 4096)]
    texts = ["".join(f"a{c}1{c} !{c}" for c in group) for group in groups]
    tokens = encode(column(texts), GPT2_RESOURCE)
    expected = [e.ids for e in LIBRARY.encode_batch_fast(texts)]
    assert [tokens.values[a:b].tolist() for a, b in pairwise(tokens.offsets.tolist())] == expected


@FEW
@given(st.lists(st.text(max_size=60) | st.none(), max_size=4))
def test_any_text(texts):
    check(texts)


@given(
    st.lists(st.text(st.sampled_from(list("'stredvml \n\u00a0aé1½!中")), max_size=40), max_size=4)
)
def test_words_are_cut_as_gpt2s_pattern_cuts(texts):
    check(texts)


@FEW
@given(st.text(st.sampled_from("aehinort"), min_size=SHORT - 4, max_size=SHORT + 40))
def test_long_words_merge_as_short_ones_do(word):
    check([word, word[: SHORT - 8]])


def test_slices_chunks_and_nothing():
    texts = ["one two", None, "", "three"]
    whole = encode(column(texts), GPT2_RESOURCE)
    parts = pa.chunked_array([pa.array(["no", *texts[:2]])[1:], pa.array(texts[2:])])
    for got, expected in zip(encode(parts, GPT2_RESOURCE), whole, strict=True):
        assert got.tolist() == expected.tolist()
    assert encode(pa.chunked_array([], pa.string()), GPT2_RESOURCE).offsets.tolist() == [0]
    assert encode(column([None, None]), GPT2_RESOURCE).offsets.tolist() == [0, 0, 0]


def trained(tokenizer: Tokenizer) -> Tokenizer:
    """A tokenizer of a few merges, with ids in another order than the merges'."""
    merges = [
        ("t", "h"),
        ("th", "e"),
        ("Ġ", "the"),
        ("a", "a"),
        ("aa", "aa"),
        ("a", "b"),
        ("ä", "¸"),
    ]
    tokens = sorted({*byte_characters(), *(a + b for a, b in merges)})
    tokenizer.model = models.BPE({t: i + 5 for i, t in enumerate(tokens)}, merges)
    return tokenizer


def saved(tokenizer: Tokenizer, path: Path) -> Resource:
    tokenizer.save(str(path))
    return Resource(uri=str(path))


def test_a_tokenizer_json_of_gpt2s_kind(tmp_path):
    tokenizer = trained(gpt2())
    tokenizer.add_special_tokens(["<|end|>"])
    resource = saved(tokenizer, tmp_path / "tokenizer.json")
    assert not isinstance(load(resource, read_tokenizer), str)  # by the compiled loops
    texts = ["the aaaab the<|end|>", "中 the", *ODD]
    tokens = encode(column(texts), resource)
    tokenizer.encode_special_tokens = True
    assert tokens.values.tolist() == [i for t in texts for i in tokenizer.encode(t).ids]
    check_spans(texts, tokens, tokenizer)


def test_any_other_tokenizer_json(tmp_path):
    tokenizer = trained(gpt2())
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r" ?\p{L}{1,4}|\s+|."), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    resource = saved(tokenizer, tmp_path / "tokenizer.json")
    assert isinstance(load(resource, read_tokenizer), str)
    texts = ["the aaaab the", None, "aaaaaaab" * 9, "naïve"]
    tokens = encode(column(texts), resource)
    assert tokens.values.tolist() == [i for t in texts for i in tokenizer.encode(t or "").ids]
    assert tokens.starts[tokens.offsets[3] :].tolist() == [
        0,
        1,
        2,
        2,
        4,
        5,
    ]  # ï: two tokens at one byte


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"a b c\n", b"\x1f\x8b?", b"\xff\xfe", b'{"model": {}}']
)
def test_files_of_no_tokenizer(tmp_path, content):
    path = tmp_path / "tokenizer"
    path.write_bytes(content)
    if not content:
        assert encode(column(["ab"]), Resource(uri=str(path))).values.tolist() == [64, 65]  # bytes
        return
    with pytest.raises(UsageError, match="tokenizer.json"):
        encode(column(["ab"]), Resource(uri=str(path)))


def test_merges_by_hand(tmp_path):
    path = tmp_path / "merges.txt"
    path.write_text("#version: 0.2\na b\nab c\nb c\n")
    tokens = encode(column(["abc", "bc", "xbcab"]), Resource(uri=str(path)))
    x = 87  # byte 0x78 is the 88th that prints
    assert tokens.values.tolist() == [257, 258, x, 258, 256]
    assert tokens.starts.tolist() == [0, 0, 0, 1, 3]


def test_short_strings_of_few_letters(tmp_path):
    """All strings of four letters and up to six, against plain Python merging by rank."""
    path = tmp_path / "merges.txt"
    merges = [("a", "b"), ("b", "a"), ("ab", "a"), ("a", "a"), ("ba", "ab"), ("aa", "ba")]
    path.write_text("\n".join(" ".join(m) for m in merges))
    ranks = {pair: rank for rank, pair in enumerate(merges)}
    texts = ["".join(p) for n in range(1, 9) for p in product("ab", repeat=n)]
    tokens = encode(column(texts), Resource(uri=str(path)))
    for text, (a, b) in zip(texts, pairwise(tokens.offsets.tolist()), strict=True):
        pieces = list(text)
        while pairs := [(ranks[p], i) for i, p in enumerate(pairwise(pieces)) if p in ranks]:
            _, i = min(pairs)
            pieces[i : i + 2] = [pieces[i] + pieces[i + 1]]
        assert tokens.starts[a:b].tolist() == np.cumsum([0, *map(len, pieces)])[:-1].tolist()
