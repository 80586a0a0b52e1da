"""The URL filter's measures at their thresholds, formats of lists, and plain Python beside it."""

import gzip
import re
import tarfile
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tldextract.remote import lenient_netloc

from services.extraction.steps.url_filter_v1 import COLUMNS, UrlFilterParams, url_filter
from services.extraction.urls.blocklists import entry_key
from services.extraction.urls.hosts import canonical, split
from shared.errors import UsageError
from shared.resources import Resource
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform

RULES = {
    "blocklisted": "blocklisted == false",
    "strict_words": "strict_words == 0",
    "hard_words": "hard_words == 0",
    "soft_words": "soft_words < 2",
    "curated": "curated == false",
}
CONVENTIONS = ["standard", "datatrove", "dclm"]


@pytest.fixture
def lists(tmp_path):
    """Write lists; returns parameters that name them."""

    def write(convention="standard", blocklist=None, categories=None, **words):
        found = {}
        for name, entries in words.items():
            path = tmp_path / f"{name}.txt"
            path.write_text("\n".join(entries))
            found[name] = Resource(uri=str(path))
        if blocklist is not None:
            path = tmp_path / "blocked.txt"
            path.write_text("\n".join(blocklist))
            found["blocklists"] = (Resource(uri=str(path)),)
        if categories is not None:
            found["categories"] = categories
        return UrlFilterParams(convention=convention, **found)

    return write


def measure(params, *urls):
    table = url_filter(pa.table({"url": pa.array(urls, pa.string())}), params)
    return conform(table, arrow_schema(COLUMNS), len(urls), "step").to_pylist()


def kept(rule, params, *urls):
    """Which URLs the recipe's rule keeps."""
    rows = pa.Table.from_pylist(measure(params, *urls), arrow_schema(COLUMNS))
    return KeepRule(rule, RULES[rule]).holds(rows).to_pylist()


# --- words at their thresholds ---


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_one_soft_word_never_drops_and_two_different_do(lists, convention):
    params = lists(convention, soft_words=["cam", "chat", "x9"])
    one = ["http://cam.example/", "http://cam.example/cam/cam-cam?cam", "http://e.org/camchat"]
    two = ["http://cam.example/chat", "http://e.org/?q=chat+x9", "http://chat.e.org/x9/cam"]
    assert kept("soft_words", params, *one) == [True] * 3
    assert kept("soft_words", params, *two) == [False] * 3
    assert [r["soft_words"] for r in measure(params, *one, *two)] == [1, 1, 0, 2, 2, 3]


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_hard_word_drops_only_as_a_whole_word(lists, convention):
    params = lists(convention, hard_words=["casino"])
    urls = ["http://e.org/casino", "http://casino.e.org", "http://e.org/a-casino.html"]
    assert kept("hard_words", params, *urls) == [False] * 3
    assert kept("hard_words", params, "http://mycasino.org/casinos", "http://e.org/") == [True] * 2


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_strict_word_drops_wherever_it_stands(lists, convention):
    params = lists(convention, strict_words=["glued", "lue"])
    urls = ["http://xgluedy.org/", "http://x.org/g-l.u-e-d", "http://x.org/GLUED"]
    assert kept("strict_words", params, *urls) == [False] * 3
    assert kept("strict_words", params, "http://glu.org/ed-lu/e") == [convention == "dclm"]
    assert [r["strict_words"] for r in measure(params, *urls)] == [2, 2, 2]


def test_letter_case_of_whole_words(lists):
    """datatrove compares its lower-case lists with the URL's words as they are."""
    for convention, found in (("standard", 1), ("datatrove", 0), ("dclm", 1)):
        params = lists(convention, hard_words=["Casino"])
        assert measure(params, "http://e.org/CASINO")[0]["hard_words"] == found


