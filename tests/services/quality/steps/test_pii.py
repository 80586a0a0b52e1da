"""Addresses of persons: datatrove's formatter in plain Python, hand-made and hostile texts."""

import gzip
import ipaddress
import json
import re
import time

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.quality.steps.pii import COLUMNS, PiiParams, pii
from shared.rules import KeepRule
from shared.schema import arrow_schema, conform
from shared.text import characters
from shared.text.edits import apply_edits

DEFAULT = PiiParams()
EMAILS, IPS = DEFAULT.emails, DEFAULT.ips


def run(*texts, params=DEFAULT):
    """The step's table, and what becomes of the texts."""
    column = pa.chunked_array([texts], pa.large_string())
    table = pii(pa.table({"text": column}), params)
    return table, apply_edits(column, table["edits"]).to_pylist()


def after(text, **params):
    return run(text, params=PiiParams(**params))[1][0]


# --- datatrove 0.10.1, pipeline/formatters/pii.py: its two expressions; a document at a time ---

OCTET = "(?:25[0-5]|2[0-4][0-9]|[01]?[0-9][0-9]?)"
ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
EMAIL = re.compile(
    rf"\b{ATOM}(?:\.{ATOM})*@(?:(?:{LABEL}\.)+{LABEL}"
    rf"|\[(?:{OCTET}\.){{3}}(?:{OCTET}|[A-Za-z0-9-]*[A-Za-z0-9]:)])"
)
IP = re.compile(rf"(?:{OCTET}\.){{3}}{OCTET}")
#: Python 3.11.7 calls most of these global; IANA's registry, and Pythons since, do not.
CHANGED = ipaddress.ip_network("192.0.0.0/24")


def is_public(text):
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    if address in CHANGED:
        return str(address) in ("192.0.0.9", "192.0.0.10")
    return address.is_global


def in_turn(pattern, replacements, text, accepted):
    count = 0

    def replace(match):
        nonlocal count
        if not accepted(match[0]):
            return match[0]
        count += 1
        return replacements[(count - 1) % len(replacements)]

    return pattern.sub(replace, text), count


def by_datatrove(text):
    text, emails = in_turn(EMAIL, EMAILS, text, lambda _: True)
    text, ips = in_turn(IP, IPS, text, is_public)
    return text, emails, ips


pieces = st.sampled_from(
    ["a", "b-c", "_", "é", "字", "\u0301", "²", "!", "'", "-", "@", "@", ".", ".", ".", "..", "[", "]", ":", "]", " ", "\n",
     "x@y.z", "0", "1", "25", "255", "256", "8.8.8.8", "10.0.0.1", "1.2.3.", "@[1.2.3.4]", "@[1.2.3.a-b:]", "a.b", "com"]
)  # fmt: skip
texts_ = st.lists(pieces, max_size=14).map("".join) | st.text("a0.@-[]1!é ", max_size=20)


@settings(deadline=None, max_examples=400)
@given(st.lists(texts_, max_size=4))
@example(["a@b.c-.d", "a@b.-c", "a@b.c.", "a@b..c", "a@b", "é!a@b.c", "!a@b.c", "a.@b.c", ".a@b.c"])
@example(["a@[1.2.3.4]x", "a@[1.2.3.04]", "a@[1.2.3.-b:]", "a@[1.2.3.:]", "a@[1.2.3.256]", "a@["])
@example(["1.2.3.4.5.6.7.8", "1234.5.6.7", "1.2.3.256", "299.1.1.1", "01.2.3.4", "1.2.3.4567"])
@example(["a@b.c@d.e", "1.2.3.4@b.c", "a@1.2.3.4", "a@b.c1.2.3.4", "1.2.3.a@b.c.4.5.6"])
def test_equals_datatrove(texts):
    table, found = run(*texts)
    expected = [by_datatrove(text) for text in texts]
    assert found == [text for text, _, _ in expected]
    assert table["emails"].to_pylist() == [emails for _, emails, _ in expected]
    assert table["ips"].to_pylist() == [ips for _, _, ips in expected]


def test_real_texts_equal_datatrove(data_path):
    with gzip.open(data_path / "text" / "train_small_en.jsonl.gz", "rt") as lines:
        texts = [json.loads(line)["text"] for line in lines]
    texts = texts[::3]
    texts += [f"{text}\nWrite to jo.do@a-b.org or 8.8.4.4." for text in texts[::9]]
    table, found = run(*texts)
    assert found == [by_datatrove(text)[0] for text in texts]
    assert sum(table["emails"].to_pylist()) > 90


