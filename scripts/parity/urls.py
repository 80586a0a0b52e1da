"""The lists of the URL filter, and URLs that are made of their entries.

Hardly a page of a curated set is on a blocklist, so for every list some of its entries are put into
URLs: as they stand, below and beside them, glued to other letters, in other case.
"""

import tarfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from scripts.parity.sides import RULES, URL, WHOLE, Document

#: UT1's categories that RefinedWeb and its kin take (specs 1.3); the others hold sound sites.
CATEGORIES = (
    "adult",
    "agressif",
    "arjel",
    "chat",
    "dating",
    "ddos",
    "filehosting",
    "gambling",
    "mixed_adult",
    "phishing",
    "violence",
    "warez",
)
WORD_FILES = {
    "hard_words": "banned_words.txt",
    "soft_words": "soft_banned_words.txt",
    "strict_words": "banned_subwords.txt",
}
#: Entries of each list that are put into URLs.
TAKEN = 150
#: For the small check: neutral lists.
SMALL = {
    "domain": [
        "blocked.example.com",
        "casino.example",
        "bad.co.uk",
        "10.0.0.1",
        "b\u00fccher.example",
    ],
    "url": ["http://example.org/only/this", "https://www.example.net/"],
    "hard_words": ["# a comment", "jackpot", "pay-day", "2-4-1", "Roulette"],
    "soft_words": ["poker", "bingo", "casino", "slots"],
    "strict_words": ["free money", "jackpot-city", "winbig"],
}
_WHOLE = {
    "domain": (
        "http://{}/",
        "https://www.{}/a/b?c=d#e",
        "http://a.b.{}:8080/",
        "http://not{}/",
        "http://{}.example.org/",
        "http://user:pw@{}/x",
        "HTTP://{}./",
        "{}",
    ),
    "url": ("{}", "http://{}", "https://www.{}", "http://{}/more"),
}
_WORDS = (
    "http://example.org/{}",
    "http://example.org/a-{}-b.html",
    "http://example.org/a{}b",
    "http://{}.example.org/?q={}",
    "http://example.org/x_{}%20y",
)
ODD = (
    "http://192.168.0.1/",
    "http://[2001:db8::1]:80/x",
    "http://localhost/",
    "http://xn--bcher-kva.example/",
    "http://\u4f8b\u3048.jp/\u30da\u30fc\u30b8?q=\u691c\u7d22",
    "https://a.b.c.d.kawasaki.jp/",
    "https://city.kawasaki.jp/",
    "https://someone.github.io/",
    "https://someone.blogspot.com/",
    "http://example.co.uk",
    "http://co.uk/",
    "http://EXAMPLE.Com/UPPER",
    "ftp://example.org/file",
    "//example.org/no-scheme",
    "example.org/no-scheme",
    "http://example.org?query",
    "http://example.org#fragment",
    "http://example.org:/",
    "http:///nothing",
    "mailto:a@example.org",
    "dns:example.org",
    "http://a..example.org/",
    "http://-a.example.org/",
    "http://example\u3002org/",
    "http://exa mple.org/",
    "http://poker.example/bingo/poker",
    "http://poker.example/Poker-POKER",
    "http://poker.example/bingo-slots",
)


def read_lists(data: Path) -> dict[str, list[str]]:
    """Domains and URLs of UT1's categories, datatrove's words, as lines."""
    lists: dict[str, list[str]] = {"domain": [], "url": []}
    with tarfile.open(data / "lists" / "ut1.tar.gz") as tar:
        for member in tar:
            category, _, kind = member.name.removeprefix("ut1/").partition("/")
            file = tar.extractfile(member) if category in CATEGORIES else None
            if file is not None and kind in ("domains", "urls"):
                lines = file.read().decode("utf-8", "replace").splitlines()
                lists[kind.removesuffix("s")] += [line for line in lines if line.strip()]
    for rule, name in WORD_FILES.items():
        raw = (data / "lists" / "datatrove_assets" / name).read_text()
        lists[rule] = [line for line in raw.splitlines() if line.strip()]
    return lists


def made(lists: dict[str, list[str]]) -> list[Document]:
    """URLs of some entries of every list, evenly spread; their ids say which, not what."""
    found = [Document(f"odd URL {i}", url) for i, url in enumerate(ODD)]
    for rule, entries in lists.items():
        step = max(1, len(entries) // TAKEN)
        for position in range(0, len(entries), step):
            shapes = _WHOLE.get(rule, _WORDS)
            for shape, url in enumerate(_shaped(shapes, entries, position)):
                found.append(Document(f"made of {rule} {position}, shape {shape}", url))
    return found


def _shaped(shapes: tuple[str, ...], entries: list[str], position: int) -> Iterator[str]:
    """One entry, and the next one with it where a shape has two places."""
    entry, other = entries[position].strip(), entries[(position + 1) % len(entries)].strip()
    for shape in shapes:
        yield shape.format(entry, other)
    yield shapes[0].format(entry.upper())


def our_params(
    folder: Path, lists: dict[str, list[str]], tar: Path | None
) -> dict[str, dict[str, Any]]:
    """Our parameters for each list by itself and for all; `tar` is UT1's own file."""
    params: dict[str, dict[str, Any]] = {}
    for rule, entries in lists.items():
        path = folder / rule
        if rule in ("domain", "url"):
            path.mkdir(parents=True, exist_ok=True)
            (path / f"{rule}s").write_text("".join(f"{entry}\n" for entry in entries))
            params[rule] = {"blocklists": [str(path)]}
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text("".join(f"{entry}\n" for entry in entries))
            params[rule] = {rule: str(path)}
    whole = {name: value for p in params.values() for name, value in p.items()}
    if tar is None:
        whole["blocklists"] = [*params["domain"]["blocklists"], *params["url"]["blocklists"]]
    else:
        whole |= {"blocklists": [str(tar)], "categories": list(CATEGORIES)}
    assert [*params, WHOLE] == list(RULES[URL])
    return {**params, WHOLE: whole}
