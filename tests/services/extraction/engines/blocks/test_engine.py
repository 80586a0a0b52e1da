"""The engine with the shipped model: what it keeps, and that it keeps the same everywhere."""

from pathlib import Path

import numpy as np
import pytest
from blake3 import blake3

from scripts.reference import read_archive
from services.extraction.engines.blocks import extract, main_text
from services.extraction.engines.blocks.model import BOTH, PATH, load, to_file
from services.extraction.engines.blocks.model_file import pack, unpack
from services.extraction.page import read_page
from shared.errors import PermanentError
from shared.testing import prose

SAMPLE = Path(__file__).parents[5] / "sample"
#: Chances and choice for every page of the sample. They change with the model, and with whatever
#: the scan or the features give: then the model has to be trained anew (`make train-extractor`).
PINNED = "722cac1bb8b5079fa997cad828117e0c"
MENU = "<ul>" + "".join(f"<li><a href=/{i}>Section {i}</a>" for i in range(25)) + "</ul>"


def sample_pages():
    for archive in sorted(SAMPLE.glob("*.warc.gz")):
        for table in read_archive(archive):
            columns = (table[name].to_pylist() for name in ("payload", "content_type"))
            for payload, content_type in zip(*columns, strict=True):
                page = None if payload is None else read_page(payload, content_type)
                if page is not None and page.is_markup:
                    yield page.text


def test_chances_are_the_same_on_every_machine():
    digest = blake3()
    pages = 0
    for html in sample_pages():
        found = extract(html)
        digest.update(found.chances.astype("<i8").tobytes())
        digest.update(np.packbits(found.kept).tobytes())
        digest.update(np.float64(found.confidence).tobytes())
        pages += 1
    assert pages > 50
    assert digest.hexdigest(16) == PINNED


def test_the_model_is_small_and_its_file_is_the_same_bytes_again():
    data = PATH.read_bytes()
    assert len(data) <= 2 * 2**20
    assert to_file(load()) == data


def test_a_model_of_other_features_is_refused(tmp_path):
    sections = unpack(PATH.read_bytes())
    other = tmp_path / "other.bin"
    other.write_bytes(pack({**sections, "confidence": sections["first"]}))
    with pytest.raises(PermanentError, match=rf"other\.bin reads .*{BOTH}.* features"):
        load(other)


def test_an_article_without_its_menu():
    paragraphs = prose(7, 60)
    html = (
        f"<title>Golver</title><nav>{MENU}</nav><main><article><h1>Golver</h1>"
        + "".join(f"<p>{p}</p>" for p in paragraphs)
        + f"</article></main><aside><h3>More</h3>{MENU}</aside><footer>Imprint, terms</footer>"
    )
    found = extract(html)
    assert all(p in found.text for p in paragraphs)
    assert "Section" not in found.text
    assert "Imprint" not in found.text
    assert found.confidence > 0.8
    assert main_text(html) == found.text


def test_a_forum_thread_of_a_hundred_posts():
    posts = [" ".join(prose(i, 30)) for i in range(100)]
    html = f"<nav>{MENU}</nav><h1>Thread</h1>" + "".join(
        f'<div class="post" id=p{i}><div class="author"><a href=/u/{i % 7}>user{i % 7}</a></div>'
        f'<div class="postbody"><p>{post}</p></div><a href=/r/{i}>Reply</a></div>'
        for i, post in enumerate(posts)
    )
    text = extract(html).text
    assert sum(post in text for post in posts) >= 98
    assert "Section" not in text


@pytest.mark.parametrize(
    "text",
    [
        "这是一段用来测试正文提取的中文文字，它有足够的长度，也有标点符号。第二句话也在这里，说明同样的事情。"
        * 3,
        "זהו טקסט בעברית, ארוך מספיק כדי להיות פסקה אמיתית. המשפט השני ממשיך את הראשון. " * 4,
        "هذا نص عربي طويل بما يكفي ليكون فقرة حقيقية، وفيه علامات ترقيم. والجملة الثانية تتبع الأولى. "
        * 4,
    ],
)
def test_scripts_that_are_not_latin(text):
    menu = "".join(f"<li><a href=/{i}>{text[3 * i : 3 * i + 6]}</a>" for i in range(12))
    body = "".join(f"<p>{text}</p>" for _ in range(4))
    found = extract(f"<nav><ul>{menu}</ul></nav><article>{body}</article>")
    assert found.text.count(text.strip()) == 4
    assert not any(block.kept for block in found.blocks if block.kind == "item")


def test_blocks_say_where_they_stand():
    html = f"<nav>{MENU}</nav><p>{prose(1, 80)[0]}</p>"
    found = extract(html)
    data = html.encode()
    assert [b.text for b in found.blocks] == [data[b.start : b.end].decode() for b in found.blocks]
    assert all(0 <= b.probability <= 1 for b in found.blocks)
    assert found.memory >= len(found.scan.text)
    assert [b.kept for b in found.blocks] == found.kept.tolist()
