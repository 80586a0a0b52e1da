"""What tests of every service need: tiny archives, hostile texts, and a batch run in one process.

Nothing here stands in for a part of the system: archives are real WARC bytes, and `drive` runs the
same tasks that workers run, one after the other.
"""

import gzip
import random
from collections.abc import Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from shared.indexes.members import waits
from shared.plan import runnable
from shared.progress import Funnel
from shared.recipe import load_recipe
from shared.ref import TaskRef
from shared.run import run_task
from shared.shards import Batch, Source, unique_names
from shared.stages import Pipeline, compile_batch
from shared.store import Store

#: Texts that have broken text code before. Arrow strings are valid UTF-8, so no lone surrogates.
HOSTILE_TEXTS: Final[tuple[str | None, ...]] = (
    None,
    "",
    " ",
    "\n\n\n",
    "\x00",
    "a\x00b\nc",
    "\u0301" * 300,
    "\u202eright to left\u202c \u05d0\u05d1\u05d2",
    "👩‍👩‍👧‍👦 🇩🇪 e\u0301",
    "\ufeff\u200b\u2028\u2029\x85",
    "....?!—…•-#",
    "word " * 5000,
    "x" * 200_000,
    "line\n" * 3000,
    "中文没有空格" * 500,
    "http://a.b/c\n\n\nhttps://例え.jp/ www.x.org",
    "1\t2\r\n3\r4",
)


_SYLLABLES = ("ber", "den", "far", "gol", "hin", "kel", "lor", "mer", "nor", "pas", "ren", "ver")
_PATTERNS = (
    "The {0} of the {1} was with the {2} that the {3} have in {4} and {5}.",
    "In this {0} we have the {1}, and it is to be with the {2} of {3} before {4} or {5}.",
    "It was the {0} that they said would be {1} to the {2} and the {3} after {4} with {5}.",
    "There is no {0} of {1} which they have to {2} when the {3} is at the {4} for {5}.",
)


def html_page(title: str, paragraphs: Iterable[str]) -> bytes:
    """A plain page whose main text every extractor finds."""
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    page = (
        f"<!DOCTYPE html><html lang='en'><head><meta charset='utf-8'><title>{title}</title></head>"
        f"<body><article><h1>{title}</h1>{body}</article></body></html>"
    )
    return page.encode()


def warc_record(
    url: str, payload: bytes, *, headers: str = "Content-Type: text/html; charset=utf-8", n: int = 0
) -> bytes:
    """One uncompressed `response` record."""
    http = f"HTTP/1.1 200 OK\r\n{headers}\r\nContent-Length: {len(payload)}\r\n\r\n".encode()
    block = http + payload
    head = (
        "WARC/1.0\r\nWARC-Type: response\r\n"
        f"WARC-Record-ID: <urn:uuid:00000000-0000-4000-8000-{n:012d}>\r\n"
        f"WARC-Target-URI: {url}\r\nWARC-Date: 2026-01-01T00:00:00Z\r\n"
        "Content-Type: application/http; msgtype=response\r\n"
        f"Content-Length: {len(block)}\r\n\r\n"
    ).encode()
    return head + block + b"\r\n\r\n"


def warc_gz(records: Iterable[bytes]) -> bytes:
    """A gzip member a record."""
    return b"".join(gzip.compress(record, mtime=0) for record in records)


def prose(seed: int, sentences: int = 30) -> list[str]:
    """English-looking paragraphs that pass Gopher's rules, the same for the same seed.

    Nouns and verbs are made of syllables, so that hardly any five words repeat.
    """
    rng = random.Random(seed)

    def word() -> str:
        return "".join(rng.choice(_SYLLABLES) for _ in range(rng.randint(2, 3)))

    lines = [rng.choice(_PATTERNS).format(*(word() for _ in range(6))) for _ in range(sentences)]
    return [" ".join(lines[i : i + 5]) for i in range(0, sentences, 5)]


def make_batch(
    paths: list[Path], recipe: str | dict[str, Any], *, shard_bytes: int = 1 << 25, name: str = "b"
) -> Batch:
    """A batch of local files."""
    uris = [str(p) for p in paths]
    sources = []
    for uri, end in zip(uris, unique_names(uris), strict=True):
        path = Path(uri)
        stat = Store(str(path.parent)).stat(path.name)
        sources.append(Source(uri=uri, name=end, size=stat.size, etag=stat.etag))
    return Batch(
        id=name,
        recipe=load_recipe(recipe),
        sources=tuple(sources),
        shard_bytes=shard_bytes,
        created=datetime(2026, 1, 1, tzinfo=UTC),
    )


def drive(store: Store, batch: Batch, seed: int | None = None) -> tuple[Pipeline, Funnel]:
    """Run a batch to its end in this process; `seed` shuffles the order of the tasks.

    Where it waits for an earlier batch of an index, it goes as far as it can.
    """
    pipeline = compile_batch(batch)
    funnel = Funnel(pipeline)
    rng = random.Random(seed)
    while True:
        funnel.update(store, pipeline)
        blocked = {w.stage for w in waits(store, pipeline, funnel.committed())}
        refs: list[TaskRef] = list(runnable(pipeline, funnel.committed(), blocked))
        if not refs:
            return pipeline, funnel
        if seed is not None:
            rng.shuffle(refs)
        for ref in refs:
            run_task(store, pipeline, ref)
