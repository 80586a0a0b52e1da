"""Header fields of WARC records and HTTP messages: `Name: value` lines, read leniently.

Lenient as fastwarc and warcio: bare line feeds, folded lines, any case, bytes that are not UTF-8.
Where a field occurs twice the first stands, as in warcio's `get_header`.
"""

import re
from typing import Final

#: The blank line that ends a header.
HEADER_END: Final = re.compile(rb"\r?\n\r?\n")


def parse_fields(lines: list[bytes]) -> dict[str, str]:
    """Lower-case names to stripped values; lines that are no field are passed over."""
    fields: dict[str, str] = {}
    name = ""
    for raw in lines:
        line = _text(raw)
        if line[:1] in (" ", "\t"):
            if name in fields:
                fields[name] = f"{fields[name]} {line.strip()}".strip()
            continue
        name, colon, value = line.partition(":")
        name = name.strip().lower()
        if colon and name not in fields:
            fields[name] = value.strip()
        elif colon:
            name = ""
    return fields


def _text(raw: bytes) -> str:
    raw = raw.rstrip(b"\r\n")
    try:
        return raw.decode()
    except UnicodeDecodeError:
        return raw.decode("latin-1")
