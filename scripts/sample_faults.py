"""Records that crawls are full of and tests need: charsets, encodings, errors, broken bytes.

Each is made from a real page of the sample's packages and named by `how` in the manifest. The kind
is `encoded` where a careful reader gets the whole page, `broken` where part of it is lost or the
server lies.
"""

from collections.abc import Callable
from functools import partial

from sample_pages import Page
from sample_warc import Archive, chunked, deflate, http_response, payload_digest

HTML = "text/html"
UTF8 = "text/html; charset=utf-8"
#: Pages of LibreOffice's help with prose in every language and characters outside ASCII.
TOPICS = (
    "text/swriter/guide/autocorr_except.html",
    "text/swriter/guide/indices_toc.html",
    "text/swriter/guide/footnote_usage.html",
    "text/shared/guide/digital_signatures.html",
    "text/scalc/guide/multioperation.html",
    "text/swriter/guide/globaldoc_howtos.html",
)


Fault = Callable[[Archive, list[Page]], None]


def find(pages: list[Page], lang: str, topic: int) -> Page:
    """The page of `TOPICS[topic]` in a language of LibreOffice's help."""
    (page,) = (p for p in pages if p.lang == lang and p.path.endswith(f"/{TOPICS[topic]}"))
    return page


def transcode(body: bytes, charset: str, declared: str) -> bytes:
    """A UTF-8 page in another charset, what does not fit as character references.

    `declared` replaces the charset of its meta element; with "" the element goes.
    """
    meta = '<meta http-equiv="Content-Type" content="text/html; charset=utf-8">'
    text = body.decode()
    assert meta in text
    text = text.replace(meta, meta.replace("utf-8", declared) if declared else "")
    return text.encode(charset, "xmlcharrefreplace")


def _add(
    archive: Archive,
    page: Page,
    kind: str,
    how: str,
    body: bytes,
    headers: dict[str, str],
    *,
    status: str = "200 OK",
    extra: dict[str, str] | None = None,
) -> str:
    note = {"language": page.language, "origin": f"{page.package}:{page.path}", "how": how}
    block = http_response(status, headers, body)
    # A second address of the page, so that none of these is an exact duplicate by its URL.
    url = f"{page.url}?variant={how.replace(' ', '-')}"
    where = {"url": url, "date": page.date}
    return archive.add(kind, "response", block, extra=extra, note=note, **where)


def charset(
    archive: Archive,
    pages: list[Page],
    how: str,
    *,
    page: tuple[str, int],
    encoded: str,
    meta: str,
    header: str = HTML,
    kind: str = "encoded",
) -> None:
    """A page in a charset that its header and meta element declare, omit or lie about."""
    chosen = find(pages, *page)
    body = transcode(chosen.body, encoded, meta)
    headers = {"Content-Type": header, "Content-Length": str(len(body))}
    if not header:
        del headers["Content-Type"]
    _add(archive, chosen, kind, how, body, headers)


