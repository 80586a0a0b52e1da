"""The dashboard in a real browser, over a real cluster."""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from urllib.parse import urlsplit

import pytest

from tests.cluster.support import finish, wait_for
from tests.tools import program

playwright = pytest.importorskip("playwright.sync_api")

FLAGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
]
PATIENCE_MS = 60_000
#: Short, so that the pages and not the steps are what is tested.
RECIPE = {
    "name": "quick",
    "steps": [
        "extraction.records_v1",
        {"extraction.main_text_v1": {"engine": "resiliparse"}},
        {"langid.fasttext_v1": {}, "keep": {"language": "language == en"}},
        {"quality.gopher_quality_v1": {}, "keep": {"words_min": "words >= 50"}},
        {"export.dataset_v1": {"tokenizer": "train", "vocab_size": 512, "sequence_length": 64}},
    ],
}


@dataclass
class Browser:
    """A browser, and what its pages said and asked for."""

    chromium: object
    url: str
    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    def open(self, width: int = 1280, scheme: str = "light"):
        context = self.chromium.new_context(
            base_url=self.url, viewport={"width": width, "height": 900}, color_scheme=scheme
        )
        context.set_default_timeout(PATIENCE_MS)
        page = context.new_page()
        page.on("console", lambda m: self._note(m.type, m.text))
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("request", lambda request: self.asked.append(request.url))
        return page

    def _note(self, kind: str, text: str) -> None:
        if kind in ("error", "warning"):
            self.complaints.append(text)


@pytest.fixture(scope="module")
def browser(cluster) -> Iterator[Browser]:
    with playwright.sync_playwright() as driver:
        chromium = driver.chromium.launch(executable_path=program("chromium"), args=FLAGS)
        yield Browser(chromium, cluster.url)
        chromium.close()


@pytest.fixture(scope="module")
def run(client, batch) -> str:
    """A training run on the batch's dataset."""
    (dataset,) = client.get(f"/v1/batches/{batch}")["datasets"]
    spec = {"dataset": dataset, "preset": "nano", "steps": 3, "batch_size": 2, "threads": 1}
    return client.post("/v1/runs", spec)["id"]


@pytest.fixture(scope="module")
def batch(browser, client, archives) -> str:
    """A batch submitted in the page with the keyboard alone, watched to its end."""
    page = browser.open()
    page.goto("/ui/")
    assert "No batches yet" in page.inner_text("main")
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    for _ in range(20):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.textContent") == "Submit":
            break
    page.keyboard.press("Enter")
    page.wait_for_url("**/ui/submit")

    page.focus("#sources")
    page.keyboard.type(f"{archives[0]}\n/no/such/archive.warc.gz")
    page.click("text=Your own recipe instead")
    page.fill("#own_recipe", json.dumps(RECIPE))
    page.fill("#labels", "team=web")
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")
    page.wait_for_selector("#sources-fault")
    assert "there is no /no/such/archive.warc.gz" in page.inner_text("#sources-fault")
    assert page.evaluate("document.activeElement.id") == "sources"
    assert page.input_value("#labels") == "team=web"
    browser.complaints.clear()  # a 422 as the answer to a form is a complaint of the console

    page.set_input_files("#file", [str(archives[1])])
    page.wait_for_selector("text=1 uploaded")
    lines = page.input_value("#sources").split()
    assert lines[2].startswith("store:uploads/")
    page.fill("#sources", f"{lines[0]}\n{lines[2]}\n")
    page.keyboard.press("Enter")
    page.click("text=Submit the batch")
    page.wait_for_url("**/ui/batches/*")
    found = page.url.rpartition("/")[2]
    # Live: the state changes without the page being loaded again.
    page.evaluate("window.same = true")
    page.wait_for_selector("h1 .state.finished")
    assert page.evaluate("window.same")
    assert page.inner_text("#says") == "Batch finished"
    assert finish(client, found)["state"] == "finished"
    return found


