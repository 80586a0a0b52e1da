"""Languages: the models that run here give the library's results, bit for bit; others fall back."""

import gzip
import json

import fasttext
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shared.language import DEFAULT_MODEL, guess
from shared.language_model import Model, read
from shared.resources import Resource, local_path
from shared.testing import HOSTILE_TEXTS

PATH = local_path(DEFAULT_MODEL)


@pytest.fixture(scope="module")
def library():
    return fasttext.load_model(str(PATH))


@pytest.fixture(scope="module")
def ours(library):
    model = read(PATH, library)
    assert isinstance(model, Model)
    return model


def same(ours, library, text):
    line = text.replace("\n", " ") + "\n"
    for top_k, least in ((1, 0.0), (1, 0.5), (-1, 0.001), (-1, 0.0), (3, 0.0)):
        found = ours.predict(line, top_k, least, "strict")
        expected = library.f.predict(line, top_k, least, "strict")
        # Which of equally probable labels comes first is left open where several are asked for.
        assert [p for p, _ in found] == [p for p, _ in expected]
        if top_k == 1 or len({p for p, _ in expected}) == len(expected):
            assert found == expected


pieces = st.sampled_from(
    ["the", "und", "的", "в", " ", "\t", "\x00", "\r", "\x0b", "</s>", "</s>x", "__label__en", "<", ">",
     "__label__", "é", "e\u0301", "😀", "\u2028", "\xa0", "1", "."]
)  # fmt: skip


@settings(max_examples=200, deadline=None)  # the first call compiles
@given(st.lists(pieces, max_size=12).map("".join) | st.text(max_size=40))
@example("")
@example("__label__en __label__xx word")
def test_any_text_equals_the_library(ours, library, text):
    same(ours, library, text)


def test_hostile_texts_equal_the_library(ours, library):
    for text in filter(None, HOSTILE_TEXTS):
        same(ours, library, text)


def test_sentences_of_79_languages_equal_the_library(ours, library, data_path):
    file = data_path / "text" / "open" / "lid_lingua_79langs.jsonl.gz"
    with gzip.open(file, "rt") as lines:
        texts = [json.loads(line)["text"] for i, line in enumerate(lines) if i % 100 == 0]
    for text in texts:
        same(ours, library, text)
    assert len(texts) > 1000


def test_long_texts_equal_the_library(ours, library, data_path):
    path = data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    for text in (*texts, " ".join(texts)[:2_000_000]):
        same(ours, library, text)


@pytest.mark.parametrize("loss", ["softmax", "hs"])
@pytest.mark.parametrize("quantised", [False, True])
def test_other_models_run_in_the_library(tmp_path, loss, quantised):
    lines = ["__label__eng_Latn the cat and the dog", "__label__deu_Latn der hund und die katze"]
    train = tmp_path / "train.txt"
    train.write_text("\n".join(lines * 60))
    model = fasttext.train_supervised(
        str(train), dim=8, minn=2, maxn=3, epoch=20, bucket=300, loss=loss, thread=1, verbose=0
    )
    if quantised:
        model.quantize()  # without pruning, unlike lid.176.ftz
    path = tmp_path / "model.bin"
    model.save_model(str(path))
    library = fasttext.load_model(str(path))
    assert read(path, library) is None
    resource = Resource(uri=str(path))
    assert guess("the dog", resource)[0][0] == "eng_Latn"
    assert guess("und die katze\nder", resource, -1) == [
        (label.removeprefix("__label__"), min(1.0, score))
        for score, label in library.f.predict("und die katze der\n", -1, 0.0, "strict")
    ]


def test_a_pruned_model_with_other_settings_equals_the_library(tmp_path):
    """As lid.176.ftz was made, with one-letter n-grams, few buckets and no mark of the line's end."""
    words = ["cat", "dog", "house", "katze", "hund", "haus", "chat", "chien", "maison", "é", "дом"]
    labels = ["en", "en", "en", "de", "de", "de", "fr", "fr", "fr", "fr", "ru"]
    train = tmp_path / "train.txt"
    train.write_text(
        "\n".join(f"__label__{x} {w} {w}s {w * 2}" for w, x in zip(words, labels, strict=True)) * 9
    )
    model = fasttext.train_supervised(
        str(train), dim=8, minn=1, maxn=5, epoch=30, bucket=1000, loss="hs", thread=1, verbose=0
    )
    model.quantize(input=str(train), cutoff=300, qnorm=True, retrain=False)
    path = tmp_path / "model.ftz"
    model.save_model(str(path))
    library = fasttext.load_model(str(path))
    ours = read(path, library)
    assert isinstance(ours, Model)
    for text in ("cat", "the hound", "hundehaus maisons", "é дома", "x", " ".join(words)):
        same(ours, library, text)


@pytest.mark.parametrize("text", ["", " \n\t ", "\u2028\x0b"])
def test_no_word_has_no_language(text):
    assert guess(text, DEFAULT_MODEL) == []
