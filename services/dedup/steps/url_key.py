"""The URL as C4 compares it, whatever scheme, `www.` or tracking a page was found by."""

import pyarrow as pa
import pyarrow.compute as pc
from blake3 import blake3

from shared.schema import Column
from shared.step import NoParams, row_step

KEY_BYTES = 16


@row_step(
    "dedup.url_key_v1",
    reads=("url",),
    columns=(
        Column(
            "url_key",
            pa.binary(KEY_BYTES),
            "blake3 of the normalised URL, 128 bits; null where there is no URL",
        ),
        Column("url_normalized", pa.string(), "URL without scheme, www., tracking and last slash"),
    ),
)
def url_key(rows: pa.Table, params: NoParams) -> pa.Table:
    """Normalise the URL as C4's `normalize_url` does and hash it (specs 3.2, step 2).

    As in the reference the expressions match anywhere, so an address within an address (of a web
    archive, say) loses its scheme too, and `?ref` takes `?reference=1` with it.
    """
    urls = rows.column("url").cast(pa.string())
    urls = pc.replace_substring_regex(urls, r"https?://(www\.)?", "")
    urls = pc.replace_substring_regex(urls, r"\?(utm_|ref|feed).*", "")
    urls = pc.utf8_rtrim(urls, characters="/")
    keys = [blake3(u.encode()).digest(KEY_BYTES) if u else None for u in urls.to_pylist()]
    return pa.table({"url_key": pa.array(keys, pa.binary(KEY_BYTES)), "url_normalized": urls})