def transfer(archive: Archive, pages: list[Page], how: str, *, page: tuple[str, int]) -> None:
    """A page whose bytes on the wire are chunked, compressed, or claim to be."""
    chosen = find(pages, *page)
    packed, body = deflate(chosen.body), chosen.body
    gzip = {"Content-Encoding": "gzip"}
    wire: dict[str, tuple[str, dict[str, str], bytes]] = {
        "chunked": ("encoded", {"Transfer-Encoding": "chunked"}, chunked(body)),
        "gzip": ("encoded", gzip, packed),
        "deflate": ("encoded", {"Content-Encoding": "deflate"}, deflate(body, 15)),
        "raw deflate": ("encoded", {"Content-Encoding": "deflate"}, deflate(body, -15)),
        "gzip chunked": ("encoded", {**gzip, "Transfer-Encoding": "chunked"}, chunked(packed)),
        "declared gzip but plain": ("encoded", gzip, body),
        "truncated gzip payload": ("broken", gzip, packed[: len(packed) // 2]),
        "empty body": ("broken", {"Content-Length": "0"}, b""),
    }
    kind, headers, sent = wire[how]
    _add(archive, chosen, kind, how, sent, {"Content-Type": UTF8, **headers})


def truncated(archive: Archive, pages: list[Page]) -> None:
    """A crawler stopped half-way: WARC-Truncated, and Content-Length of the whole page."""
    page = find(pages, "en-US", 4)
    headers = {"Content-Type": UTF8, "Content-Length": str(len(page.body))}
    half, extra = page.body[: len(page.body) // 2], {"WARC-Truncated": "length"}
    _add(archive, page, "broken", "truncated body", half, headers, extra=extra)


def not_found(archive: Archive, pages: list[Page]) -> None:
    """A 404 with the server's own page."""
    page = find(pages, "en-US", 0)
    body = (
        b'<!DOCTYPE HTML PUBLIC "-//IETF//DTD HTML 2.0//EN">\n<html><head>\n'
        b"<title>404 Not Found</title>\n</head><body>\n<h1>Not Found</h1>\n"
        b"<p>The requested URL was not found on this server.</p>\n</body></html>\n"
    )
    headers = {"Content-Type": "text/html; charset=iso-8859-1", "Content-Length": str(len(body))}
    _add(archive, page, "error", "404", body, headers, status="404 Not Found")


def redirect(archive: Archive, pages: list[Page]) -> None:
    """A 301 to the page itself."""
    page = find(pages, "en-US", 1)
    headers = {"Location": page.url, "Content-Length": "0"}
    _add(archive, page, "redirect", "301", b"", headers, status="301 Moved Permanently")


def revisit(archive: Archive, pages: list[Page]) -> None:
    """Fetched again and found unchanged: headers only, with a reference to the first capture."""
    page = find(pages, "en-US", 2)
    headers = {"Content-Type": UTF8, "Content-Length": str(len(page.body))}
    extra = {
        "WARC-Payload-Digest": payload_digest(page.body),
        "WARC-Profile": "http://netpreserve.org/warc/1.0/revisit/identical-payload-digest",
        "WARC-Refers-To-Target-URI": page.url,
        "WARC-Refers-To-Date": page.date,
    }
    note = {"of": page.url}
    block = http_response("200 OK", headers, b"")
    archive.add("revisit", "revisit", block, url=page.url, date=page.date, extra=extra, note=note)


#: What the second archive holds between its pages, in this order.
FAULTS: tuple[Fault, ...] = (
    partial(charset, how="gb18030", page=("zh-CN", 0), encoded="gb18030", meta="gb18030",
            header="text/html; charset=GB18030"),
    partial(charset, how="gbk in meta only", page=("zh-CN", 1), encoded="gbk", meta="gbk"),
    partial(charset, how="gbk undeclared", page=("zh-CN", 2), encoded="gbk", meta=""),
    partial(charset, how="iso-8859-1", page=("de", 0), encoded="iso-8859-1", meta="iso-8859-1",
            header="text/html; charset=ISO-8859-1"),
    partial(charset, how="windows-1252 undeclared", page=("de", 1), encoded="cp1252", meta=""),
    partial(charset, how="utf-16 with byte order mark", page=("en-US", 3), encoded="utf-16",
            meta="utf-16"),
    partial(charset, how="utf-8 declared as iso-8859-1", page=("zh-CN", 3), encoded="utf-8",
            meta="utf-8", header="text/html; charset=ISO-8859-1"),
    partial(charset, how="gb18030 declared as utf-8", page=("zh-CN", 4), encoded="gb18030",
            meta="utf-8", header=UTF8, kind="broken"),
    partial(charset, how="unknown charset", page=("de", 2), encoded="utf-8", meta="x-none-8",
            header="text/html; charset=x-none-8"),
    partial(charset, how="no content type", page=("de", 3), encoded="utf-8", meta="utf-8",
            header=""),
    partial(transfer, how="chunked", page=("en-US", 0)),
    partial(transfer, how="gzip", page=("en-US", 1)),
    partial(transfer, how="deflate", page=("en-US", 2)),
    partial(transfer, how="raw deflate", page=("en-US", 3)),
    partial(transfer, how="gzip chunked", page=("de", 4)),
    partial(transfer, how="declared gzip but plain", page=("en-US", 4)),
    partial(transfer, how="truncated gzip payload", page=("en-US", 5)),
    partial(transfer, how="empty body", page=("en-US", 5)),
    truncated,
    not_found,
    redirect,
    revisit,
)  # fmt: skip


def damaged(archive: Archive, pages: list[Page], how: str, topic: int) -> None:
    """A gzip member that does not decompress ("corrupt member") or ends early ("truncated")."""
    page = find(pages, "de", topic)
    headers = {"Content-Type": UTF8, "Content-Length": str(len(page.body))}
    _add(archive, page, "broken", how, page.body, headers)