def test_what_counts_as_a_letter(lists):
    """In DCLM's expressions an underscore and é are letters; elsewhere they end a word."""
    urls = ["http://e.org/a_casino", "http://e.org/casinoé", "http://e.org/“casino”"]
    for convention, found in (
        ("standard", [1, 1, 1]),
        ("datatrove", [1, 1, 1]),
        ("dclm", [0, 0, 1]),
    ):
        params = lists(convention, hard_words=["casino"])
        assert [row["hard_words"] for row in measure(params, *urls)] == found


def test_what_strict_words_pass_over(lists):
    """DCLM passes over `-` and `.`; the others over all but letters and digits of ASCII."""
    urls = ["http://e.org/b.a-d", "http://e.org/b/a_d", "http://e.org/b%a?d", "http://e.org/béad"]
    for convention, found in (("standard", [1, 1, 1, 1]), ("dclm", [1, 0, 0, 0])):
        params = lists(convention, strict_words=["bad"])
        assert [row["strict_words"] for row in measure(params, *urls)] == found


def test_word_lists_have_comments_blank_lines_and_repetitions(lists):
    params = lists(soft_words=["# chat", "", "cam", "CAM\r", "c-a-m", "two words"])
    assert measure(params, "http://cam.org/chat/")[0]["soft_words"] == 1
    assert measure(params, "http://cam.org/twowords/")[0]["soft_words"] == 2


# --- domains and URLs ---


def blocked(params, url):
    row = measure(params, url)[0]
    assert row["blocklisted"] == (row["blocked"] is not None) == (row["blocked_part"] is not None)
    return row["blocked_part"]


@pytest.mark.parametrize(
    ("entry", "url", "standard", "datatrove", "dclm"),
    [
        # a registered domain: all below it
        ("bad.com", "http://bad.com/", "domain", "domain", "host"),
        ("bad.com", "http://www.bad.com/x", "domain", "domain", None),
        ("bad.com", "http://a.b.bad.com/x", "domain", "domain", None),
        ("bad.com", "http://notbad.com/", None, None, None),
        ("bad.com", "http://bad.com.org/", None, None, None),
        ("bad.co.uk", "https://x.bad.co.uk/", "domain", "domain", None),
        # a host
        ("a.bad.com", "http://a.bad.com/", "host", "host", "host"),
        ("a.bad.com", "http://x.a.bad.com/", "host", None, None),
        ("a.bad.com", "http://bad.com/", None, None, None),
        ("www.bad.com", "http://bad.com/", None, None, None),
        ("www.bad.com", "http://www.bad.com/", "host", "host", None),
        # never a public suffix
        ("co.uk", "http://good.co.uk/", None, None, None),
        ("com", "http://good.com/", None, None, None),
        # a domain on which others have their own (no suffix in ICANN's part of the list)
        ("x.blogspot.com", "http://x.blogspot.com/", "host", "host", "host"),
        ("x.blogspot.com", "http://y.blogspot.com/", None, None, None),
        # letters, ports, users, final dots, schemes
        ("bad.com", "HTTP://BAD.COM/", "domain", None, "host"),
        ("Bad.Com", "http://bad.com/", "domain", None, "host"),
        ("bad.com", "http://bad.com:8080/", "domain", "domain", None),
        ("bad.com", "http://me:pw@bad.com/", "domain", "domain", None),
        ("bad.com", "http://bad.com./", "domain", "domain", None),
        ("bad.com", "bad.com/x", "domain", "domain", None),
        ("bad.com", "//bad.com/x", "domain", "domain", "host"),
        ("bad.com", "http://good.com/?u=http://bad.com/", None, None, None),
        ("bad.com", "http://bad.com@good.com/", None, None, None),
        (".bad.com", "http://a.bad.com/", "domain", None, None),
        ("*.bad.com", "http://a.bad.com/", "domain", None, None),
        # addresses
        ("10.0.0.1", "http://10.0.0.1/x", "host", None, "host"),
        ("10.0.0.1", "http://10.0.0.1:81/x", "host", None, None),
        ("0.0.1", "http://10.0.0.1/x", None, None, None),
        ("[2001:db8::1]", "http://[2001:DB8::1]:80/", "host", None, None),
        # international names
        ("bücher.example.com", "http://xn--bcher-kva.example.com/", "host", None, None),
        ("xn--bcher-kva.de", "http://BÜCHER.de/", "domain", None, None),
        ("例え.jp", "http://xn--r8jz45g.jp/", "domain", None, None),
        # URLs
        ("bad.com/x", "http://bad.com/x", "url", None, None),
        ("bad.com/x", "https://www.bad.com/X/?q#f", "url", None, None),
        ("www.bad.com/x/", "http://bad.com/x/y", "url", None, None),
        ("bad.com/x", "http://bad.com/xy", None, None, None),
        ("bad.com/x", "http://bad.com/", None, None, None),
        ("bad.com/x", "http://a.bad.com/x", None, None, None),
        ("http://bad.com/x", "http://bad.com/x", "url", "url", None),
        ("http://bad.com/x", "https://bad.com/x", "url", None, None),
        ("bad.com:80/x?id=1", "http://bad.com/x?id=1#top", "url", None, None),
        ("bad.com/x?id=1", "http://bad.com/x?id=2", None, None, None),
        ("bad.com/x", "bad.com/x", "url", "url", None),
        ("http://bad.com/", "https://a.bad.com/", "domain", None, None),
        # malformed
        ("bad.com", "http://[bad.com/", None, None, None),
        ("bad.com", "http:///bad.com", None, None, None),
        ("bad.com", "http:bad.com", None, None, None),
        ("/", "http:///", None, None, None),
        (".", "", None, None, None),
        ("*.", "http://", None, None, None),
    ],
)
def test_what_an_entry_blocks(lists, entry, url, standard, datatrove, dclm):
    for convention, expected in zip(CONVENTIONS, (standard, datatrove, dclm), strict=True):
        assert blocked(lists(convention, [entry]), url) == expected, convention


