"""From HTML to text: what a page shows as paragraphs, lists, tables and code comes out as such."""

import numpy as np
import pytest

from services.extraction.engines.blocks.scan import scan_page
from services.extraction.engines.blocks.write import write

PAGES = {
    "paragraphs": ("<h1>T</h1><p>One <b>b</b>ig\n word.</p>two<div>three</div>", "T\n\nOne big word.\n\ntwo\n\nthree", "# T\n\nOne big word.\n\ntwo\n\nthree"),
    "line breaks": ("<p>a<br>b</p>", "a\nb", "a  \nb"),
    "lists": (
        "<ul><li>a<ul><li>b<li>c</ul><li>d</ul><ol start=3><li>e<p>f</p><li>g</ol>",
        "- a\n  - b\n  - c\n- d\n\n3. e\n\nf\n\n4. g",
        "- a\n  - b\n  - c\n- d\n\n3. e\n\n   f\n\n4. g",
    ),
    "quotations": ("<blockquote><p>a<blockquote>b</blockquote></blockquote><p>c", "a\n\nb\n\nc", "> a\n>\n> > b\n\nc"),
    "table": (
        "<table><tr><th>N<th>S<tr><td>a|b<td>1<tr><td>c<td>2</table>",
        "N\tS\na|b\t1\nc\t2",
        "| N | S |\n| --- | --- |\n| a\\|b | 1 |\n| c | 2 |",
    ),
    "code": ("<p>x</p><pre>if a:\n\n\treturn  b  # &lt;\n</pre>", "x\n\nif a:\n\n\treturn  b  # <", "x\n\n```\nif a:\n\n\treturn  b  # <\n```"),
    "terms": ("<dl><dt>a<dd>b<dt>c<dd>d</dl>", "a\nb\n\nc\nd", "**a**\n\nb\n\n**c**\n\nd"),
    "inline": ("<p>a<span>b</span><i> c</i>, <a href=x>d</a> <em>e</em>, f</p>", "ab c, d e, f", "ab c, d e, f"),
    "scripts": ("<p dir=rtl>\u05d0\u05d1 <b>\u05d2</b></p><p>\u4e2d<b>\u6587</b>\u3002", "\u05d0\u05d1 \u05d2\n\n\u4e2d\u6587\u3002", "\u05d0\u05d1 \u05d2\n\n\u4e2d\u6587\u3002"),
    "signs": ("<p># a<p>1. b<p>&lt;c&gt;", "# a\n\n1. b\n\n<c>", "\\# a\n\n1\\. b\n\n\\<c>"),
}  # fmt: skip


@pytest.mark.parametrize("name", PAGES)
def test_page_comes_out_as_it_looks(name):
    source, plain, markdown = PAGES[name]
    scan = scan_page(f"<html><body>{source}</body></html>")
    kept = np.ones(len(scan.blocks.kind), np.bool_)
    assert write(scan, kept) == plain
    assert write(scan, kept, markdown=True) == markdown