def test_every_network_is_the_registrys():
    """The first and last address of each /16, and of the networks that are smaller."""
    edges = [f"{a}.{b}.0.0" for a in range(256) for b in range(256)]
    edges += [f"{a}.{b}.255.255" for a in range(256) for b in range(256)]
    for network in ("192.0.0", "192.0.2", "198.51.100", "203.0.113", "192.0.1", "203.0.114"):
        edges += [f"{network}.{d}" for d in range(256)]
    table, _ = run(*edges)
    expected = [int(is_public(address)) for address in edges]
    assert table["ips"].to_pylist() == expected
    assert run(*edges, params=PiiParams(public_only=False))[0]["ips"].to_pylist() == [1] * len(
        edges
    )


def test_words_edges_are_pythons():
    """`\\w` before an address: the classes of characters say the same as `re`."""
    flags = characters.flags()
    word = characters.LETTER | characters.NUMBER
    for code in range(0x80, characters.END):
        assert (flags[code] & word > 0) == (re.match(r"\w", chr(code)) is not None), hex(code)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Mail a@b.org, c@d.org, e@f.org.", f"Mail {EMAILS[0]}, {EMAILS[1]}, {EMAILS[0]}."),
        ("To: first.last+tag@mail.example.co.uk!", f"To: {EMAILS[0]}!"),
        ("no@host, @handle, a@, user @ example.org", None),
        ("8.8.8.8 and 1.1.1.1", f"{IPS[0]} and {IPS[1]}"),
        ("192.168.0.1, 127.0.0.1, 10.1.2.3", None),
        ("v1.2.3 of 2024.05.01", None),
        ("admin@8.8.8.8 from 8.8.8.8", f"{EMAILS[0]} from {IPS[0]}"),
    ],
)
def test_by_hand(text, expected):
    assert after(text) == (text if expected is None else expected)


def test_each_document_begins_anew():
    assert run("a@b.org", "a@b.org")[1] == [EMAILS[0]] * 2
    assert run("9.9.9.9 " * 8)[1] == [" ".join([*IPS, *IPS[:2]]) + " "]


def test_replacements_are_parameters():
    text = "a@b.org 8.8.8.8 192.168.0.1"
    assert after(text, emails=("<mail>",), ips=()) == "<mail> 8.8.8.8 192.168.0.1"
    assert after(text, emails=(), ips=("",)) == "a@b.org  192.168.0.1"
    assert after(text, emails=(), ips=("x",), public_only=False) == "a@b.org x x"
    table, _ = run(text, params=PiiParams(emails=(), ips=()))
    assert (table["emails"].to_pylist(), table["ips"].to_pylist()) == ([0], [0])
    with pytest.raises(ValidationError):
        PiiParams(phones=("x",))


@pytest.mark.parametrize(("count", "kept"), [(5, True), (6, False)])
def test_a_recipe_may_drop_pages_with_many(count, kept):
    """Dolma drops pages with more than five (specs 15.12)."""
    table, _ = run("a@b.org " * count)
    assert KeepRule("few", "emails <= 5").holds({"emails": table["emails"]}).to_pylist() == [kept]


@pytest.mark.parametrize("text", ["a." * 200_000, "a!" * 200_000 + "@", "1." * 200_000, "a@" * 200_000, "-@a-." * 90_000])  # fmt: skip
def test_time_is_that_of_one_pass(text):
    """Where backtracking takes the square: minutes."""
    run("warm up")
    began = time.process_time()
    run(text)
    assert time.process_time() - began < 1


@settings(deadline=None)
@given(st.lists(st.none() | texts_, max_size=5), st.integers(0, 5))
def test_rows_are_independent(texts, cut):
    whole = run(*texts)[0].to_pylist()
    assert whole == run(*texts[:cut])[0].to_pylist() + run(*texts[cut:])[0].to_pylist()


def test_nulls_and_schema():
    for texts in ([], ["a@b.c"], [None], [None, "8.8.8.8", ""]):
        rows = pa.table({"text": pa.array(texts, pa.string())})
        found = conform(pii(rows, DEFAULT), arrow_schema(COLUMNS), len(texts), "step").to_pylist()
        assert [row["emails"] is None for row in found] == [text is None for text in texts]
