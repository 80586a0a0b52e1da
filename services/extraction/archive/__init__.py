"""Reading archives by byte range: exact offsets, every record counted, damage survived.

Why not fastwarc or warcio: both stop at the first damaged byte, neither reads the part of an
archive that starts in the middle, and neither says how long a record is in compressed bytes. They
are the second opinion of the tests.

`window` reads ranges, `members` inflates gzip members and zstd frames and finds the next one after
damage, `warc` parses records, `http` takes the payload out of an HTTP response, `lines` (JSONL) and
`tables` (Parquet) read what is no WARC, `formats` tells them apart.
"""