def test_the_rule_drops_what_is_blocklisted(lists):
    params = lists(blocklist=["bad.com"])
    assert kept("blocklisted", params, "http://bad.com/", "http://good.com/") == [False, True]


@pytest.mark.parametrize(
    ("url", "host", "registered"),
    [
        ("https://WWW.Example.CO.UK:443/x", "www.example.co.uk", "example.co.uk"),
        ("http://bücher.de", "xn--bcher-kva.de", "xn--bcher-kva.de"),
        ("http://127.0.0.1/", "127.0.0.1", None),
        ("http://localhost:8000/", "localhost", None),
        ("http://co.uk/", "co.uk", None),
        ("http://a.city.kawasaki.jp/", "a.city.kawasaki.jp", "city.kawasaki.jp"),
        ("http://e。com/", "e.com", "e.com"),
        ("mailto:me@example.org", "example.org", "example.org"),
        ("/a/path", None, None),
        ("", None, None),
        (None, None, None),
    ],
)
def test_host_and_registered_domain(url, host, registered):
    row = measure(UrlFilterParams(), url)[0]
    assert (row["host"], row["registered_domain"]) == (host, registered)


# --- curated sources ---


@pytest.mark.parametrize(
    ("url", "curated"),
    [
        ("https://arxiv.org/abs/2306.01116", True),
        ("https://math.stackexchange.com/q/1", True),
        ("https://en.wikipedia.org/wiki/Mill", True),
        ("https://de.wikipedia.org/wiki/Mühle", False),
        ("https://www.ncbi.nlm.nih.gov/pmc", True),
        ("https://nih.gov/", False),
        ("https://irclogs.ubuntu.com/", True),
        ("https://ubuntu.com/", False),
        ("https://notgithub.com/", False),
        ("HTTPS://WWW.GitHub.COM:443/x", True),
    ],
)
@pytest.mark.parametrize("convention", CONVENTIONS)
def test_curated_sources(url, curated, convention):
    params = UrlFilterParams(convention=convention)
    assert measure(params, url)[0]["curated"] is curated
    assert kept("curated", params, url) == [not curated]
    assert measure(UrlFilterParams(curated=None), url)[0]["curated"] is False


