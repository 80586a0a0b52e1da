"""What every child process of ours does first."""

import ctypes
import signal
import sys

_PR_SET_PDEATHSIG = 1


def die_with_parent() -> None:
    """Linux: have the kernel end this process when its parent ends, however that ends."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)


#: Of glibc's <malloc.h>.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3
#: Larger blocks (pages, trees' strings, columns) go back to the system when they are freed.
_LARGE_BYTES = 2**20
#: So much of the heap may lie free.
_FREE_BYTES = 16 * 2**20


def give_memory_back() -> None:
    """glibc: return freed memory instead of keeping it in pieces.

    Its own thresholds grow with the largest block that was ever freed, so that a worker of
    megabyte-sized pages would keep 60 to 80 MiB more than it uses. Costs no measurable time.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        mallopt(_M_MMAP_THRESHOLD, _LARGE_BYTES)
        mallopt(_M_TRIM_THRESHOLD, _FREE_BYTES)
