"""A page's blocks over REST and on the document's page, against what the step has stored."""

import httpx
import pytest

from services.gateway.models import LARGEST_PAGE
from services.gateway.ui import documents
from shared.columns import read_columns
from shared.errors import NotFoundError, UsageError
from shared.stages import compile_batch
from shared.testing import html_page, prose, warc_gz, warc_record
from tests.services.gateway.ui.test_pages import HOSTILE, check

RECIPE = {
    "name": "blocks",
    "steps": [
        {"extraction.records_v1": {}, "keep": {"no_image": "media_type != image/gif or null"}},
        {"extraction.main_text_v1": {"engine": "blocks"}},
        {"extraction.confidence_v1": {}, "keep": {"sure": "confidence >= 0 or null"}},
        {"extraction.blocks_v1": {}},
    ],
}
#: Of the page with many.
ROWS = 20_000
NAVIGATION = "".join(f'<li><a href="/{i}">Section {i}</a></li>' for i in range(30))
ESCAPED = HOSTILE.replace("&", "&amp;").replace("<", "&lt;")


def article(*paragraphs: str) -> bytes:
    body = "".join(f"<p>{p}</p>" for p in paragraphs)
    return (
        f"<html><body><nav><ul>{NAVIGATION}</ul></nav><article><h1>The title</h1>{body}"
        f"<pre>if x:\n    y()</pre></article><footer>Imprint {ESCAPED}</footer></body></html>"
    ).encode()


@pytest.fixture(scope="module")
def blocks_batch(gateway, tmp_path_factory):
    """A finished batch: an article, 20,000 blocks, plain text, a page that a rule drops."""
    many = html_page("Many", [f"{ESCAPED} {i}" for i in range(ROWS)])
    records = [
        warc_record("http://a.example/", article(*prose(1, 30), ESCAPED), n=1),
        warc_record("http://many.example/", many, n=2),
        warc_record(
            "http://plain.example/", b"Plain text.", headers="Content-Type: text/plain", n=3
        ),
        warc_record("http://gone.example/", b"GIF89a", headers="Content-Type: image/gif", n=4),
        warc_record("http://long.example/", html_page("Long", ["word " * 9000]), n=5),
    ]
    path = tmp_path_factory.mktemp("blocks") / "blocks.warc.gz"
    path.write_bytes(warc_gz(records))
    return gateway.run([path], RECIPE)


@pytest.fixture(scope="module")
def ids(gateway, blocks_batch) -> dict[str, str]:
    """Document by the first word of its host."""
    items = gateway.client.get(f"/v1/batches/{blocks_batch['id']}/documents")["items"]
    return {item["url"].split("/")[2].partition(".")[0]: item["document"] for item in items}


@pytest.fixture(scope="module")
def stored(gateway, blocks_batch, ids) -> dict[str, list[dict] | None]:
    pipeline = compile_batch(gateway.read(blocks_batch["id"]))
    (shard,) = pipeline.batch.shards
    bound = next(b for b in pipeline.recipe.steps if b.step.short == "blocks_v1")
    table = read_columns(gateway.store, pipeline.column_folder(bound), shard.id, ["blocks"])
    return dict(zip(ids, table["blocks"].to_pylist(), strict=True))


@pytest.fixture(scope="module")
def ask(gateway, blocks_batch, ids):
    def get(name: str, **parameters):
        path = f"/v1/batches/{blocks_batch['id']}/blocks/{ids[name]}"
        return gateway.client.get(path, **parameters)

    return get


def test_all_blocks_in_order_kept_and_removed(ask, stored):
    told = ask("a", limit=LARGEST_PAGE)
    assert [{k: v for k, v in b.items() if k != "index"} for b in told["items"]] == stored["a"]
    assert [b["index"] for b in told["items"]] == list(range(len(stored["a"])))
    kept = [b["text"] for b in stored["a"] if b["kept"]]
    assert (told["blocks"], told["kept"]) == (len(stored["a"]), len(kept))
    assert told["step"] == "extraction.blocks_v1"
    assert told["next"] is None
    assert any(prose(1, 30)[0].startswith(text[:40]) for text in kept)
    assert any("Section 7" in b["text"] for b in stored["a"] if not b["kept"])


