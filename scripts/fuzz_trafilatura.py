"""Look for HTML of which our trafilatura and the original make different texts.

    python -m scripts.fuzz_trafilatura --seconds 600 --seed 7 [--save FOLDER] [ARCHIVE ...]

Takes real pages, cuts, doubles and spikes them with tags and characters that the algorithm treats
in ways of their own, and puts each through both. Without archives, all of the test data's
`warc/open`. Exits with 1 where a text differs; `--save` keeps such pages.
"""

import argparse
import random
import re
import sys
import time
from pathlib import Path

from scripts.check_trafilatura import outcome, pages
from scripts.reference import open_archives

#: Longer pages only take longer.
MOST_CHARACTERS = 60_000
MOST_CHANGES = 6
LONGEST_CUT = 3_000
SPIKES = (
    *[
        "<form>",
        "</form>",
        "<p>",
        "</div>",
        "<article>",
        "<main>",
        "<aside>",
        "<iframe>",
        "<xmp>",
        "<textarea>",
        "<title>",
    ],
    *[
        "<noscript>",
        "<plaintext>",
        "<style>",
        "<br><br>",
        "<blockquote>",
        "<h2>",
        "<select>",
        "<a>",
        "<td>",
        "<del>",
    ],
    *[
        "<code>",
        "<q>",
        "<hr>",
        "<wbr>",
        "<template>",
        "<embed>",
        "<frameset>",
        "<caption>",
        "<fencedframe>",
    ],
    *[
        "&#1;",
        "&#65534;",
        "\x01",
        "\x85",
        "\ufffe",
        "\xa0",
        "\u200b",
        "<o:p>x</o:p>",
        "<sub></sub>",
    ],
    '<table role="presentation">',
    "<nav><nav>x</nav></nav>",
    "<ul><li><a href=x>Link text here</a></li></ul>",
    "<list><item>foo bar</item></list>",
    '<math alttext="x^2"></math>',
    '<graphic src="a.png">',
    '<ref>abc</ref><quote>hello world</quote><head><body class="x">',
    '<iframe src="https://www.youtube.com/x"></iframe>',
    "<svg><title/></svg>",
    '<script type="application/ld+json">{"@type":"DiscussionForumPosting","articleBody":"'
    + "word " * 80
    + '"}</script>',
    "<figure><table><tr><td>x</td></tr></table></figure>",
    '<details class="comments"><summary>s</summary>t</details>',
    '<p style="display:none"><div aria-hidden=true><div hidden>',
    "<pre><span>x</span></pre>",
    '<strong class="schema-faq-question">q</strong>',
    "<dl><dt>a<dd>b</dl>",
    *(
        f'<div class="{name}">'
        for name in (
            "post-content",
            "story-body",
            "infinite-scroll",
            "elementor-share-buttons",
            "cookie-banner",
            "share",
            "w3-code",
            "comments",
        )
    ),
)
RENAMINGS = tuple(
    pair.split(":")
    for pair in [
        "div:section",
        "div:p",
        "p:div",
        "article:div",
        "span:div",
        "li:p",
        "div:form",
        "p:li",
        "h2:p",
        "div:nav",
        "ul:list",
        "a:ref",
        "table:div",
        "tr:div",
    ]
)


def changed(html: str, rng: random.Random) -> str:
    """The page after a few changes."""
    for _ in range(rng.randint(0, MOST_CHANGES)):
        if not html:
            break
        start = rng.randrange(len(html))
        end = start + rng.randint(1, LONGEST_CUT)
        kind = rng.choice(("cut", "double", "spike", "spike", "spike", "rename", "end"))
        if kind == "cut":
            html = html[:start] + html[end:]
        elif kind == "double":
            html = html[:end] + html[start:]
        elif kind == "spike":
            at = html.find(">", start) + 1
            html = html[:at] + rng.choice(SPIKES) * rng.choice((1, 1, 1, 3)) + html[at:]
        elif kind == "rename":
            old, new = rng.choice(RENAMINGS)
            html = re.sub(rf"(</?){old}\b", rf"\g<1>{new}", html)
        else:
            html = html[:start]
    return html


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("archives", nargs="*", type=Path, help="WARC files")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--save", type=Path, help="folder for pages with different texts")
    arguments = parser.parse_args()
    from services.extraction.engines.trafilatura import main_text, reference, reset

    archives = arguments.archives or open_archives()
    pool = [html for a in archives for html in pages(a) if len(html) < MOST_CHARACTERS]
    rng = random.Random(arguments.seed)
    tried = differing = 0
    end = time.monotonic() + arguments.seconds
    while time.monotonic() < end:
        html, precision = changed(rng.choice(pool), rng), rng.random() < 0.5
        tried += 1
        theirs, _ = outcome(reference, html, favor_precision=precision)
        ours, _ = outcome(main_text, html, favor_precision=precision)
        if ours != theirs:
            differing += 1
            if arguments.save:
                arguments.save.mkdir(parents=True, exist_ok=True)
                name = f"{arguments.seed}-{tried}{'-precision' if precision else ''}.html"
                (arguments.save / name).write_text(html, errors="surrogatepass")
        if tried % 64 == 0:
            reset()
    print(f"seed {arguments.seed}: {differing} of {tried} pages differ")
    sys.exit(1 if differing else 0)


if __name__ == "__main__":
    main()