# --- rows ---


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_a_row_without_a_url_passes_every_rule(lists, convention):
    params = lists(convention, ["bad.com"], strict_words=["a"], hard_words=["a"], soft_words=["a"])
    for rule in RULES:
        assert kept(rule, params, None, "") == [True, True]


# --- formats of lists ---


def test_hosts_files_comments_and_endings(lists):
    entries = [
        "# plain.com",
        "  \t",
        "0.0.0.0 one.com two.com # three.com",
        "127.0.0.1\tfour.com\r",
        "::1 five.com",
        "six.com # seven.com",
        "seven-b.com eight.com",
        "#nine.com",
        "10.9.8.7",
        "last.com",
    ]
    params = lists(blocklist=entries)
    hit = ["one", "two", "four", "five", "six", "seven-b", "last"]
    miss = ["plain", "three", "seven", "eight", "nine"]
    rows = measure(params, *(f"http://{name}.com/" for name in (*hit, *miss)))
    assert [row["blocklisted"] for row in rows] == [True] * len(hit) + [False] * len(miss)
    assert measure(params, "http://10.9.8.7/", "http://0.0.0.0/", "http://127.0.0.1/") == [
        {**row, "blocklisted": row["host"] == "10.9.8.7"}
        for row in measure(params, "http://10.9.8.7/", "http://0.0.0.0/", "http://127.0.0.1/")
    ]


def write_ut1(folder):
    for category, domains, urls in (
        ("adult", ["a.com", "both.com"], ["shared.com/~a", "b.com:8080/x"]),
        ("gambling", ["g.com", "both.com"], []),
        ("press", ["p.com"], []),
    ):
        (folder / category).mkdir(parents=True)
        (folder / category / "domains").write_text("\n".join(domains) + "\n")
        (folder / category / "urls").write_bytes("\n".join(urls).encode("latin-1"))
        (folder / category / "usage").write_text("u.com\n")
    with (folder / "adult" / "domains").open("ab") as file:
        file.write(b"caf\xe9.com\n")


@pytest.mark.parametrize("packed", ["folder", "tar", "tar.gz"])
def test_ut1_folders(tmp_path, packed):
    folder = tmp_path / "ut1"
    write_ut1(folder)
    path = folder
    if packed != "folder":
        path = tmp_path / f"ut1.{packed}"
        with tarfile.open(path, "w:gz" if packed == "tar.gz" else "w") as tar:
            tar.add(folder, "blacklists")
    urls = ["a", "both", "g", "p", "u", "shared", "café"]
    urls = [f"http://www.{name}.com/~a/b" for name in urls] + ["http://b.com/x"]

    def categories(*chosen):
        more = {"categories": chosen} if chosen else {}
        params = UrlFilterParams(blocklists=(Resource(uri=str(path)),), **more)
        return [row["blocked"] for row in measure(params, *urls)]

    harmful = ["adult", "adult", "gambling", None, None, "adult", "adult", "adult"]
    assert categories() == harmful
    assert categories("gambling", "adult")[:3] == ["adult", "gambling", "gambling"]
    assert categories("press") == [None, None, None, "press", None, None, None, None]
    with pytest.raises(UsageError, match="adult, gambling, press"):
        categories("pres")


def test_a_tar_file_without_lists_is_refused(tmp_path):
    (tmp_path / "readme").write_text("x")
    with tarfile.open(tmp_path / "other.tar", "w") as tar:
        tar.add(tmp_path / "readme", "readme")
    params = UrlFilterParams(blocklists=(Resource(uri=str(tmp_path / "other.tar")),))
    with pytest.raises(UsageError, match="domains or urls"):
        measure(params, "http://a.com")


