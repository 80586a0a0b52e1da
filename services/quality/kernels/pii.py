"""Compiled search for e-mail and IPv4 addresses, as the two expressions of datatrove find them.

An expression finds the leftmost match, then goes on where it ended. Both are searched from the one
character that every match has (an at sign, a full stop) to both sides, so the time is that of one
pass whatever the text, where backtracking takes the square of a run of letters and full stops.
"""

from typing import Final, NamedTuple

import numpy as np
import numpy.typing as npt
from numba import njit

from shared.text.characters import LETTER, NUMBER
from shared.text.compiled import leaf
from shared.text.utf8 import flags_at

Int64Array = npt.NDArray[np.int64]
Bytes = npt.NDArray[np.uint8]

EMAIL, IP = 0, 1
#: Classes of ASCII: what the local part of an address is made of, but for the full stop; letters
#: and digits; digits; what `\\w` is.
_ATOM, _ALNUM, _DIGIT, _WORD = 1, 2, 4, 8
_DOT, _HYPHEN, _AT, _COLON, _OPEN, _CLOSE = 46, 45, 64, 58, 91, 93


def _classes() -> Bytes:
    classes = np.zeros(256, np.uint8)
    for character in map(chr, range(128)):
        if character.isalnum():
            classes[ord(character)] = _ATOM | _ALNUM | _WORD | (_DIGIT * character.isdigit())
    classes[[ord(c) for c in "!#$%&'*+/=?^`{|}~-"]] |= _ATOM
    classes[ord("_")] |= _ATOM | _WORD
    return classes


_CLASSES: Final = _classes()
#: IPv4 networks that are not globally reachable, as Python's `ipaddress` reads IANA's registry of
#: special-purpose addresses; 192.0.0.9 and .10, within one of them, are reachable.
_NETWORKS: Final = (
    *("0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16"),
    *("172.16.0.0/12", "192.0.0.0/24", "192.0.2.0/24", "192.168.0.0/16", "198.18.0.0/15"),
    *("198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4"),
)
_REACHABLE: Final = (0xC0000009, 0xC000000A)


def _network(text: str) -> tuple[int, int]:
    """First and last address."""
    address, _, bits = text.partition("/")
    first = int.from_bytes(bytes(map(int, address.split("."))), "big")
    return first, first + (1 << (32 - int(bits))) - 1


_RANGES: Final = np.array([_network(n) for n in _NETWORKS], np.int64)


class Found(NamedTuple):
    """Addresses in the order of the text: bytes of the document, kind, number of their kind."""

    starts: Int64Array
    ends: Int64Array
    kinds: npt.NDArray[np.uint8]
    numbers: Int64Array  # from 0 in each document
    bounds: Int64Array  # (documents + 1,)


@leaf
def _is_word(data: Bytes, at: int, begin: int, flags: Bytes) -> bool:
    r"""Whether the character that ends before `at` is `\w`; none stands before the text."""
    if at == begin:
        return False
    if data[at - 1] < 0x80:
        return bool(_CLASSES[data[at - 1]] & _WORD)
    here = at - 1
    while here > begin and data[here] & 0xC0 == 0x80:
        here -= 1
    return bool(flags_at(data, here, at, flags)[0] & (LETTER | NUMBER))


@leaf
def _local_start(data: Bytes, begin: int, least: int, at: int, flags: Bytes) -> int:
    """Where the address with its at sign at `at` begins, not below `least`; -1 for none.

    Atoms parted by single full stops, from the first place on that is a word's edge.
    """
    low = here = at
    while here > least:
        byte = data[here - 1]
        if _CLASSES[byte] & _ATOM:
            low = here - 1
        elif byte != _DOT or here == at or data[here] == _DOT:
            break
        here -= 1
    while low < at:
        atom = _CLASSES[data[low]] & _ATOM != 0
        if atom and (_CLASSES[data[low]] & _WORD != 0) != _is_word(data, low, begin, flags):
            return low
        low += 1
    return -1


@leaf
def _label_end(data: Bytes, at: int, stop: int) -> int:
    """The end of a run of letters, digits and hyphens."""
    while at < stop and (_CLASSES[data[at]] & _ALNUM or data[at] == _HYPHEN):
        at += 1
    return at


@leaf
def _name_end(data: Bytes, at: int, stop: int) -> int:
    """Where a domain name of two or more labels ends; -1 where there is none.

    Labels begin and end with a letter or digit; what follows the last one does not matter.
    """
    labels, last = 0, -1
    while at < stop and _CLASSES[data[at]] & _ALNUM:
        run = _label_end(data, at, stop)
        last = run
        while not _CLASSES[data[last - 1]] & _ALNUM:
            last -= 1
        labels += 1
        if last < run or run == stop or data[run] != _DOT:
            break
        at = run + 1
    return last if labels > 1 else -1


@leaf
def _octet_end(data: Bytes, at: int, stop: int) -> int:
    """Where the longest number up to 255, of at most three digits, ends; -1 for none."""
    value, here = 0, at
    while here < stop and here < at + 3 and _CLASSES[data[here]] & _DIGIT:
        value = 10 * value + data[here] - 48
        if value > 255:
            break
        here += 1
    return here if here > at else -1


@leaf
def _octets_end(data: Bytes, at: int, stop: int, count: int) -> int:
    """The place after so many octets, each with its full stop; -1 where they are not there."""
    for _ in range(count):
        end = _octet_end(data, at, stop)
        if end < 0 or end >= stop or data[end] != _DOT:
            return -1
        at = end + 1
    return at


