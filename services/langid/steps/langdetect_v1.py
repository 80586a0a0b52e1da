"""`langid.langdetect_v1`: C4's language rule (specs 3.2, 6): langdetect 1.0.9, seed 0, p >= 0.99.

langdetect (Shuyo's language-detection) draws character n-grams of the text at random until it is
sure, seven times, and averages. Each document gets a generator of its own from the seed, so its
result depends on nothing but its text.
"""

from functools import cache
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from shared.language import UNDETERMINED
from shared.schema import Column
from shared.step import Params, row_step

COLUMNS: Final = (
    Column("language", pa.string(), "langdetect's best label; und where it finds no n-gram"),
    Column("score", pa.float64(), "its probability of that label, 0 to 1"),
)


class LangdetectParams(Params):
    """Where the random draws begin."""

    #: Of the generator that each document gets; C4's is 0.
    seed: int = 0


@row_step("langid.langdetect_v1", reads=("text",), columns=COLUMNS, params=LangdetectParams)
def langdetect_v1(rows: pa.Table, params: LangdetectParams) -> pa.Table:
    """The best label of langdetect and its probability, from the text's first 10,000 characters.

    Addresses of pages and mail are taken out before they are counted, and Latin letters where most
    of the text is in another script: all that is the library's.
    """
    found = [None if t is None else _detect(t, params.seed) for t in rows["text"].to_pylist()]
    arrays = [
        pa.array([f and f[0] for f in found], pa.string()),
        pa.array([f and f[1] for f in found], pa.float64()),
    ]
    return pa.table(arrays, names=[c.name for c in COLUMNS])


def _detect(text: str, seed: int) -> tuple[str, float]:
    from langdetect.lang_detect_exception import LangDetectException

    detector = _factory(seed).create()
    detector.append(text)
    try:
        best = detector.get_probabilities()
    except LangDetectException:  # no n-gram that it knows
        best = []
    return (best[0].lang, min(1.0, best[0].prob)) if best else (UNDETERMINED, 0.0)


@cache
def _factory(seed: int) -> Any:
    """Its 55 language profiles, loaded once a process.

    In the order of their names: the library takes the folder's, and sums of probabilities would
    differ in the last digit between machines.
    """
    from langdetect.detector_factory import PROFILES_DIRECTORY, DetectorFactory

    factory = DetectorFactory()
    files = sorted(p for p in Path(PROFILES_DIRECTORY).iterdir() if p.is_file())
    factory.load_json_profile([file.read_text(encoding="utf-8") for file in files])
    factory.set_seed(seed)
    return factory
