"""What sources may be read from: spellings, prefixes, the own store, addresses."""

import os
import socket

import pytest

from shared import sources
from shared.errors import UsageError
from shared.settings import Settings
from shared.sources import check_source, is_loopback, is_public, normalise, public_addresses
from shared.store import Store, open_folder, open_source

OUTSIDE = {"host": "0.0.0.0"}
OWN = "s3://mill/data"


def allowed(uri: str, store: str = OWN, **conf: object) -> bool:
    try:
        check_source(uri, store, Settings(**conf))  # type: ignore[arg-type]
    except UsageError:
        return False
    return True


@pytest.mark.parametrize(
    ("uri", "text"),
    [
        ("/a/b.warc.gz", "/a/b.warc.gz"),
        ("file:///a/b.warc.gz", "/a/b.warc.gz"),
        ("/a//b", "/a/b"),
        ("/a/", "/a/"),
        ("s3://bucket/x/y%20z.gz", "s3://bucket/x/y%20z.gz"),
        ("S3://bucket/x/", "s3://bucket/x/"),
        ("s3a://bucket/x", "s3://bucket/x"),
        ("HTTPS://Data.Example.:443/a/b", "https://data.example:443/a/b"),
        ("http://data.example/a", "http://data.example:80/a"),
        ("store:uploads/0a/x.gz", "store:uploads/0a/x.gz"),
    ],
)
def test_a_place_has_one_spelling(uri, text):
    assert normalise(uri).text == text


CLIMBING = ["..", ".", "%2e%2e", "%2E.", "%252e%252e", "..%2f..", "a%2f..%2fb", "%5c", "a\\b"]
CONTROLS = ["a\x00b", "a%00b", "a\nb", "a%0ab"]


@pytest.mark.parametrize("part", [*CLIMBING, *CONTROLS, "%" + "25" * 8 + "2e"])
@pytest.mark.parametrize("base", ["store:uploads/", "s3://b/", "https://h/", "/a/", "file:///a/"])
def test_nothing_climbs_however_it_is_encoded(base, part):
    for uri in (f"{base}{part}/access/tokens/x.json", f"{base}x/{part}"):
        with pytest.raises(UsageError):
            normalise(uri)


@pytest.mark.parametrize(
    "uri",
    [
        "relative/path",
        "",
        "file://host/a",
        "ftp://h/a",
        "memory:///a",
        "data:text/plain,x",
        "s3:///key",
        "s3://a b/key",
        "s3://b@evil/key",
        "s3://b//key",
        "https://user:secret@h/a",
        "https://h/a?x=1",
        "https://h/a#b",
        "https://h:99999/a",
        "https:///a",
        "https://[::1/a",
        "https://h\\@evil/a",
        "\udcff/x",
    ],
)
def test_what_is_no_source(uri):
    with pytest.raises(UsageError):
        normalise(uri)


def test_a_gateway_for_others_reads_objects_and_no_disks():
    for uri in ("store:uploads/a/b.gz", "s3://crawls/a", "gs://crawls/a", "az://crawls/a"):
        assert allowed(uri, **OUTSIDE)
    for uri in ("/etc/passwd", "file:///etc/passwd", "https://example.com/a", "http://a/b"):
        assert not allowed(uri, **OUTSIDE)
        assert allowed(uri)  # on loopback


def test_prefixes_end_at_borders():
    conf = {"source_prefixes": "s3://crawls/2024,https://data.example/cc/,/data/crawls"}
    for uri in (
        "s3://crawls/2024/a.gz",
        "https://data.example/cc/a",
        "https://DATA.example:443/cc/a",
        "/data/crawls/a",
        "/data/crawls/",
    ):
        assert allowed(uri, **conf), uri
    for uri in (
        "s3://crawls/2024-secret/a.gz",
        "s3://crawls/20245",
        "s3://crawls/a.gz",
        "s3://crawls-evil/2024/a",
        "gs://crawls/2024/a.gz",
        "https://data.example/cc-evil",
        "https://data.example.evil/cc/a",
        "http://data.example/cc/a",
        "https://data.example:444/cc/a",
        "/data/crawls-evil/a",
        "/data/crawls/../a",
        "store:uploads/a/b",
    ):
        assert not allowed(uri, **conf), uri
    assert allowed("s3://any/a", source_prefixes="s3://")
    assert not allowed("gs://any/a", source_prefixes="s3://")
    assert allowed("store:uploads/a/b", source_prefixes="store:")
    assert not allowed("s3://crawls-evil/a", source_prefixes="s3://crawls")


