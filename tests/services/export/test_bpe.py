"""The tokenizer: deterministic, loss-free, safe with hostile texts, and the EOS token."""

import gzip
import json
import os
import subprocess
import sys
from functools import cache

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.export.bpe import Encoder, fetch_tokenizer, load_encoder, train_tokenizer
from shared.errors import NotFoundError, UsageError

EOS = "<|endoftext|>"
TEXTS = [f"The {n} quick brown foxes jump, don't they? {n * 7919}\n" * 3 for n in range(200)]


@cache
def encoder() -> Encoder:
    return load_encoder(train_tokenizer(TEXTS, 400, EOS), EOS)


def decode(ids: list[int]) -> str:
    return encoder()._tokenizer.decode(ids, skip_special_tokens=False)


def test_the_end_of_sequence_is_token_0_and_the_size_is_as_asked():
    assert encoder().eos_id == 0
    assert encoder().vocab_size == 400


def test_two_trainings_give_the_same_bytes_in_any_order_and_number_of_threads():
    script = (
        "import sys, json; from services.export.bpe import train_tokenizer;"
        "texts = json.load(sys.stdin);"
        f"sys.stdout.buffer.write(train_tokenizer(texts, 400, {EOS!r}))"
    )
    expected = train_tokenizer(TEXTS, 400, EOS)
    for threads, texts in (("1", TEXTS), ("4", TEXTS[::-1])):
        environment = {**os.environ, "RAYON_NUM_THREADS": threads, "TOKENIZERS_PARALLELISM": "true"}
        made = subprocess.run(
            [sys.executable, "-c", script],
            input=json.dumps(texts).encode(),
            capture_output=True,
            check=True,
            env=environment,
        )
        assert made.stdout == expected


@given(st.lists(st.text(), max_size=5))
def test_every_text_comes_back_from_its_tokens(texts):
    for text, ids in zip(texts, encoder().encode(texts, "uint16"), strict=True):
        assert decode(ids.tolist()) == text


def test_an_end_of_sequence_in_a_page_is_plain_text():
    (ids,) = encoder().encode([f"a {EOS} b"], "uint16")
    assert 0 not in ids
    assert decode(ids.tolist()) == f"a {EOS} b"


@pytest.mark.parametrize(
    "text",
    ["a" * 1_000_000, " " * 1_000_000, "́" * 300_000, "7" * 1_000_000, "=" * 1_000_000],
    ids=["letters", "spaces", "combining", "digits", "signs"],
)
def test_a_word_of_a_megabyte_trains_and_encodes(text):
    # Unbounded words make training quadratic: this ran for over ten minutes (the time-out).
    made = load_encoder(train_tokenizer([*TEXTS, text], 400, EOS), EOS)
    (ids,) = made.encode([text], "uint16")
    assert made._tokenizer.decode(ids.tolist()) == text


def test_training_on_nothing_gives_the_bytes_and_the_end_of_sequence():
    assert load_encoder(train_tokenizer([], 4096, EOS), EOS).vocab_size == 257


def test_a_real_tokenizer_is_read_from_a_file(data_path, tmp_path):
    packed = data_path / "models/tokenizers/dolma_gpt-neo-test-tokenizer.json.gz"
    file = tmp_path / "tokenizer.json"
    file.write_bytes(gzip.decompress(packed.read_bytes()))
    made = load_encoder(fetch_tokenizer(str(file)), EOS)
    assert (made.eos_id, made.vocab_size) == (50279, 50280)
    (ids,) = made.encode(["Hello world"], "uint16")
    assert ids.tolist() == [12092, 1533]  # GPT-NeoX-20B


def test_a_tokenizer_without_the_token_is_refused():
    with pytest.raises(UsageError, match="no end-of-sequence token '</s>'"):
        load_encoder(train_tokenizer(TEXTS, 300, EOS), "</s>")


def test_a_file_that_is_no_tokenizer_is_refused(tmp_path):
    with pytest.raises(UsageError, match=r"not a tokenizer\.json"):
        load_encoder(b"{}", EOS)
    with pytest.raises(NotFoundError):
        fetch_tokenizer(str(tmp_path / "none.json"))
    with pytest.raises(UsageError, match="neither an absolute path nor a URI"):
        fetch_tokenizer("tokenizer.json")
