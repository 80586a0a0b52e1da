"""The learned parts of the engine, as `make train-extractor` writes them (MODEL_CARD.md)."""

import zlib
from functools import cache
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from services.extraction.engines.blocks import context, decide, features, lexicon
from services.extraction.engines.blocks.forest import Forest
from services.extraction.engines.blocks.forest_file import from_bytes, to_bytes
from services.extraction.engines.blocks.lexicon import Scores
from services.extraction.engines.blocks.model_file import pack, unpack
from shared.errors import PermanentError

PATH: Final = Path(__file__).with_name("model.bin")
#: Columns of both stages: what the first knows, what words say, what the second knows beside.
PLAIN: Final = len(features.NAMES)
FIRST: Final = PLAIN + len(lexicon.NAMES)
BOTH: Final = FIRST + len(context.NAMES)
_FORESTS: Final = ("first", "second", "confidence")
_TABLES: Final = ("tokens", "words")


class Model(NamedTuple):
    """Two stages of trees over blocks, one over pages, and the scores of words."""

    first: Forest
    second: Forest
    confidence: Forest
    tokens: Scores
    words: Scores


@cache
def load(path: Path = PATH) -> Model:
    """The model of a file; PermanentError for one that is damaged or of other features."""
    sections = unpack(path.read_bytes())
    first, second, confidence = (from_bytes(sections[name]) for name in _FORESTS)
    tokens, words = (_table(sections[name]) for name in _TABLES)
    model = Model(first, second, confidence, tokens, words)
    wanted = (BOTH, BOTH, len(decide.PAGE_NAMES))
    found = (model.first.columns, model.second.columns, model.confidence.columns)
    if found != wanted or len(model.tokens) != lexicon.BUCKETS:
        raise PermanentError(f"{path.name} reads {found} features where the engine has {wanted}")
    return model


def to_file(model: Model) -> bytes:
    """The bytes of a model's file; equal for equal models."""
    return pack(
        {
            **{name: to_bytes(getattr(model, name)) for name in _FORESTS},
            **{name: zlib.compress(getattr(model, name).tobytes(), 9) for name in _TABLES},
        }
    )


def _table(data: bytes) -> Scores:
    table = np.frombuffer(zlib.decompress(data), np.int8)
    table.setflags(write=False)
    return table
