"""The text engine: segmentation, hashes and edits over Arrow columns of UTF-8.

- `segment.segment(texts)`: words, lines and paragraphs of a column, once for all steps;
- `edits.apply_edits(texts, edits)`: the text that later steps read;
- `warm()`: compile, or load from the cache, what the worker will call.

Importing this package costs nothing: compiled modules are imported by who calls them.
"""

from collections.abc import Callable
from importlib.util import find_spec

_WARMERS: list[Callable[[], None]] = []


def warms(function: Callable[[], None]) -> Callable[[], None]:
    """Register a function that calls compiled loops once on a small input, for `warm`."""
    _WARMERS.append(function)
    return function


def warm() -> None:
    """Compile every loop of the text engine and of the steps imported so far.

    The machine code is cached beside the sources (or in NUMBA_CACHE_DIR), so only the first process
    of an installation compiles. Does nothing where numba is not installed: a service without it
    calls none of these loops.
    """
    if find_spec("numba") is None:
        return
    from shared.text.segment import warm_segmentation

    for function in (warm_segmentation, *_WARMERS):
        function()
