"""langdetect: the library's own answer, whatever was asked before, and C4's threshold."""

import gzip
import json
import os
import random

import langdetect
import pyarrow as pa
import pytest
from langdetect.language import Language

from services.langid.steps.langdetect_v1 import LangdetectParams, langdetect_v1
from shared.rules import KeepRule

MIXED = "The committee met. " * 3 + "Der Ausschuss hat beschlossen, den Bericht zu drucken. "


def detect(texts, **params):
    rows = pa.table({"text": pa.array(texts, pa.large_string())})
    return langdetect_v1(rows, LangdetectParams(**params)).to_pylist()


def texts_of(data_path, count):
    path = data_path / "text" / "open" / "quality_labels_en_dclm.jsonl.gz"
    with gzip.open(path, "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines][:count]
    file = data_path / "text" / "open" / "lid_lingua_79langs.jsonl.gz"
    with gzip.open(file, "rt") as lines:
        return texts + [json.loads(line)["text"] for i, line in enumerate(lines) if i % 2000 == 0]


def test_equals_the_library(data_path, monkeypatch):
    # The library loads its profiles in the folder's order; sums differ in the last digits by it.
    listed = os.listdir
    monkeypatch.setattr(os, "listdir", lambda path: sorted(listed(path)))
    monkeypatch.setattr(langdetect.DetectorFactory, "seed", 0)
    monkeypatch.setattr(langdetect.detector_factory, "_factory", None)
    texts = [*texts_of(data_path, 30), MIXED]
    for text, ours in zip(texts, detect(texts), strict=True):
        try:
            best = langdetect.detect_langs(text)[0]
        except langdetect.LangDetectException:
            best = Language("und", 0.0)
        assert ours == {"language": best.lang, "score": min(1.0, best.prob)}


def test_a_document_does_not_depend_on_those_before(data_path):
    texts = [*texts_of(data_path, 5), MIXED]
    order = list(range(len(texts)))
    random.Random(1).shuffle(order)
    shuffled = dict(zip(order, detect([texts[i] for i in order]), strict=True))
    assert detect(texts) == [shuffled[i] for i in range(len(texts))]
    assert detect([MIXED]) == detect([MIXED]) == [detect(texts)[-1]]


def test_the_seed_decides_where_languages_are_mixed():
    assert len({str(detect([MIXED], seed=seed)) for seed in range(8)}) > 1


@pytest.mark.parametrize("text", ["", " \n", "12345 67", "!?", "https://example.org/a"])
def test_nothing_to_read_is_undetermined(text):
    assert detect([text]) == [{"language": "und", "score": 0.0}]


def test_null_stays_null():
    assert detect([None]) == [{"language": None, "score": None}]


@pytest.mark.parametrize(("score", "kept"), [(0.99, True), (0.9899999, False)])
def test_threshold_of_c4(score, kept):
    """Specs 3.2, 6."""
    rule = KeepRule("score", "score >= 0.99")
    assert rule.holds({"score": pa.chunked_array([[score]])})[0].as_py() is kept


def test_c4_keeps_english_and_drops_what_is_mixed(data_path):
    english, mixed, german = detect([texts_of(data_path, 1)[0], MIXED, MIXED[-50:] * 4])
    assert english["language"] == "en"
    assert english["score"] >= 0.99
    assert mixed["score"] < 0.99 or mixed["language"] != "en"
    assert german["language"] == "de"
