"""With its convention every decision equals datatrove 0.10.1's URLFilter.

datatrove runs in its own environment (`.venv-bench`). By default every 100th URL of the large lists
is compared; CORPUSMILL_URL_STRIDE=1 compares all, and also with datatrove's own lists.
"""

import json
import os
import random
import subprocess
import tarfile
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.extraction.steps.url_filter_v1 import UrlFilterParams, url_filter
from shared.resources import Resource

BENCH = Path(__file__).resolve().parents[3] / ".venv-bench"
STRIDE = int(os.environ.get("CORPUSMILL_URL_STRIDE", "100"))

#: Prints a decision a URL: null where datatrove keeps it, else its reason, or the exception.
REFERENCE = """
import json, sys, tldextract
offline = tldextract.TLDExtract(cache_dir=None, suffix_list_urls=(), fallback_to_snapshot=True)
tldextract.TLDExtract = lambda: offline
from datatrove.data import Document
from datatrove.pipeline.filters import URLFilter
given = json.load(open(sys.argv[1]))
lists = {k: v and open(v).readlines() for k, v in given["lists"].items()}
url_filter = URLFilter(use_integrated_lists=given["integrated"], **lists)
def decide(url):
    try:
        result = url_filter.filter(Document(text="", id="", metadata={"url": url}))
    except Exception as error:
        return "error: " + repr(error)
    return None if result is True else result[1]
json.dump([decide(u) for u in given["urls"]], sys.stdout)
"""