def test_a_bundle_of_all_lists(tmp_path):
    folder = tmp_path / "bundle"
    write_ut1(folder)
    (folder / "domains").write_text("own.com\n")
    (folder / "strict_words.txt").write_text("lue\n")
    (folder / "soft_words.txt").write_text("cam\nchat\n")
    params = UrlFilterParams(bundle=Resource(uri=str(folder)))
    urls = ["http://a.com", "http://own.com", "http://p.com", "http://gluecam.org/chat-cam"]
    rows = measure(params, *urls)
    assert [row["blocked"] for row in rows] == ["adult", "bundle", None, None]
    last = {name: rows[3][name] for name in ("strict_words", "hard_words", "soft_words")}
    assert last == {"strict_words": 1, "hard_words": 0, "soft_words": 2}


def test_a_bundle_of_words_only(tmp_path, lists):
    folder = tmp_path / "bundle"
    folder.mkdir()
    (folder / "hard_words.txt").write_text("casino\n")
    params = UrlFilterParams(bundle=Resource(uri=str(folder)))
    assert measure(params, "http://casino.org")[0]["hard_words"] == 1
    other = params.model_copy(update={"hard_words": lists(hard_words=["x"]).hard_words})
    assert measure(other, "http://casino.org")[0]["hard_words"] == 0


def test_gzipped_lists_and_their_names(tmp_path):
    first, second = tmp_path / "first.txt.gz", tmp_path / "second.hosts"
    first.write_bytes(gzip.compress(b"a.com\nb.com"))
    second.write_bytes(b"0.0.0.0 b.com\n0.0.0.0 c.com\n")
    words = tmp_path / "words.gz"
    words.write_bytes(gzip.compress(b"casino\n"))
    params = UrlFilterParams(
        blocklists=tuple(Resource(uri=str(p)) for p in (first, second)),
        hard_words=Resource(uri=str(words)),
    )
    rows = measure(params, "http://a.com", "http://b.com", "http://c.com", "http://casino.com")
    assert [row["blocked"] for row in rows] == ["first", "first", "second", None]
    assert [row["hard_words"] for row in rows] == [0, 0, 0, 1]


def test_lists_longer_than_a_block(tmp_path):
    """Lines that blocks cut in two are whole."""
    path = tmp_path / "long.txt"
    path.write_text("".join(f"a{'x' * (i % 50)}{i}.com\n" for i in range(200_000)))
    params = UrlFilterParams(blocklists=(Resource(uri=str(path)),))
    assert path.stat().st_size > 1 << 22
    urls = [f"http://a{'x' * (i % 50)}{i}.com/" for i in range(0, 200_000, 499)]
    assert all(row["blocklisted"] for row in measure(params, *urls))
    assert not any(row["blocklisted"] for row in measure(params, *(u[:-2] for u in urls)))


# --- against plain Python ---

hosts_ = st.lists(
    st.sampled_from(["a.", "www.", "WWW.", "b.com", "B.Com", "c.co.uk", "bü.de", "ß.de", ".", "。", "*",
                     "10.0.0.1", "[::1]", "[", "]", "%41", "_", " ", "xn--", "xn--bcher-kva.de"]),
    max_size=4,
).map("".join)  # fmt: skip
rests_ = st.lists(
    st.sampled_from(["/", "?", "#", "a", "A", "é", "Ü", "//", ":", "@", "&", "=", "."]), max_size=6
).map("".join)
urls_ = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(["http://", "HTTPS://", "//", "", "http:", "://", "a+b.c-1://"]),
    st.sampled_from(["", "", "u@", "u:p@", "@"]),
    hosts_,
    st.sampled_from(["", "", ":80", ":", ":x"]),
    rests_,
)


@settings(deadline=None)
@given(urls_ | st.text(max_size=20))
def test_hosts_are_split_as_tldextract_splits_them(url):
    assert split(url)[0] == lenient_netloc(url)


@settings(deadline=None)
@given(urls_ | st.text(max_size=20))
def test_canonical_hosts_stay(url):
    name = canonical(split(url)[0])
    assert canonical(name) == name


