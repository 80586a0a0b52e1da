"""Numba's decorator with its types kept, and Arrow texts as the arrays that kernels take."""

from collections.abc import Callable
from typing import NamedTuple, ParamSpec, TypeVar, cast

import numba
import numpy as np
import numpy.typing as npt
import pyarrow as pa

P = ParamSpec("P")
R = TypeVar("R")
ByteArray = npt.NDArray[np.uint8]
Int64Array = npt.NDArray[np.int64]
UInt64Array = npt.NDArray[np.uint64]
BoolArray = npt.NDArray[np.bool_]


def compiled(function: Callable[P, R]) -> Callable[P, R]:
    """Compile at the first call, without the interpreter lock; machine code is kept on disk.

    What is kept is stale only for a function whose own file changed: after a change to a function
    that others call from another file, delete `__pycache__`.
    """
    return cast("Callable[P, R]", numba.njit(cache=True, nogil=True)(function))


class Texts(NamedTuple):
    """A column of texts: document i is `data[offsets[i]:offsets[i + 1]]`, UTF-8."""

    data: ByteArray
    offsets: Int64Array  # (N + 1,)
    valid: BoolArray  # (N,), False where the text is null


def texts_of(column: pa.ChunkedArray) -> Texts:
    """The column's own bytes; only its chunks are joined where there are several."""
    array = column.cast(pa.large_string()).combine_chunks()
    if isinstance(array, pa.ChunkedArray):  # a column without any chunk
        array = pa.array([], pa.large_string())
    _, offsets, data = array.buffers()
    if len(array) == 0:
        offsets, data = bytes(8 * (array.offset + 1)), None
    return Texts(
        np.frombuffer(data or b"", np.uint8),
        np.frombuffer(offsets, np.int64)[array.offset : array.offset + len(array) + 1],
        np.asarray(array.is_valid()),
    )