def test_links_do_not_lead_out_of_a_prefix(tmp_path):
    (tmp_path / "crawls").mkdir()
    (tmp_path / "secret").write_text("x")
    (tmp_path / "crawls" / "link").symlink_to(tmp_path / "secret")
    conf = {"source_prefixes": f"{tmp_path}/crawls"}
    assert allowed(f"{tmp_path}/crawls/a", **conf)
    assert not allowed(f"{tmp_path}/crawls/link", **conf)


@pytest.mark.parametrize("prefixes", ["", "s3://,/,store:"])
def test_of_the_own_store_only_uploads_are_read(tmp_path, prefixes):
    conf = {"source_prefixes": prefixes}
    own = tmp_path / "store"
    own.mkdir()
    (tmp_path / "link").symlink_to(own)
    for begin, store in (
        ("store:", str(own)),
        (f"{own}/", str(own)),
        (f"file://{own}/", f"file://{own}"),
        (f"{tmp_path}/link/", str(own)),
        (f"{own}/", os.path.relpath(own)),
        ("s3://mill/data/", OWN),
        ("s3a://mill/data/", OWN),
    ):
        assert allowed(begin + "uploads/a/b.gz", store, **conf), begin
        for key in ("access/tokens/x.json", "batches/b/batch.json", "uploads", "uploads/", ""):
            assert not allowed(begin + key, store, **conf), begin + key
    assert allowed("s3://mill/data-2/x", OWN, **conf)
    assert not allowed("s3://mill/anything", "s3://mill", **conf)


def test_a_source_that_is_not_there_makes_no_folder(tmp_path):
    store = Store(str(tmp_path / "store"))
    with pytest.raises(UsageError):
        open_source(store, f"{tmp_path}/new/folder/a.warc.gz")
    with pytest.raises(UsageError):
        open_folder(store, f"{tmp_path}/new/folder/")
    assert not (tmp_path / "new").exists()


def test_folders_are_listed_under_the_names_by_which_they_are_read(tmp_path):
    store = Store(str(tmp_path / "store"))
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "x.gz").write_text("x")
    store.put("uploads/0/y.gz", b"y")
    for uri in (f"{tmp_path}/a/", f"file://{tmp_path}/a/", "store:uploads/0/"):
        where, prefix, begin = open_folder(store, uri)
        for entry in where.list(prefix):
            again, key = open_source(store, begin + entry.key)
            assert again.get(key) == entry.key[-4:-3].encode()


PRIVATE = [
    "127.0.0.1", "127.9.9.9", "0.0.0.0", "10.0.0.1", "172.16.0.1", "192.168.1.1", "169.254.169.254",
    "100.64.0.1", "100.100.100.200", "192.0.0.192", "168.63.129.16", "224.0.0.1", "255.255.255.255",
    "240.0.0.1", "198.18.0.1", "::1", "::", "fe80::1", "fe80::1%eth0", "fc00::1", "fd00:ec2::254",
    "ff02::1", "::ffff:127.0.0.1", "::ffff:8.8.8.8", "::127.0.0.1", "2002:7f00:1::",
    "64:ff9b::7f00:1", "64:ff9b::a9fe:a9fe", "2001:db8::1", "2001:0:4136:e378:8000:63bf:3fff:fdd2",
]  # fmt: skip


@pytest.mark.parametrize("address", PRIVATE)
def test_addresses_that_are_not_public(address):
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "1.1.1.1", "2606:4700::1111", "64:ff9b::808:808"])
def test_addresses_that_are_public(address):
    assert is_public(address)


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "2130706433", "0x7f000001", "0177.0.0.1", "127.1"]
)
def test_a_hosts_addresses_are_looked_at_and_not_its_spelling(host):
    with pytest.raises(UsageError):
        public_addresses(host, 80)


def test_one_private_address_among_public_ones_is_enough(monkeypatch):
    def both(host, port, **_):
        kind = socket.SOCK_STREAM
        return [(socket.AF_INET, kind, 6, "", (a, port)) for a in ("8.8.8.8", "10.0.0.1")]

    monkeypatch.setattr(sources.socket, "getaddrinfo", both)
    with pytest.raises(UsageError, match=r"10\.0\.0\.1, which is not public"):
        public_addresses("both.example", 443)


@pytest.mark.parametrize("host", ["localhost", "LOCALHOST.", "127.3.2.1", "::1", "[::1]"])
def test_this_machine(host):
    assert is_loopback(host)


@pytest.mark.parametrize(
    "host", ["", "0.0.0.0", "::", "localhost.evil", "127.0.0.1.evil", "10.0.0.1"]
)
def test_not_this_machine_alone(host):
    assert not is_loopback(host)