def test_entries_of_a_list_equal_the_reference(tmp_path):
    """Each entry's key, by the compiled loop, is what `entry_key` says in plain Python."""
    from services.extraction.urls.blocklists import blocklist_parser
    from services.extraction.urls.keys import hash_strings

    path, parse = tmp_path / "entries", blocklist_parser("standard", ())

    @settings(deadline=None, max_examples=300)
    @given(st.lists(urls_, min_size=1, max_size=8))
    def check(entries):
        words = [e for e in entries if e.split() == [e] and not e.startswith("#")]
        path.write_text("\n".join(words), newline="")
        found = parse(path)
        keys = {entry_key(word) for word in words} - {("", False)}
        for table, is_url in ((found.domains, False), (found.urls, True)):
            wanted = sorted(key for key, url in keys if url == is_url)
            assert len(table.first) == len(wanted)
            assert (table.find(hash_strings(wanted)) == 0).all()

    check()


word_pieces = st.sampled_from(
    [
        "a",
        "b",
        "ab",
        "ba",
        "A",
        "AB",
        "é",
        "É",
        "_",
        "-",
        ".",
        "/",
        " ",
        "%20",
        "1",
        "字",
        "“",
        "\x00",
    ]
)
texts_ = st.lists(word_pieces, max_size=12).map("".join)
words_ = st.sets(st.text("ab1", min_size=1, max_size=4), max_size=6)


def reference_words(url, words, convention):
    """(strict, whole) words found, as the conventions' codes say it."""
    if convention == "dclm":
        lower = url.lower()
        text = lower.replace("-", "").replace(".", "")
        whole = {w for w in words if re.search(rf"\b{re.escape(w)}\b", lower)}
    else:
        text = re.sub(r"[^a-zA-Z0-9]+", "", url).lower()
        whole = words & set(
            re.split(r"[^a-zA-Z0-9]+", url if convention == "datatrove" else url.lower())
        )
    return len([w for w in words if w in text]), len(whole)


@pytest.mark.parametrize("convention", CONVENTIONS)
def test_words_equal_the_reference(lists, convention):
    """Lists of a few words, drawn once; URLs drawn against them."""

    @settings(deadline=None, max_examples=60)
    @given(words_, st.lists(texts_, max_size=6))
    def check(words, urls):
        params = lists(convention, strict_words=words, hard_words=words, soft_words=words)
        forget()
        found = [
            (r["strict_words"], r["hard_words"], r["soft_words"]) for r in measure(params, *urls)
        ]
        expected = [reference_words(url, words, convention) for url in urls]
        assert found == [(strict, whole, whole) for strict, whole in expected]

    check()


def forget():
    """The files of these lists change while the process runs, which pinned resources never do."""
    from shared import resources

    resources._load.cache_clear()


def reference_dclm(url, domains, strict, hard, soft):
    """What DCLM's four filters decide, in its order."""
    if urlsplit(url).netloc.lower().replace("www", "") in domains:
        return "blocklisted"
    for rule, words in (("strict_words", strict), ("hard_words", hard), ("soft_words", soft)):
        counts = reference_words(url, words, "dclm")
        if counts[rule != "strict_words"] >= (2 if rule == "soft_words" else 1):
            return rule
    return None


def test_dclm_s_decisions_on_real_urls(lists, data_path):
    import json

    with (data_path / "warc" / "open" / "manifest.jsonl").open() as lines:
        urls = sorted({json.loads(line)["url"] for line in lines} - {None, ""})
    domains = {urlsplit(u).netloc.lower().replace("www", "") for u in urls[::7]}
    strict, hard, soft = {"log", "shop"}, {"news", "id"}, {"2012", "the", "html", "index", "com"}
    params = lists("dclm", domains, strict_words=strict, hard_words=hard, soft_words=soft)
    order = ["blocklisted", "strict_words", "hard_words", "soft_words"]
    ours = []
    for row in measure(params, *urls):
        dropped = [row["blocklisted"], row["strict_words"] > 0, row["hard_words"] > 0]
        dropped.append(row["soft_words"] > 1)
        ours.append(order[dropped.index(True)] if True in dropped else None)
    assert ours == [reference_dclm(u, domains, strict, hard, soft) for u in urls]
    assert set(ours) == {None, *order}
