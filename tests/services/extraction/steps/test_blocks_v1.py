"""The engine `blocks` in the pipeline: text, confidence and blocks of one extraction."""

from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pydantic import ValidationError

from services.extraction import page_blocks
from services.extraction.engines import blocks as engine
from services.extraction.main_text import MainTextParams, clean
from services.extraction.memory import Memory, forget
from services.extraction.page import read_page
from shared.compute import compute
from shared.errors import UsageError
from shared.recipe import load_recipe, resolve
from shared.schema import BLOCKS_TYPE
from shared.step import load_registry
from shared.testing import prose

HTML = "text/html; charset=utf-8"
NAVIGATION = "".join(f'<li><a href="/{i}">Section {i}</a></li>' for i in range(30))
CODE = "def kelpas(renpasden):\n    for golver in renpasden:\n        yield golver, len(golver)"
BODY = f"<h2>Golver</h2><pre>{CODE}</pre>".join(f"<p>{p}</p>" for p in prose(3, 40))
ARTICLE = (
    f"<html><body><nav><ul>{NAVIGATION}</ul></nav><article><h1>Caf\u00e9</h1>{BODY}"
    "<ul><li>one thing</li><li>another</li></ul></article>"
    "<footer>Imprint</footer></body></html>"
)
STEPS = ("extraction.main_text_v1", "extraction.confidence_v1", "extraction.blocks_v1")


def run(name: str, pages: list[tuple[bytes | None, str | None]], **params: Any) -> list[dict]:
    step = load_registry()[f"extraction.{name}"]
    table = pa.table(
        {
            "payload": pa.array([p for p, _ in pages], pa.large_binary()),
            "content_type": pa.array([t for _, t in pages], pa.string()),
        }
    )
    rows = compute(step, step.params(**params), table).to_pylist()
    assert len(rows) == len(pages)
    return rows


def test_the_main_text_is_made_of_the_kept_blocks():
    page = [(ARTICLE.encode(), HTML)]
    (text,) = run("main_text_v1", page, engine="blocks")
    (row,) = run("blocks_v1", page)
    kept = [b["text"] for b in row["blocks"] if b["kept"]]
    removed = [b["text"] for b in row["blocks"] if not b["kept"]]
    assert all(paragraph in text["text"] for paragraph in prose(3, 40))
    assert text["error"] is row["error"] is None
    at = 0
    for block in kept:  # in order
        at = text["text"].index(block, at) + len(block)
    assert "Section 7" in removed
    assert "Section 7" not in text["text"]


def test_spans_are_bytes_of_the_page_as_utf8():
    """Also of a page in another charset."""
    for payload, kind in [
        (ARTICLE.encode(), HTML),
        (ARTICLE.encode("latin1"), "text/html; charset=iso-8859-1"),
    ]:
        (row,) = run("blocks_v1", [(payload, kind)])
        page = ARTICLE.encode()
        assert [page[b["start"] : b["end"]].decode() for b in row["blocks"]] == [
            b["text"] for b in row["blocks"]
        ]
        starts = [b["start"] for b in row["blocks"]]
        assert starts == sorted(set(starts))
        assert all(0 <= b["probability"] <= 1 for b in row["blocks"])
        kinds = {b["text"]: b["kind"] for b in row["blocks"]}
        assert kinds["Caf\u00e9"] == "heading"
        assert kinds[CODE] == "code"
        assert kinds["one thing"] == "item"


def test_markdown_is_for_this_engine_alone():
    page = [(ARTICLE.encode(), HTML)]
    plain, markdown = (
        run("main_text_v1", page, engine="blocks", markdown=m)[0]["text"] for m in (False, True)
    )
    assert "\n## Golver\n" in markdown
    assert "\nGolver\n" in plain
    assert f"```\n{CODE}\n```" in markdown
    assert CODE in plain
    with pytest.raises(ValidationError, match="engine `blocks`") as caught:
        MainTextParams(engine="trafilatura", markdown=True)
    assert caught.value.errors()[0]["loc"] == ("markdown",)
    steps = ["extraction.records_v1", {"extraction.main_text_v1": {"markdown": True}}]
    with pytest.raises(UsageError) as refused:
        resolve(load_recipe({"name": "m", "steps": steps}))
    assert refused.value.field == "steps.1.params.markdown"


def test_confidence_is_higher_where_there_is_a_main_text():
    menu = f"<html><body><ul>{NAVIGATION}</ul></body></html>".encode()
    sure, unsure = (
        row["confidence"] for row in run("confidence_v1", [(ARTICLE.encode(), HTML), (menu, HTML)])
    )
    assert 0 <= unsure < sure <= 1


