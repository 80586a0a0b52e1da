"""Pages of a real gateway: every state renders, everything hostile stays text, nothing is inline."""

import hashlib
import json
import re
import time
from html.parser import HTMLParser
from pathlib import Path

import httpx
import pytest

from services.gateway.ui.render import STATIC
from shared.errors import PermanentError
from shared.failures import mark_failed
from shared.plan import runnable
from shared.progress import Funnel
from shared.run import run_task
from shared.stages import compile_batch
from shared.testing import html_page, prose, warc_gz, warc_record
from tests.services.gateway.conftest import RECIPE

HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>"
#: An address has no spaces: readers of archives write them otherwise.
HOSTILE_URL = "http://x.example/" + HOSTILE.replace(" ", "/") + "?"
EVENT = re.compile(r"^on[a-z]+$")
#: Elements that have no end.
VOID = {"meta", "link", "input", "img", "br", "hr"}


class Page(HTMLParser):
    """What a page is made of; fails where an element is not closed."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags, self.ids, self.links, self.scripts, self.data = [], [], [], [], {}
        self.text, self.open = "", []
        self.feed(text)
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        named = dict(attrs)
        self.tags.append((tag, named))
        if tag not in VOID:
            self.open.append((tag, named))
        if "id" in named:
            self.ids.append(named["id"])
        if tag == "a":
            self.links.append(named["href"])
        if tag == "script":
            self.scripts.append(named)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop()[0] == tag

    def handle_data(self, data):
        if self.open and self.open[-1][0] == "script":
            self.data[self.open[-1][1]["id"]] = json.loads(data)
        else:
            self.text += data


def check(text: str) -> Page:
    """Nothing inline, nothing from outside, no id twice, words in one language or marked."""
    page = Page(text)
    for tag, attrs in page.tags:
        assert "style" not in attrs
        assert tag != "style"
        assert not [a for a in attrs if EVENT.match(a)]
        for name in ("src", "href", "action", "hx-get"):
            value = attrs.get(name)
            assert value is None or value.startswith(("/", "#")), (name, value)
            assert value is None or not value.startswith("//")
        assert "hx-on" not in " ".join(attrs)
    for script in page.scripts:
        assert script.get("src", "").startswith("/ui/static/") or (
            script.get("type") == "application/json"
        )
    assert len(page.ids) == len(set(page.ids))
    return page


@pytest.fixture(scope="module")
def web(gateway):
    with httpx.Client(base_url=gateway.client.url, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def look(web):
    def get(path: str, status: int = 200, **parameters) -> Page:
        answer = web.get(path, params=parameters or None)
        assert answer.status_code == status, answer.text
        assert answer.headers["content-type"].startswith("text/html")
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        return check(answer.text)

    return get


@pytest.fixture(scope="module")
def hostile(gateway, tmp_path_factory):
    """A finished batch whose titles, texts, addresses and labels are HTML, and its documents."""
    paragraphs = [HOSTILE.replace("<", "&lt;"), *prose(1, 30)]
    records = [
        warc_record(HOSTILE_URL, html_page("T", paragraphs), n=1),
        warc_record("javascript:alert(3)", html_page("T", [HOSTILE.replace("<", "&lt;")]), n=2),
        warc_record("http://rtl.example/\u05d0\u202e", html_page("T", ["Kurz und deutsch."]), n=3),
    ]
    path = tmp_path_factory.mktemp("hostile") / 'a"b&c.warc.gz'
    path.write_bytes(warc_gz(records))
    told = {"labels": {HOSTILE: HOSTILE}, "submitter": HOSTILE}
    recipe = {**RECIPE, "source": HOSTILE, "description": HOSTILE}
    return gateway.run([path], recipe, **told)


@pytest.fixture(scope="module")
def running(gateway, pages):
    """A batch of which two shards have passed the first stage."""
    body = {"sources": [str(p) for p in pages], "recipe": {**RECIPE, "name": "slow"}}
    body["recipe"] = {**body["recipe"], "steps": [*RECIPE["steps"], {"extraction.format_v1": {}}]}
    found = gateway.client.post("/v1/batches", {**body, "shard_bytes": 30_000})
    pipeline = compile_batch(gateway.read(found["id"]))
    for ref in list(runnable(pipeline, Funnel(pipeline).committed(), set()))[:2]:
        run_task(gateway.store, pipeline, ref)
    return found["id"], pipeline


def test_the_overview_lists_queues_and_batches(look, batch, running):
    page = look("/ui/")
    assert "Queues" in page.text
    for service in ("extraction", "langid", "quality", "dedup", "export", "training"):
        assert service in page.text
    assert f"/ui/batches/{batch['id']}" in page.links
    assert page.links.index(f"/ui/batches/{running[0]}") < page.links.index(
        f"/ui/batches/{batch['id']}"
    )
    assert look("/ui/", before="0").text.count("No batches older") == 1


def test_a_finished_batch_stops_polling_and_tells_the_apis_numbers(look, web, batch):
    page = look(f"/ui/batches/{batch['id']}")
    assert any("data-ended" in attrs for _, attrs in page.tags)
    told = batch["funnel"]
    accounts = f"{told['documents']:,} documents = {told['kept']:,} kept + {told['dropped']:,}"
    assert accounts in page.text
    for stage in told["stages"]:
        for rule in stage.get("rules", []):
            assert f"/ui/batches/{batch['id']}/rules/{rule['rule']}" in page.links
    nodes = page.data["funnel"]["series"][0]["data"]
    assert nodes[0]["value"] == told["documents"]
    fragment = web.get(f"/ui/batches/{batch['id']}/live").text
    assert fragment in web.get(f"/ui/batches/{batch['id']}").text


def test_a_running_batch_polls_and_can_be_cancelled(look, web, running):
    batch, _ = running
    page = look(f"/ui/batches/{batch}")
    assert not any("data-ended" in attrs for _, attrs in page.tags)
    assert "running" in page.text
    assert "waiting for" in str(page.data["funnel"])
    assert ("form", {"method": "post", "action": f"/ui/batches/{batch}/cancel"}) in page.tags


def test_a_failed_task_is_told_with_its_trace(look, web, gateway, running):
    batch, pipeline = running
    done = Funnel.read(gateway.store, pipeline).committed()
    for ref in runnable(pipeline, done, set()):
        try:
            raise PermanentError(f"damaged {HOSTILE}")
        except PermanentError as error:
            mark_failed(gateway.store, ref, error, 5)
    deadline = time.monotonic() + 20
    while gateway.client.get(f"/v1/batches/{batch}")["state"] != "failed":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)  # what pages show may be so old
    page = look(f"/ui/batches/{batch}")
    assert f"PermanentError: damaged {HOSTILE}" in page.text
    assert "Traceback" in page.text
    assert ("form", {"method": "post", "action": f"/ui/batches/{batch}/retry"}) in page.tags
    answer = web.post(f"/ui/batches/{batch}/retry")
    assert answer.status_code == 303
    assert gateway.client.get(f"/v1/batches/{batch}")["state"] == "running"
    assert web.post(f"/ui/batches/{batch}/cancel").status_code == 303


def test_hostile_text_stays_text(look, hostile):
    batch = hostile["id"]
    page = look(f"/ui/batches/{batch}")
    assert page.text.count(HOSTILE) >= 3  # submitter, label's name and value
    listing = look(f"/ui/batches/{batch}/documents")
    assert HOSTILE_URL in listing.text
    links = [link for link in listing.links if "/documents/" in link]
    assert len(links) == 3
    for link in links:
        page = look(link)
    shown = look(links[0])
    assert HOSTILE_URL in shown.text
    assert any(tag == "bdi" for tag, _ in shown.tags)
    texts = [a for t, a in shown.tags if t == "div" and a.get("class") == "text"]
    assert texts
    assert texts[0]["dir"] == "auto"
    assert texts[0]["lang"] == "en"
    assert HOSTILE in shown.text.split("Text", 1)[1]


@pytest.mark.parametrize("rule", ["gopher_quality_v1.words_min", "fasttext_v1.language"])
def test_a_rules_page_has_its_histogram_and_documents(look, batch, rule):
    page = look(f"/ui/batches/{batch['id']}/rules/{rule}")
    line = page.data["histogram"]["series"][0].get("markLine")
    assert (line is not None) == (rule == "gopher_quality_v1.words_min")
    assert [link for link in page.links if "/documents/" in link]
    assert ("Let pass by the least" in page.text) == (rule == "gopher_quality_v1.words_min")


def test_documents_are_filtered_and_paged(look, gateway, batch):
    base = f"/ui/batches/{batch['id']}/documents"
    page = look(
        base, verdict="dropped", rule="gopher_quality_v1.words_min", url="site-1.", language="en"
    )
    shown = [link for link in page.links if link.startswith(f"{base}/")]
    told = gateway.client.get(
        f"/v1/batches/{batch['id']}/documents",
        verdict="dropped",
        rule="gopher_quality_v1.words_min",
        url="site-1.",
        language="en",
    )["items"]
    assert len(shown) == len(told) > 0
    seen, following = [], base
    while following:
        page = look(following)
        seen += [link for link in page.links if link.startswith(f"{base}/")]
        following = next((link for link in page.links if "cursor=" in link), None)
    assert len(seen) == len(set(seen)) == batch["funnel"]["documents"]
    assert "pass these filters" in look(base, url="nowhere").text


def test_problems_are_pages(look, batch):
    for path, status, words in [
        ("/ui/nothing/here", 404, "there is no page"),
        ("/ui/batches/none", 404, "no batch none"),
        (f"/ui/batches/{batch['id']}/rules/none", 404, "has no rule"),
        (f"/ui/batches/{batch['id']}/documents/none:1", 404, "has no document"),
        (f"/ui/batches/{batch['id']}/documents?rule=none", 422, "no rule 'none'"),
        (f"/ui/batches/{batch['id']}/documents?cursor=x", 422, "none of ours"),
        ("/ui/runs/none", 404, "no run"),
        ("/ui/datasets/none", 404, "no dataset"),
        ("/ui/recipes/none", 404, "no recipe"),
    ]:
        page = look(path, status)
        assert words in page.text
        assert str(status) in page.text


def test_a_conflict_is_a_page_and_a_fragments_problem_a_document(web, batch):
    answer = web.post(f"/ui/batches/{batch['id']}/cancel")
    assert answer.status_code == 409
    assert "has already ended" in check(answer.text).text
    answer = web.get("/ui/batches/none/live", headers={"HX-Request": "true"})
    assert answer.status_code == 404
    assert answer.json()["title"] == "Not found"


def test_forms_of_other_sites_are_refused(web, batch):
    for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
        answer = web.post(f"/ui/batches/{batch['id']}/cancel", headers=headers)
        assert answer.status_code == 403


@pytest.mark.parametrize(
    "path", ["/ui/datasets", "/ui/runs", "/ui/recipes", "/ui/submit", "/ui/login"]
)
def test_other_pages_render(look, path):
    look(path)


def test_every_recipe_has_a_page_and_a_fragment(look, web):
    links = [link for link in look("/ui/recipes").links if link.startswith("/ui/recipes/")]
    assert len(links) > 5
    for link in links:
        assert "steps:" in look(link).text
    check(web.get("/ui/fragments/recipe", params={"recipe": "gopher"}).text)


@pytest.mark.parametrize(
    ("fields", "at", "words"),
    [
        ({"sources": ""}, "sources", "at least 1"),
        ({"sources": f"/no/such/{HOSTILE}"}, "sources", "there is no /no/such"),
        ({"recipe": "none"}, "recipe", "no recipe 'none'"),
        ({"shard_bytes": "many"}, "shard_bytes", "valid integer"),
        ({"shard_bytes": "7"}, "shard_bytes", "greater than or equal to 1024"),
        ({"labels": "team"}, "labels", "is not name=value"),
        ({"own_recipe": "a: ["}, "own_recipe", "is not YAML"),
        ({"own_recipe": "extends: none"}, "own_recipe", "no recipe 'none' to extend"),
        ({"own_recipe": "name: x\nsteps: [{a.b_v1: {}}]"}, "own_recipe", "b_v1"),
    ],
)
def test_faults_of_a_form_are_told_at_their_field_and_nothing_is_lost(
    web, pages, fields, at, words
):
    sent = {"sources": f"{pages[0]}\n", "recipe": "gopher", "submitter": HOSTILE, "labels": "a=b"}
    answer = web.post("/ui/submit", data={**sent, **fields})
    assert answer.status_code in (404, 422)
    page = check(answer.text)
    (marked,) = [a for _, a in page.tags if a.get("aria-invalid")]
    assert marked["id"] == at
    assert words in page.text
    values = {a.get("name"): a.get("value") for t, a in page.tags if t == "input"}
    assert values["submitter"] == HOSTILE
    for name in ("sources", "own_recipe", "labels"):
        assert {**sent, **fields}.get(name, "").strip() in page.text


def test_a_form_sent_twice_makes_one_batch(web, pages, gateway):
    own = json.dumps({"name": "twice", "steps": ["extraction.records_v1"]})
    sent = {"sources": str(pages[0]), "own_recipe": own, "key": "k1", "labels": "team = web"}
    first, second = (web.post("/ui/submit", data=sent) for _ in range(2))
    assert first.status_code == second.status_code == 303
    assert first.headers["location"] == second.headers["location"]
    batch = first.headers["location"].rpartition("/")[2]
    assert gateway.client.get(f"/v1/batches/{batch}")["labels"] == {"team": "web"}
    web.post(f"/ui/batches/{batch}/cancel")


def test_static_files_may_be_kept_and_nothing_else_is_served(web):
    address = re.search(r"/ui/static/app\.css\?v=\w+", web.get("/ui/").text)[0]
    answer = web.get(address)
    assert "immutable" in answer.headers["cache-control"]
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text == (STATIC / "app.css").read_text()
    assert web.get("/ui/static/../render.py").status_code == 404
    assert web.get("/ui/static/%2e%2e/render.py").status_code == 404


def test_vendored_files_are_as_they_came():
    folder = STATIC / "vendor"
    lines = [li for li in (folder / "VENDOR").read_text().splitlines() if not li.startswith("#")]
    named = {line.split()[1]: line.split()[0] for line in lines}
    assert set(named) == {p.name for p in folder.iterdir()} - {"VENDOR"}
    for name, digest in named.items():
        assert hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest


def test_styles_and_scripts_name_nothing_outside():
    for path in [*STATIC.glob("*.js"), *STATIC.glob("*.css")]:
        text = Path(path).read_text()
        assert "http:" not in text
        assert "https:" not in text
        assert "eval(" not in text
        assert "innerHTML" not in text


def luminance(colour: str) -> float:
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    red, green, blue = (c / 12.92 if c <= 0.03928 else ((c + 0.055) / 1.055) ** 2.4 for c in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


@pytest.mark.parametrize("theme", [0, 1])
def test_contrast_is_aa_in_both_themes(theme):
    css = (STATIC / "app.css").read_text()
    found = re.findall(r"--([\w-]+): light-dark\((#\w{6}), (#\w{6})\)", css)
    colours = {name: pair[theme] for name, *pair in found}
    pairs = [
        *(
            (text, back)
            for text in ("text", "muted", "accent")
            for back in ("page", "raised", "sunken")
        ),
        *(
            (f"{verdict}-text", back)
            for verdict in ("kept", "dropped", "failed")
            for back in (f"{verdict}-back", "raised", "page", "sunken")
        ),
        ("on-accent", "accent"),
        ("accent", "accent-back"),
    ]
    for text, back in pairs:
        high, low = sorted((luminance(colours[text]), luminance(colours[back])), reverse=True)
        assert (high + 0.05) / (low + 0.05) >= 4.5, (text, back)
