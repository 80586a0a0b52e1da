"""One file of named sections: the forests, weights and tables of a model.

Magic and version, blake3 of all that follows, the number of sections; then for each, by name: the
length of its name, its length, its name, its bytes. Equal sections give equal bytes.
"""

import struct
from collections.abc import Mapping
from typing import Final

from blake3 import blake3

from shared.errors import PermanentError

_MAGIC: Final = b"blocks\x00\x01"  # the last byte is the version
_CHECKSUM: Final = 32
_COUNT: Final = struct.Struct("<I")
#: Bytes of a section's name, and of the section.
_SIZES: Final = struct.Struct("<HQ")


def pack(sections: Mapping[str, bytes]) -> bytes:
    """The sections as one file."""
    parts = [_COUNT.pack(len(sections))]
    for name in sorted(sections):
        encoded = name.encode()
        parts += [_SIZES.pack(len(encoded), len(sections[name])), encoded, sections[name]]
    body = b"".join(parts)
    return _MAGIC + blake3(body).digest(_CHECKSUM) + body


def unpack(data: bytes) -> dict[str, bytes]:
    """The sections of a file, by name. A damaged file raises."""
    if not data.startswith(_MAGIC):
        raise PermanentError("not a model file of this version: it begins with other bytes")
    start = len(_MAGIC) + _CHECKSUM
    body = data[start:]
    if len(data) < start or blake3(body).digest(_CHECKSUM) != data[len(_MAGIC) : start]:
        raise PermanentError("the model file is damaged: its checksum is another")
    try:
        return _sections(body)
    except (struct.error, UnicodeDecodeError) as error:
        raise PermanentError(f"the model file is damaged: {error}") from error


def _sections(body: bytes) -> dict[str, bytes]:
    (count,) = _COUNT.unpack_from(body)
    sections: dict[str, bytes] = {}
    at = _COUNT.size
    for _ in range(count):
        name_size, size = _SIZES.unpack_from(body, at)
        at += _SIZES.size
        name = body[at : at + name_size].decode()
        at += name_size + size
        sections[name] = body[at - size : at]
    if at != len(body) or len(sections) != count:
        raise PermanentError("the model file is damaged: its sections do not fill it")
    return sections
