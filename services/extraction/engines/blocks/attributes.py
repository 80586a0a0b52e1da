"""Attributes of a start tag: what hides an element, its class and id, an ordered list's start."""

from typing import Final

import numpy as np
import numpy.typing as npt

from services.extraction.engines.blocks.tags import append_hash, is_space
from shared.text.compiled import leaf

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
UInt32s = npt.NDArray[np.uint32]

#: Where a tag's result stands in the `found` array.
END: Final = 0
HIDDEN: Final = 1
SELF_CLOSING: Final = 2
#: Value of `start` or `value` of a list, and whether there is one.
NUMBER: Final = 3
HAS_NUMBER: Final = 4
#: Hash of all tokens of its class.
TEMPLATE: Final = 5
#: How many tokens there are in all.
TOKENS: Final = 6
HAS_LINK: Final = 7
#: Whether a template is the content of the element around it (`shadowrootmode`).
SHOWN: Final = 8
FOUND: Final = 9

#: What an attribute is to us, and the seed of the hashes of its tokens.
_OTHER: Final = 0
_CLASS: Final = 1
_ID: Final = 2
_ROLE: Final = 3
_ITEMPROP: Final = 4
_STYLE: Final = 5
_HIDDEN: Final = 6
_ARIA_HIDDEN: Final = 7
_START: Final = 8
_HREF: Final = 9
_SHADOW: Final = 10
#: Tokens of one attribute that count; a page may have thousands.
_MOST_TOKENS: Final = 24
#: Least and greatest number of a list item.
_GREATEST: Final = 99_999_999


@leaf
def _is(data: Bytes, at: int, name: Bytes) -> bool:
    for i in range(len(name)):
        byte = np.int64(data[at + i])
        if 65 <= byte <= 90:
            byte += 32
        if byte != name[i]:
            return False
    return True


_NAMES = [b"class", b"id", b"role", b"itemprop", b"style", b"hidden", b"aria-hidden", b"start",
          b"href", b"value", b"shadowrootmode"]  # fmt: skip
_CLASS_NAME, _ID_NAME, _ROLE_NAME, _ITEMPROP_NAME, _STYLE_NAME, _HIDDEN_NAME, _ARIA_NAME = (
    np.frombuffer(n, np.uint8) for n in _NAMES[:7]
)
_START_NAME, _HREF_NAME, _VALUE_NAME, _SHADOW_NAME = (
    np.frombuffer(n, np.uint8) for n in _NAMES[7:]
)
_DISPLAY_NONE = np.frombuffer(b"display:none", np.uint8)
_VISIBILITY = np.frombuffer(b"visibility:hidden", np.uint8)


@leaf
def _attribute(data: Bytes, start: int, end: int) -> int:
    """Which attribute a name is."""
    size = end - start
    if size == 5:
        if _is(data, start, _CLASS_NAME):
            return _CLASS
        if _is(data, start, _STYLE_NAME):
            return _STYLE
        return _START if _is(data, start, _START_NAME) or _is(data, start, _VALUE_NAME) else _OTHER
    if size == 4:
        if _is(data, start, _ROLE_NAME):
            return _ROLE
        return _HREF if _is(data, start, _HREF_NAME) else _OTHER
    if size == 2:
        return _ID if _is(data, start, _ID_NAME) else _OTHER
    if size == 6:
        return _HIDDEN if _is(data, start, _HIDDEN_NAME) else _OTHER
    if size == 8:
        return _ITEMPROP if _is(data, start, _ITEMPROP_NAME) else _OTHER
    if size == 11:
        return _ARIA_HIDDEN if _is(data, start, _ARIA_NAME) else _OTHER
    return _SHADOW if size == 14 and _is(data, start, _SHADOW_NAME) else _OTHER