@pytest.mark.parametrize("only", [None, "kept", "removed"])
def test_pages_add_up_to_the_whole(ask, stored, only):
    seen, cursor = [], None
    while True:
        parameters = {k: v for k, v in {"only": only, "cursor": cursor}.items() if v}
        told = ask("a", limit=7, **parameters)
        assert len(told["items"]) <= 7
        seen += [b["index"] for b in told["items"]]
        cursor = told["next"]
        if cursor is None:
            break
    wanted = {None: (True, False), "kept": (True,), "removed": (False,)}[only]
    assert seen == [i for i, b in enumerate(stored["a"]) if b["kept"] in wanted]


@pytest.mark.parametrize("name", ["plain", "gone"])
def test_pages_without_blocks_say_so(ask, name, stored):
    assert stored[name] is None
    told = ask(name)
    assert (told["items"], told["blocks"], told["kept"]) == ([], None, None)


def test_faults_are_named(gateway, ask, batch, blocks_batch):
    first = gateway.client.get(f"/v1/batches/{batch['id']}/documents", limit=1)["items"][0]
    with pytest.raises(NotFoundError, match=r"has no extraction\.blocks_v1"):
        gateway.client.get(f"/v1/batches/{batch['id']}/blocks/{first['document']}")
    with pytest.raises(NotFoundError, match="has no document"):
        gateway.client.get(f"/v1/batches/{blocks_batch['id']}/blocks/none:1")
    with pytest.raises(UsageError, match="none of ours"):
        ask("a", cursor="x")
    with pytest.raises(UsageError, match="only"):
        ask("a", only="some")
    assert ask("a", cursor="999999999")["items"] == []


def test_a_documents_life_leaves_its_blocks_out(gateway, blocks_batch, ids):
    told = gateway.client.get(f"/v1/batches/{blocks_batch['id']}/documents/{ids['many']}")
    measured = {s["step"]: s["measurements"] for s in told["steps"]}
    assert measured["extraction.blocks_v1"] == {}
    assert 0 <= measured["extraction.confidence_v1"]["confidence"]["value"] <= 1
    signals = gateway.client.get(f"/v1/batches/{blocks_batch['id']}/signals")["items"]
    names = [s["signal"] for s in signals]
    assert "confidence_v1.confidence" in names
    assert "blocks_v1.blocks" not in names


@pytest.fixture(scope="module")
def look(gateway, blocks_batch, ids):
    def get(name: str, query: str = ""):
        path = f"/ui/batches/{blocks_batch['id']}/documents/{ids[name]}{query}"
        answer = httpx.get(gateway.client.url + path, timeout=30)
        assert answer.status_code == 200, answer.text
        return answer.text, check(answer.text)

    return get


def shown(page) -> list[tuple[str, dict]]:
    return [(tag, attrs) for tag, attrs in page.tags if "data-kind" in attrs]


def test_the_documents_page_shows_them_in_place(look, stored):
    text, page = look("a")
    found = shown(page)
    assert [tag == "div" for tag, _ in found] == [b["kept"] for b in stored["a"]]
    assert [attrs["data-kind"] for _, attrs in found] == [b["kind"] for b in stored["a"]]
    first = stored["a"][0]
    assert f"{first['kind']}, main text with probability" in found[0][1]["title"]
    assert f"bytes {first['start']:,} to {first['end']:,}" in found[0][1]["title"]
    assert "<script>alert" not in text
    assert HOSTILE in page.text.split("Blocks of the page")[1]
    assert "if x:\n    y()" in page.text.split("Blocks of the page")[1]
    _, only = look("a", "?only=kept")
    assert {tag for tag, _ in shown(only)} == {"div"}
    assert len(shown(only)) == sum(b["kept"] for b in stored["a"])


def test_a_page_of_many_blocks_is_shown_in_parts(look, stored):
    assert len(stored["many"]) >= ROWS
    text, page = look("many")
    assert len(shown(page)) == documents.BLOCKS
    assert len(text) < 2_000_000
    more = next(link for link in page.links if "blocks_from=" in link)
    _, following = look("many", "?" + more.partition("?")[2].partition("#")[0])
    assert len(shown(following)) == documents.BLOCKS
    assert shown(following)[0][1]["title"] != shown(page)[0][1]["title"]
    text, page = look("long")
    assert "more characters" in page.text.split("Blocks of the page")[1]


def test_pages_without_blocks_have_a_word_or_no_section(look, gateway, batch):
    assert "Not looked at" in look("plain")[1].text
    first = gateway.client.get(f"/v1/batches/{batch['id']}/documents", limit=1)["items"][0]
    url = f"{gateway.client.url}/ui/batches/{batch['id']}/documents/{first['document']}"
    assert "Blocks of the page" not in httpx.get(url, timeout=30).text