def reference(tmp_path, urls, *, integrated=False, **lists):
    """The decisions of datatrove; `lists` are paths or None, by datatrove's names."""
    if not (BENCH / "bin" / "python").exists():
        pytest.skip("no reference environment .venv-bench with datatrove 0.10.1 (`make parity`)")
    given = {"urls": urls, "integrated": integrated, "lists": lists}
    (tmp_path / "given.json").write_text(json.dumps(given))
    done = subprocess.run(
        [BENCH / "bin" / "python", "-W", "ignore", "-c", REFERENCE, tmp_path / "given.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "HF_HOME": str(tmp_path / "hf"), "HF_HUB_OFFLINE": "1"},
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def decisions(urls, params):
    """Ours, by datatrove's names and in its order."""
    rows = url_filter(pa.table({"url": pa.array(urls, pa.string())}), params).to_pylist()
    return [decision(row) for row in rows]


def decision(row):
    if row["blocklisted"]:
        return {"domain": "domain", "host": "subdomain", "url": "url"}[row["blocked_part"]]
    if row["hard_words"] > 0:
        return "hard_blacklisted"
    if row["soft_words"] >= 2:
        return "soft_blacklisted"
    return "blacklisted_subword" if row["strict_words"] > 0 else None


def differences(urls, ours, theirs):
    assert len(urls) == len(ours) == len(theirs)
    return [(u, a, b) for u, a, b in zip(urls, ours, theirs, strict=True) if a != b]


def word_lists(data_path):
    assets = data_path / "lists" / "datatrove_assets"
    return {
        "strict_words": assets / "banned_subwords.txt",
        "hard_words": assets / "banned_words.txt",
        "soft_words": assets / "soft_banned_words.txt",
    }


def params_of(words, blocklists, **more):
    resources = {name: Resource(uri=str(path)) for name, path in words.items()}
    lists = tuple(Resource(uri=str(path)) for path in blocklists)
    return UrlFilterParams(convention="datatrove", blocklists=lists, **resources, **more)


def names_for_datatrove(words):
    return {
        "banned_subwords": str(words["strict_words"]),
        "banned_words": str(words["hard_words"]),
        "soft_banned_words": str(words["soft_words"]),
    }


def read_ut1(data_path, kind):
    """(category, entry) of the files named `kind`."""
    with tarfile.open(data_path / "lists" / "ut1.tar.gz") as tar:
        for member in tar:
            parts = member.name.split("/")
            if parts[-1] == kind and member.isfile():
                for line in tar.extractfile(member).read().decode("latin-1").split("\n"):
                    if line.strip():
                        yield parts[-2], line.strip()


def real_urls(data_path):
    """URLs of all open archives, of UT1, and made of the domains of UT1 and of lists/misc."""
    with (data_path / "warc" / "open" / "manifest.jsonl").open() as lines:
        urls = [json.loads(line)["url"] for line in lines]
    urls = [url for url in urls if url]
    many = []
    for _, entry in read_ut1(data_path, "urls"):
        many += [entry, f"http://{entry}", f"https://WWW.{entry}/?q=Free+Porn_video"]
    domains = [entry for _, entry in read_ut1(data_path, "domains")]
    for path in sorted((data_path / "lists" / "misc").glob("sinfonietta_*.txt")):
        domains += path.read_text().split()
    for domain in domains:
        many += [f"http://{domain}/", f"https://www.{domain}:8080/a-b.html", domain.title()]
    return urls + many[::STRIDE]


def write_lists(tmp_path, data_path, categories):
    """UT1's categories and the plain lists, as files that datatrove reads."""
    chosen = set(categories)
    domains = [e for c, e in read_ut1(data_path, "domains") if c in chosen]
    urls = [e for c, e in read_ut1(data_path, "urls") if c in chosen]
    for path in sorted((data_path / "lists" / "misc").glob("sinfonietta_*.txt")):
        domains += path.read_text().split()
    (tmp_path / "domains").write_text("\n".join(domains))
    (tmp_path / "urls").write_text("\n".join(urls))
    return {"extra_domains": str(tmp_path / "domains"), "extra_urls": str(tmp_path / "urls")}


def test_real_urls_and_lists(tmp_path, data_path):
    words = word_lists(data_path)
    plain = sorted((data_path / "lists" / "misc").glob("sinfonietta_*.txt"))
    params = params_of(words, [data_path / "lists" / "ut1.tar.gz", *plain])
    urls = real_urls(data_path)
    assert len(urls) > 10_000
    lists = write_lists(tmp_path, data_path, params.categories)
    theirs = reference(tmp_path, urls, **lists, **names_for_datatrove(words))
    ours = decisions(urls, params)
    assert differences(urls, ours, theirs) == []
    assert set(theirs) == {
        None, "domain", "subdomain", "url", "hard_blacklisted", "soft_blacklisted",
        "blacklisted_subword",
    }  # fmt: skip


MADE = ["a.example.com", "example.co.uk", "xn--bcher-kva.example", "10.0.0.1", "kobe.jp", "foo.ck"]
WORDS = {"strict_words": ["glued", "b4d"], "hard_words": ["casino", "hard"],
         "soft_words": ["cam", "chat", "date"]}  # fmt: skip

host_pieces = st.sampled_from(
    ["a.", "www.", "WWW.", "example.com", "Example.COM", "example.co.uk", "bücher.example", "foo.ck",
     "www.ck", "city.kobe.jp", "x.kobe.jp", "10.0.0.1", "[::1]", "[", "]", ".", "..", "。", "com", "",
     "localhost", "xn--bcher-kva.example", "xn--", "a_b.example.com", " ", "ß.de", "%65xample.com"]
)  # fmt: skip
path_pieces = st.sampled_from(
    ["/", "?", "#", "-", "_", ".", "+", "%20", "glu", "ed", "GLUED", "glu-ed", "casino", "Casino",
     "hard", "cam", "chat", "CHAT", "date", "é", "b4d", "//", "://", "@", ":", "a", "\x00", " ", "😀"]
)  # fmt: skip
made_urls = st.builds(
    "{}{}{}{}{}".format,
    st.sampled_from(
        ["http://", "HTTPS://", "//", "", "http:/", "ht tp://", "://", "mailto:", "a+b://"]
    ),
    st.sampled_from(["", "user@", "user:pw@", "@", "a@b@"]),
    st.lists(host_pieces, max_size=4).map("".join),
    st.sampled_from(["", ":80", ":", ":x"]),
    st.lists(path_pieces, max_size=8).map("".join),
)


def test_made_urls(tmp_path):
    """URLs of hypothesis, all at once, so that datatrove starts only once."""
    urls = set()

    @settings(max_examples=1500, deadline=None, database=None, derandomize=True)
    @given(made_urls | st.text(min_size=1, max_size=30))
    def collect(url):
        urls.add(url)

    collect()
    urls = sorted({*urls, "http://a.example.com/b", "http://b.a.example.com/"} - {""})
    listed = [
        *MADE,
        *random.Random(1).sample([u for u in urls if u.split() == [u] and u[0] != "#"], 300),
    ]
    words = {}
    for name, entries in WORDS.items():
        words[name] = tmp_path / f"{name}.txt"
        words[name].write_text("# a comment\n" + "\n".join(entries) + "\n")
    (tmp_path / "list").mkdir()
    for name in ("domains", "urls"):
        (tmp_path / "list" / name).write_text("\n".join(listed))
    given_lists = {
        "extra_domains": str(tmp_path / "list" / "domains"),
        "extra_urls": str(tmp_path / "list" / "urls"),
    }
    with tarfile.open(tmp_path / "list.tar", "w") as tar:
        tar.add(tmp_path / "list", "list")
    ours = decisions(urls, params_of(words, [tmp_path / "list.tar"], categories=("list",)))
    theirs = reference(tmp_path, urls, **given_lists, **names_for_datatrove(words))
    assert differences(urls, ours, theirs) == []
    assert len(set(theirs)) == 7


@pytest.mark.skipif(STRIDE > 1, reason="4.6 million entries; CORPUSMILL_URL_STRIDE=1 runs it")
def test_datatrove_s_own_lists(tmp_path, data_path):
    words = word_lists(data_path)
    assets = BENCH / "lib/python3.11/site-packages/datatrove/assets"
    own = assets / "url_filterblacklistsv0_3_0.tar.gz"
    if not own.exists():
        pytest.skip("no reference environment .venv-bench with datatrove 0.10.1 (`make parity`)")
    urls = real_urls(data_path)
    with tarfile.open(own) as tar:
        for name in ("domains", "urls"):
            entries = tar.extractfile(name).read().decode().split()[::50]
            urls += [f"http://{e}" for e in entries] + entries
    ours = decisions(urls, params_of(words, [own]))
    theirs = reference(tmp_path, urls, integrated=True)
    assert differences(urls, ours, theirs) == []


def test_the_lists_are_those_of_the_reference(data_path):
    """What the other tests give to both is what datatrove ships."""
    for path in word_lists(data_path).values():
        shipped = BENCH / "lib/python3.11/site-packages/datatrove/assets" / path.name
        if not shipped.exists():
            pytest.skip(
                "no reference environment .venv-bench with datatrove 0.10.1 (`make parity`)"
            )
        assert shipped.read_bytes() == path.read_bytes()
