"""Groups of archives: crawls by their names, parts by a hash of theirs."""

from collections import Counter
from datetime import UTC, datetime

import numpy as np
import pytest

from services.dedup.within import crawl_of, part_of, parts_of, salts_of
from shared.recipe import Recipe
from shared.shards import Batch, Source

CRAWLS = "https://data.example/crawl-data"


def batch_of(uris: list[str], **labels: str) -> Batch:
    recipe = Recipe(name="web", source="none", steps=("extraction.records_v1",))
    sources = tuple(Source(uri=u, name=f"{i:03d}", size=3000, etag="1") for i, u in enumerate(uris))
    created = datetime(2026, 1, 1, tzinfo=UTC)
    return Batch(
        id="b", recipe=recipe, sources=sources, shard_bytes=1024, created=created, labels=labels
    )


@pytest.mark.parametrize(
    ("uri", "crawl"),
    [
        (
            f"{CRAWLS}/CC-MAIN-2024-18/segments/171/warc/CC-MAIN-20240412-00001.warc.gz",
            "CC-MAIN-2024-18",
        ),
        ("s3://b/CC-MAIN-2024-18-00001.warc.gz", "CC-MAIN-2024-18"),
        (f"{CRAWLS}/CC-MAIN-2012/segments/1.arc.gz", "CC-MAIN-2012"),
        (f"{CRAWLS}/CC-MAIN-2009-2010/segments/1.arc.gz", "CC-MAIN-2009-2010"),
        (f"{CRAWLS}/CC-NEWS/2019/01/CC-NEWS-20190102-00001.warc.gz", "CC-NEWS-2019-01"),
        (f"{CRAWLS}/CC-NEWS/2019/01/warc.paths.gz", "CC-NEWS-2019-01"),
        ("/mirror/CC-MAIN-20240412101010-20240412131010-00001.warc.gz", ""),
        ("/mirror/CC-NEWS-20190131-00001.warc.gz", "CC-NEWS-2019-01"),
        ("/pages/open.warc.gz", ""),
    ],
)
def test_crawl_of_an_archive(uri, crawl):
    assert crawl_of(uri) == crawl
    assert crawl_of(uri, "mine") == (crawl or "mine")


def test_parts_follow_the_files_name_alone():
    assert part_of("s3://a/x/1.warc.gz", 100) == part_of("https://b/1.warc.gz", 100)
    drawn = Counter(part_of(f"/{i}.warc.gz", 10) for i in range(1000))
    # 100 expected each, standard deviation 9.5.
    assert len(drawn) == 10
    assert all(60 < n < 140 for n in drawn.values())


def test_shards_of_an_archive_have_its_group():
    uris = ["/CC-MAIN-2024-10/1.warc", "/CC-MAIN-2024-10/2.warc", "/CC-MAIN-2024-18/1.warc", "/x"]
    batch = batch_of(uris, crawl="CC-MAIN-2024-18")
    assert len(batch.shards) == 12
    assert salts_of(batch, "all", 100) is None
    a, b, c, d = np.split(salts_of(batch, "crawl", 100), 4)
    assert len(set(a)) == len(set(c)) == 1
    assert set(a) == set(b) != set(c)
    assert set(c) == set(d)
    parts = parts_of(batch, 3)
    salts = salts_of(batch, "part", 3)
    assert [len(set(p)) for p in np.split(parts, 4)] == [1] * 4
    assert parts[0] == parts[6]
    assert len(set(zip(parts, salts, strict=True))) == len(set(parts)) == len(set(salts))
