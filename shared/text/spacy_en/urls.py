"""Compiled match of a chunk against spaCy's URL_MATCH (after Diego Perini's expression).

    (scheme://)? (user@)? (address or host) (:port)? ([/?#]...)?

The expression tries every way to cut a chunk; as a host holds neither "@" nor "/", it is
enough to try one start after the scheme and one after each "@".
"""

from shared.text.compiled import leaf
from shared.text.spacy_en.affixes import COLON, HYPHEN, PLUS, SLASH, STOP, ZERO, Flags, is_digit
from shared.text.spacy_en.strings import Bytes
from shared.text.spacy_en.tables import DIGIT, LOWER, WORD
from shared.text.utf8 import decode, flags_at

AT, QUESTION, NUMBER_SIGN, UNDERSCORE = ord("@"), ord("?"), ord("#"), ord("_")
LONGEST_LABEL, LONGEST_TOP = 64, 63


@leaf
def is_url(data: Bytes, start: int, end: int, flags: Flags) -> bool:
    """Whether the chunk `data[start:end]` is a URL, an address or a host with or without path."""
    if host_ends_well(data, start, end, flags):
        return True
    at, size = start, 0
    while at < end:
        kind, step = flags_at(data, at, end, flags)
        if not (kind & WORD or data[at] == PLUS or data[at] == HYPHEN or data[at] == STOP):
            break
        at += step
        size += 1
    if size > 1 and at + 3 < end and data[at] == COLON:
        slashes = data[at + 1] == SLASH and data[at + 2] == SLASH
        if slashes and host_ends_well(data, at + 3, end, flags):
            return True
    for place in range(start + 1, end - 1):
        if data[place] == AT and host_ends_well(data, place + 1, end, flags):
            return True
    return False


@leaf
def host_ends_well(data: Bytes, start: int, end: int, flags: Flags) -> bool:
    """Whether a host or an address starts here, and only a port and a path follow it."""
    if start >= end:
        return False
    if is_digit(data[start]) and address(data, start, end, flags):
        return True
    return host(data, start, end, flags)


@leaf
def rest(data: Bytes, at: int, end: int, flags: Flags) -> bool:
    """Whether from `at` on there is nothing but a port and a path."""
    if at < end and data[at] == COLON:
        at += 1
        digits = 0
        while at < end and digits <= 5:
            kind, size = flags_at(data, at, end, flags)
            if not kind & DIGIT:
                break
            at += size
            digits += 1
        if not 2 <= digits <= 5:
            return False
    return at == end or data[at] == SLASH or data[at] == QUESTION or data[at] == NUMBER_SIGN


@leaf
def label_end(data: Bytes, at: int, end: int) -> int:
    """Where the label of a host at `at` ends, which is before a full stop; -1 if none is there."""
    size, edge = 0, False
    while at < end:
        code, step = decode(data, at, end)
        edge = bool(
            ord("a") <= code <= ord("z")
            or ord("A") <= code <= ord("Z")
            or ord("0") <= code <= ord("9")
            or 0xA1 <= code <= 0xFFFF
        )
        if not edge and (size == 0 or code not in (HYPHEN, UNDERSCORE)):
            break
        at += step
        size += 1
        if size > LONGEST_LABEL:
            return -1
    if size == 0 or at >= end or data[at] != STOP:
        return -1
    last = data[at - 1]
    return -1 if last in (HYPHEN, UNDERSCORE) else at


@leaf
def host(data: Bytes, at: int, end: int, flags: Flags) -> bool:
    """Labels, a top level in lower case, and what may follow."""
    while True:
        at = label_end(data, at, end)
        if at < 0:
            return False
        at += 1
        top, size = at, 0
        while top < end and size <= LONGEST_TOP:
            kind, step = flags_at(data, top, end, flags)
            if not kind & LOWER:
                break
            top += step
            size += 1
        if 2 <= size <= LONGEST_TOP and rest(data, top, end, flags):
            return True


@leaf
def octet(data: Bytes, at: int, end: int, flags: Flags) -> tuple[int, int, int, int, int]:
    r"""The run of digits at `at`: how many (4 for more), the first three, where it ends.

    A digit that is not ASCII counts as 10: no digit that the expression names, but one of `\d`.
    """
    count, first, second, third = 0, 0, 0, 0
    while at < end and count < 4:
        kind, size = flags_at(data, at, end, flags)
        if not kind & DIGIT:
            break
        first, second, third = second, third, int(data[at]) - ZERO if size == 1 else 10
        count += 1
        at += size
    if count == 1:
        return 1, third, 0, 0, at
    if count == 2:
        return 2, second, third, 0, at
    return count, first, second, third, at


@leaf
def is_first(count: int, a: int, b: int, c: int) -> bool:
    r"""`[1-9]\d?|1\d\d|2[01]\d|22[0-3]`."""
    if count < 3:
        return count > 0 and 1 <= a <= 9
    return count == 3 and (a == 1 or (a == 2 and (b <= 1 or (b == 2 and c <= 3))))


@leaf
def is_middle(count: int, a: int, b: int, c: int) -> bool:
    r"""`1?\d{1,2}|2[0-4]\d|25[0-5]`."""
    if count < 3:
        return count > 0
    return count == 3 and (a == 1 or (a == 2 and (b <= 4 or (b == 5 and c <= 5))))


@leaf
def is_last(count: int, a: int, b: int, c: int) -> bool:
    r"""`[1-9]\d?|1\d\d|2[0-4]\d|25[0-4]`."""
    if count < 3:
        return count > 0 and 1 <= a <= 9
    return is_middle(count, a, b, c) and not (a == 2 and b == 5 and c == 5)


@leaf
def address(data: Bytes, at: int, end: int, flags: Flags) -> bool:
    """A public IPv4 address, and what may follow."""
    count, a, b, c, at = octet(data, at, end, flags)
    if not is_first(count, a, b, c) or (count == 2 and a == 1 and b == 0):  # 10.
        return False
    first = 0 if count < 3 else 100 * a + 10 * b + c
    if first == 127 or at >= end or data[at] != STOP:
        return False
    count, a, b, c, at = octet(data, at + 1, end, flags)
    if not is_middle(count, a, b, c) or at >= end or data[at] != STOP:
        return False
    if count == 3 and a < 10 and b < 10 and c < 10:
        second = 100 * a + 10 * b + c
        if (first == 169 and second == 254) or (first == 192 and second == 168):
            return False
    private = (a == 1 and 6 <= b <= 9) or a == 2 or (a == 3 and b <= 1)
    if first == 172 and count == 2 and private:
        return False
    count, a, b, c, at = octet(data, at + 1, end, flags)
    if not is_middle(count, a, b, c) or at >= end or data[at] != STOP:
        return False
    count, a, b, c, at = octet(data, at + 1, end, flags)
    return is_last(count, a, b, c) and rest(data, at, end, flags)
