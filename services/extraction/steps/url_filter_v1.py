"""`extraction.url_filter_v1`: what a URL alone says against its page (specs 1.3, 12 and 15.2).

RefinedWeb (arXiv 2306.01116, appendix G.1) drops pages by lists of domains, by words in the URL
(strict: anywhere; hard: a whole word; soft: two different whole words), and leaves out curated
sources. The lists are the user's: none ships but the curated sources, and a list that is not given
finds nothing. `docs/url-filter.md` has formats, conventions and memory.
"""

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import pyarrow as pa
from pydantic import Field

from shared.resources import Resource, load
from shared.schema import Column
from shared.step import Params, row_step

if TYPE_CHECKING:
    from services.extraction.urls.blocklists import Blocklist
    from services.extraction.urls.match import Matches, Urls

#: UT1's harmful categories, as open re-implementations choose them (specs 1.3).
HARMFUL: Final = (
    *("adult", "mixed_adult", "porn", "agressif", "aggressive", "violence", "arjel", "gambling"),
    *("dating", "chat", "phishing", "ddos", "filehosting"),
)
CURATED: Final = "package:services/extraction/urls/curated.txt"
_ENDINGS: Final = re.compile(r"(\.(txt|list|hosts|tar|tgz|gz))*/*$")

Name = Annotated[str, Field(min_length=1)]


class UrlFilterParams(Params):
    """Which lists, and how they are compared."""

    #: `standard`: what the lists mean, whatever the case. `datatrove` and `dclm` decide as
    #: datatrove 0.10.1's URLFilter and DCLM's url_substring_filter do.
    convention: Literal["standard", "datatrove", "dclm"] = "standard"
    #: Lists of domains and URLs: UT1 folders (or their tar file), plain lists, hosts files.
    blocklists: tuple[Resource, ...] = ()
    #: Which categories of a UT1 folder count, the first for a domain that is in several.
    categories: Annotated[tuple[Name, ...], Field(max_length=250)] = HARMFUL
    #: Words that count anywhere in the URL.
    strict_words: Resource | None = None
    #: Words that count as whole words.
    hard_words: Resource | None = None
    #: Words of which two different ones count, as whole words.
    soft_words: Resource | None = None
    #: One folder for all: categories, `domains`, `urls`, and `strict_words.txt`, `hard_words.txt`,
    #: `soft_words.txt` for the lists of words that are not named above.
    bundle: Resource | None = None
    #: Sources to leave out, always by the standard convention.
    curated: Resource | None = Resource(uri=CURATED)


COLUMNS: Final = (
    Column("registered_domain", pa.string(), "the domain that was registered; null without one"),
    Column("host", pa.string(), "host of the URL, lower case, ASCII; null without one"),
    Column("blocklisted", pa.bool_(), "whether a blocklist names domain, host or URL"),
    Column("blocked", pa.string(), "the category, or list without categories, that names it"),
    Column("blocked_part", pa.string(), "what of the URL it names: domain, host or url"),
    Column("strict_words", pa.int64(), "different strict words in the URL", "words"),
    Column("hard_words", pa.int64(), "different hard words in the URL", "words"),
    Column("soft_words", pa.int64(), "different soft words in the URL", "words"),
    Column("curated", pa.bool_(), "whether the host is a curated source"),
)


@row_step(
    "extraction.url_filter_v1",
    reads=("url",),
    columns=COLUMNS,
    params=UrlFilterParams,
)
def url_filter(rows: pa.Table, params: UrlFilterParams) -> pa.Table:
    """Blocklists, words and curated sources that a page's URL meets, each measured by itself.

    A row without a URL meets none: it is not blocklisted, not curated and has 0 words, so that
    collections without URLs pass. No URL is an error, however malformed.
    """
    from services.extraction.urls.match import Urls

    urls = Urls.of([url or "" for url in rows["url"].to_pylist()])
    columns = {
        "registered_domain": pa.array([h.registered or None for h in urls.hosts], pa.string()),
        "host": pa.array([h.name or None for h in urls.hosts], pa.string()),
        **_blocked(urls, params),
        **_words(urls, params),
        "curated": _curated(urls, params),
    }
    return pa.table([columns[c.name] for c in COLUMNS], names=[c.name for c in COLUMNS])


def _blocked(urls: "Urls", params: UrlFilterParams) -> dict[str, pa.Array]:
    from services.extraction.urls.blocklists import blocklist_parser
    from services.extraction.urls.match import PARTS, Matches

    parse = blocklist_parser(params.convention, params.categories)
    lists = [load(resource, parse) for resource in params.blocklists]
    if params.bundle is not None:
        parse = blocklist_parser(params.convention, params.categories, may_lack=True)
        lists.append(load(params.bundle, parse))
    matches = Matches(urls, lists, params.convention)
    return {
        "blocklisted": pa.array(matches.found),
        "blocked": pa.array(_names(matches, lists, params), pa.string()),
        "blocked_part": pa.array([PARTS[p] if p >= 0 else None for p in matches.part], pa.string()),
    }


def _names(
    matches: "Matches", lists: list["Blocklist"], params: UrlFilterParams
) -> list[str | None]:
    """What names each URL: a category, or the file name of a list that has none."""
    resources = [*params.blocklists, *([params.bundle] if params.bundle else [])]
    own = [_ENDINGS.sub("", r.uri).rpartition("/")[2] or r.uri for r in resources]
    return [
        None if source < 0 else lists[source].names[label] or own[source]
        for source, label in zip(matches.source.tolist(), matches.label.tolist(), strict=True)
    ]


def _words(urls: "Urls", params: UrlFilterParams) -> dict[str, pa.Array]:
    from services.extraction.urls import words
    from services.extraction.urls.automaton import strict_words_parser
    from services.extraction.urls.keys import spans

    convention = params.convention
    resources: dict[str, Resource | None] = {
        name: getattr(params, name) or params.bundle for name in _WORD_LISTS
    }
    counts = dict.fromkeys(_WORD_LISTS, pa.array([0] * len(urls.urls), pa.int64()))
    if (resource := resources.pop("strict_words")) is not None:
        automaton = load(resource, strict_words_parser(convention))
        text = words.part_texts(urls.urls, convention)
        counts["strict_words"] = pa.array(automaton.count(*spans(text)))
    if not any(resources.values()):
        return counts
    text = words.word_texts(urls.urls, convention)
    tokens = words.Tokens.of(*spans(text), words.whole_word_bytes(convention))
    for name, resource in resources.items():
        if resource is not None:
            whole = load(resource, words.whole_words_parser(convention, name))
            counts[name] = pa.array(whole.count(tokens))
    return counts


_WORD_LISTS: Final = ("strict_words", "hard_words", "soft_words")


def _curated(urls: "Urls", params: UrlFilterParams) -> pa.Array:
    from services.extraction.urls.blocklists import blocklist_parser
    from services.extraction.urls.match import Matches

    lists = []
    if params.curated is not None:
        lists.append(load(params.curated, blocklist_parser("standard", ())))
    return pa.array(Matches(urls, lists, "standard").found)