def test_the_funnel_is_drawn_and_told_in_a_table(browser, client, batch, run):
    page = browser.open()
    page.goto(f"/ui/batches/{batch}")
    told = client.get(f"/v1/batches/{batch}")["funnel"]
    page.wait_for_selector("#funnel-chart canvas")
    drawn = page.evaluate(
        "echarts.getInstanceByDom(document.getElementById('funnel-chart')).getOption().series[0].data"
    )
    assert drawn[0]["value"] == told["documents"]
    assert f"{told['kept']:,}" in page.inner_text(".figures .kept")
    asked = len(browser.asked)
    page.wait_for_timeout(2500)
    assert browser.asked[asked:] == []  # an ended batch is not asked about
    hidden = page.locator("tr.nothing").first
    assert not hidden.is_visible()
    page.check("#show-all")
    assert hidden.is_visible()
    page.click("text=Log")
    page.wait_for_selector(".log li")


def test_from_a_rule_to_a_dropped_pages_life_and_its_bytes(browser, client, batch):
    page = browser.open()
    page.goto(f"/ui/batches/{batch}")
    page.click("text=gopher_quality_v1.words_min")
    page.wait_for_selector("#histogram-chart canvas")
    near = client.get(f"/v1/batches/{batch}/rules/gopher_quality_v1.words_min/around")
    first = near["dropped"][0]
    page.locator("section:has(#dropped-title) a").first.click()
    page.wait_for_selector(".verdict.dropped")
    assert first["url"] in page.inner_text("h1")
    assert f"measured {first['value']}" in page.inner_text(".verdict")
    assert "words >= 50" in page.inner_text(".verdict")
    fails = page.locator(".rules .fails")
    assert fails.count() == 1
    assert "too short" in page.inner_text(".text")
    with page.expect_download() as download:
        page.click("text=Download as archived")
    assert b"too short" in download.value.path().read_bytes()


def test_narrow_and_dark_pages_fit(browser, client, batch):
    dropped = client.get(f"/v1/batches/{batch}/documents", verdict="dropped", limit=1)["items"][0]
    paths = [
        "/ui/",
        "/ui/submit",
        f"/ui/batches/{batch}",
        f"/ui/batches/{batch}/documents",
        f"/ui/batches/{batch}/documents/{dropped['document']}",
        f"/ui/batches/{batch}/rules/gopher_quality_v1.words_min",
        "/ui/recipes/fineweb",
        "/ui/datasets",
    ]
    page = browser.open(375, "dark")
    for path in paths:
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= 375, path
    dark = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert max(int(c) for c in dark[4:-1].split(",")) < 60
    page.click("#theme")  # auto, light, dark
    light = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert min(int(c) for c in light[4:-1].split(",")) > 200
    page.reload()
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == light


def test_a_gateway_that_does_not_answer_is_told(browser, batch):
    page = browser.open()
    page.goto("/ui/")
    before = list(browser.complaints)
    page.route("**/ui/fragments/**", lambda route: route.abort())
    page.wait_for_selector("#offline:not([hidden])")
    assert "does not answer" in page.inner_text("#offline")
    page.unroute("**/ui/fragments/**")
    page.wait_for_selector("#offline", state="hidden")
    browser.complaints[:] = before  # the console tells of what was broken on purpose


def test_a_runs_loss_is_drawn(browser, client, run):
    page = browser.open()
    page.goto("/ui/runs")
    page.click(f"text={run}")
    wait_for(lambda: client.get(f"/v1/runs/{run}")["state"] == "finished", 60)
    page.wait_for_selector("h1 .state.finished")
    page.wait_for_selector("#loss-chart canvas")
    drawn = page.evaluate(
        "echarts.getInstanceByDom(document.getElementById('loss-chart')).getOption().series[0].data"
    )
    metrics = client.get(f"/v1/runs/{run}")["metrics"]
    assert [p["value"] for p in drawn] == [[m["step"], m["loss"]] for m in metrics]
    assert "It writes" in page.inner_text("main")
    page.click("#dataset")
    page.wait_for_selector("text=Tokenizer")


def test_the_console_is_clean_and_nothing_left_this_machine(browser, batch):
    """Last: of all the pages above."""
    assert browser.complaints == []
    assert len(browser.asked) > 50
    assert {urlsplit(url).hostname for url in browser.asked if url.startswith("http")} == {
        "127.0.0.1"
    }
    assert not [url for url in browser.asked if not url.startswith(("http:", "data:", "blob:"))]