@pytest.mark.parametrize(
    ("payload", "kind"), [(None, None), (b"Plain.", "text/plain"), (b"GIF89a", "image/gif")]
)
def test_what_is_no_markup_has_null(payload, kind):
    assert run("confidence_v1", [(payload, kind)]) == [{"confidence": None, "error": None}]
    assert run("blocks_v1", [(payload, kind)]) == [{"blocks": None, "error": None}]


def test_a_page_without_blocks_has_none_of_them():
    (row,) = run("blocks_v1", [(b"<html></html>", HTML)])
    assert row == {"blocks": [], "error": None}


@pytest.fixture
def extracted(monkeypatch):
    """The pages that the engine has extracted."""
    pages = []
    real = engine.extract

    def counted(html):
        pages.append(html)
        return real(html)

    monkeypatch.setattr(engine, "extract", counted)
    return pages


def test_steps_of_one_task_extract_a_page_once(extracted):
    pages = [(f"<p>{p}</p>".encode(), HTML) for p in prose(5, 100)]
    run("main_text_v1", pages, engine="blocks")
    assert len(extracted) == len(pages)
    run("confidence_v1", pages)
    run("blocks_v1", [*pages, *pages])
    assert len(extracted) == len(pages)
    forget()
    run("blocks_v1", pages)
    assert len(extracted) == 2 * len(pages)


def test_extractions_are_remembered_within_a_bound(monkeypatch, extracted):
    memory = Memory(400_000)
    monkeypatch.setattr(page_blocks, "_extractions", memory)
    pages = [(f"<p>{i} {'word ' * 9000}</p>".encode(), HTML) for i in range(9)]
    rows = [run("confidence_v1", [page])[0] for page in pages]
    assert 0 < len(memory) < len(pages)
    assert memory.bytes <= 400_000
    assert [run("confidence_v1", [page])[0] for page in pages] == rows
    large = (f"<p>{'word ' * 200_000}</p>".encode(), HTML)
    assert run("confidence_v1", [large]) == run("confidence_v1", [large])
    assert memory.bytes <= 400_000
    assert read_page(*large).memory > 400_000


def test_an_engines_fault_is_the_rows_error(monkeypatch):
    real = engine.extract

    def refuse(html):
        if "bad" in html:
            raise RuntimeError("broken")
        return real(html)

    monkeypatch.setattr(engine, "extract", refuse)
    pages = [(b"<p>good</p>", HTML), (b"<p>bad</p>", HTML)]
    assert [r["error"] for r in run("main_text_v1", pages, engine="blocks")] == [
        None,
        "blocks: RuntimeError: broken",
    ]
    for name in ("confidence_v1", "blocks_v1"):
        assert [r["error"] for r in run(name, pages)] == [None, "RuntimeError: broken"]


def test_block_texts_are_clean():
    (row,) = run("blocks_v1", [("<p>cafe\u0301 a\x01b &#xd800; c</p>".encode(), HTML)])
    texts = [b["text"] for b in row["blocks"]]
    assert texts == [clean(t) for t in texts]
    assert "caf\u00e9" in texts[0]


def test_blocks_survive_the_store(tmp_path):
    rows = run("blocks_v1", [(ARTICLE.encode(), HTML), (None, None), (b"<p></p>", HTML)])
    column = pa.array([r["blocks"] for r in rows], BLOCKS_TYPE)
    # As the runner scatters rows that are still kept among those that are not.
    spread = column.take(pa.array([0, 2, 1, None], pa.int64()))
    path = tmp_path / "blocks.parquet"
    pq.write_table(pa.table({"blocks": spread}), path, compression="zstd")
    back = pq.read_table(path)["blocks"]
    assert back.type == BLOCKS_TYPE
    assert back.to_pylist() == spread.to_pylist()


def fingerprint(params: dict[str, Any]) -> str:
    steps = ["extraction.records_v1", {"extraction.main_text_v1": params}]
    return resolve(load_recipe({"name": "f", "steps": steps})).steps[1].fingerprint


@pytest.mark.parametrize("engine", ["trafilatura", "resiliparse", "justext", "plain_text"])
def test_columns_of_other_engines_stay_valid(engine):
    """What only `blocks` has is no part of the fingerprints that were there before it."""
    written = MainTextParams(engine=engine).model_dump(mode="json")
    assert set(written) == {"engine", "favor_precision", "justext"}
    assert MainTextParams.model_validate(written) == MainTextParams(engine=engine)


def test_the_model_and_the_format_are_part_of_the_fingerprint(monkeypatch):
    plain = fingerprint({"engine": "blocks"})
    assert plain != fingerprint({"engine": "blocks", "markdown": True})
    other = "f" * 64
    monkeypatch.setattr("shared.resources._hash_shipped", lambda _path: other)
    assert plain != fingerprint({"engine": "blocks"})