@leaf
def _tokens(
    data: Bytes, start: int, end: int, kind: int, found: Int64s, tokens: UInt32s, count: int
) -> None:
    """Append hashes of the words: runs of letters, lowered, cut before a capital after a small."""
    most = min(len(tokens), count + found[TOKENS] + _MOST_TOKENS)
    place = count + found[TOKENS]
    value, size, small = np.uint32(0), 0, False
    for at in range(start, end + 1):
        byte = int(data[at]) if at < end else 32
        capital = 65 <= byte <= 90
        letter = capital or 97 <= byte <= 122 or byte >= 128
        if size and (not letter or capital and small):
            if size > 1 and place < most:
                tokens[place] = value
                place += 1
                if kind == _CLASS:
                    found[TEMPLATE] = np.int64(np.uint32(found[TEMPLATE] * 31) ^ value)
            size = 0
        small = 97 <= byte <= 122
        if letter:
            if size == 0:
                # class and id share their words; roles and properties have their own
                value = np.uint32(0x811C9DC5 + (kind if kind > _ID else 0))
            value = append_hash(value, byte + 32 if capital else byte)
            size += 1
    found[TOKENS] = place - count


@leaf
def _has(data: Bytes, start: int, end: int, words: Bytes) -> bool:
    """Whether a style has a declaration, white space in it left out."""
    for first in range(start, end):
        if data[first] | 0x20 != words[0]:
            continue
        at, same = first, 0
        while at < end and same < len(words):
            if data[at] | 0x20 == words[same] | 0x20:
                same += 1
            elif not is_space(data[at]):
                break
            at += 1
        if same == len(words):
            return True
    return False


@leaf
def _number(data: Bytes, start: int, end: int, found: Int64s) -> None:
    """The integer at the start of a value."""
    value, at, negative = 0, start, False
    while at < end and is_space(data[at]):
        at += 1
    if at < end and data[at] == 45:
        negative = True
        at += 1
    first = at
    while at < end and 48 <= data[at] <= 57 and value < _GREATEST:
        value = value * 10 + data[at] - 48
        at += 1
    if at > first:
        found[NUMBER] = -value if negative else value
        found[HAS_NUMBER] = 1


@leaf
def _use(
    data: Bytes, kind: int, start: int, end: int, found: Int64s, tokens: UInt32s, count: int
) -> None:
    """Note what an attribute says."""
    if kind <= _ITEMPROP:
        _tokens(data, start, end, kind, found, tokens, count)
    elif kind == _STYLE:
        if _has(data, start, end, _DISPLAY_NONE) or _has(data, start, end, _VISIBILITY):
            found[HIDDEN] = 1
    elif kind == _HIDDEN:
        found[HIDDEN] = 1
    elif kind == _ARIA_HIDDEN:
        if start < end and data[start] | 0x20 == 116:  # "true"
            found[HIDDEN] = 1
    elif kind == _START:
        _number(data, start, end, found)
    elif kind == _HREF:
        found[HAS_LINK] = 1
    else:
        found[SHOWN] = 1


@leaf
def read_attributes(
    data: Bytes, at: int, end: int, found: Int64s, tokens: UInt32s, count: int
) -> None:
    """Read attributes up to the ">"; `found` gets what they say, `tokens[count:]` their words.

    `found[END]` is the place behind the ">", or `end` where the tag is not closed.
    """
    for field in range(FOUND):
        found[field] = 0
    while at < end:
        byte = data[at]
        if byte == 62:
            at += 1
            break
        if byte == 47 or is_space(byte):
            found[SELF_CLOSING] = byte == 47 and at + 1 < end and data[at + 1] == 62
            at += 1
            continue
        first = at
        at += 1  # an attribute's name may begin with "="
        while at < end and not (
            data[at] == 61 or data[at] == 62 or data[at] == 47 or is_space(data[at])
        ):
            at += 1
        kind = _attribute(data, first, at)
        start = stop = at
        while at < end and is_space(data[at]):
            at += 1
        if at < end and data[at] == 61:
            start, stop, at = _value(data, at + 1, end)
        if kind != _OTHER:
            _use(data, kind, start, stop, found, tokens, count)
    found[END] = at


@leaf
def _value(data: Bytes, at: int, end: int) -> tuple[int, int, int]:
    """Start and end of the value behind "=", and where the attribute ends."""
    while at < end and is_space(data[at]):
        at += 1
    if at < end and (data[at] == 34 or data[at] == 39):
        quote = data[at]
        start = at + 1
        at = start
        while at < end and data[at] != quote:
            at += 1
        return start, at, min(at + 1, end)
    start = at
    while at < end and data[at] != 62 and not is_space(data[at]):
        at += 1
    return start, at, at