@leaf
def _literal_end(data: Bytes, at: int, stop: int) -> int:
    """Where a domain in square brackets ends, `at` being its first; -1 for none.

    Three octets, and a fourth or a tag with a colon.
    """
    fourth = _octets_end(data, at + 1, stop, 3)
    if fourth < 0:
        return -1
    end = _octet_end(data, fourth, stop)
    if 0 <= end < stop and data[end] == _CLOSE:
        return end + 1
    end = _label_end(data, fourth, stop)
    tagged = fourth < end < stop - 1 and _CLASSES[data[end - 1]] & _ALNUM
    if tagged and data[end] == _COLON and data[end + 1] == _CLOSE:
        return end + 2
    return -1


@leaf
def _ip_at(data: Bytes, least: int, dot: int, stop: int) -> tuple[int, int]:
    """The address whose first full stop is at `dot`: where it starts and ends; -1 for none."""
    start = dot
    while start > least and start > dot - 3 and _CLASSES[data[start - 1]] & _DIGIT:
        start -= 1
    if start == dot:
        return -1, -1
    if _octet_end(data, start, stop) < dot:
        start += 1
    fourth = _octets_end(data, dot + 1, stop, 2)
    end = _octet_end(data, fourth, stop) if fourth >= 0 else -1
    return (start, end) if end >= 0 else (-1, -1)


@leaf
def _is_address(data: Bytes, at: int, end: int, public_only: bool) -> bool:  # noqa: FBT001
    """Whether Python reads it as an address (no leading zeros), and a globally reachable one."""
    value, octet, digits = 0, 0, 0
    while at <= end:
        if at < end and data[at] != _DOT:
            if digits > 0 and octet == 0:
                return False
            octet, digits = 10 * octet + data[at] - 48, digits + 1
        else:
            value, octet, digits = 256 * value + octet, 0, 0
        at += 1
    if not public_only or value in _REACHABLE:
        return True
    for i in range(len(_RANGES)):  # noqa: SIM110 (numba knows no generators)
        if _RANGES[i, 0] <= value <= _RANGES[i, 1]:
            return False
    return True


@njit(cache=True, nogil=True)
def _emails(data: Bytes, begin: int, stop: int, flags: Bytes, found: Found, count: int) -> int:
    """Append the e-mail addresses of a text; returns the new number of addresses."""
    least, first = begin, count
    for at in range(begin, stop):
        if data[at] != _AT or at + 1 >= stop or at < least:
            continue
        start = _local_start(data, begin, least, at, flags)
        if start < 0:
            continue
        literal = data[at + 1] == _OPEN
        end = _literal_end(data, at + 1, stop) if literal else _name_end(data, at + 1, stop)
        if end >= 0:
            found.starts[count], found.ends[count] = start, end
            found.kinds[count], found.numbers[count] = EMAIL, count - first
            count, least = count + 1, end
    return count


@njit(cache=True, nogil=True)
def _ips(
    data: Bytes,
    begin: int,
    stop: int,
    public_only: bool,  # noqa: FBT001 (compiled)
    found: Found,
    count: int,
    number: int,
) -> int:
    """Append the IP addresses of a part of a text; returns the new number of addresses."""
    least = begin
    for dot in range(begin + 1, stop):
        if data[dot] != _DOT or dot < least:
            continue
        start, end = _ip_at(data, least, dot, stop)
        if start < 0:
            continue
        least = end
        if _is_address(data, start, end, public_only):
            found.starts[count], found.ends[count] = start, end
            found.kinds[count], found.numbers[count] = IP, number
            count, number = count + 1, number + 1
    return count


@njit(cache=True, nogil=True)
def _room(size: int, rows: int) -> Found:
    return Found(
        np.empty(size, np.int64),
        np.empty(size, np.int64),
        np.empty(size, np.uint8),
        np.empty(size, np.int64),
        np.zeros(rows + 1, np.int64),
    )


@njit(cache=True, nogil=True)
def _possible(data: Bytes, begins: Int64Array, stops: Int64Array) -> tuple[int, int]:
    """At most how many e-mail and IP addresses there are: one an at sign, one three full stops."""
    ats = dots = 0
    for row in range(len(begins)):
        for at in range(begins[row], stops[row]):
            ats += data[at] == _AT
            dots += data[at] == _DOT
    return ats, dots // 3


@njit(cache=True, nogil=True)
def find_addresses(
    data: Bytes,
    begins: Int64Array,
    stops: Int64Array,
    flags: Bytes,
    emails: bool,  # noqa: FBT001 (compiled functions have no keyword-only arguments)
    ips: bool,  # noqa: FBT001
    public_only: bool,  # noqa: FBT001
) -> Found:
    """E-mail addresses, and IP addresses outside them; starts and ends are bytes of the column."""
    ats, dots = _possible(data, begins, stops)
    mails, found = _room(ats, 0), _room(ats + dots, len(begins))
    count = 0
    for row in range(len(begins)):
        begin, stop = begins[row], stops[row]
        known = _emails(data, begin, stop, flags, mails, 0) if emails else 0
        first = 0
        for mail in range(known + 1):
            gap_end = mails.starts[mail] if mail < known else stop
            if ips:
                before = count
                count = _ips(data, begin, gap_end, public_only, found, count, first)
                first += count - before
            if mail < known:
                found.starts[count], found.ends[count] = gap_end, mails.ends[mail]
                found.kinds[count], found.numbers[count] = EMAIL, mail
                count, begin = count + 1, mails.ends[mail]
        found.bounds[row + 1] = count
    return Found(
        found.starts[:count],
        found.ends[:count],
        found.kinds[:count],
        found.numbers[:count],
        found.bounds,
    )
