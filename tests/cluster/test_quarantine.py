"""Pages that hang or crash what reads them: quarantined by name, the rest is committed."""

import pytest

from services.gateway.client import Client
from services.gateway.cluster import Cluster
from shared.store import Store
from shared.testing import html_page, prose, warc_gz, warc_record
from tests.cluster.support import QUICK, balance, finish

#: A user's own step, found by import: it brings the whole process down on a certain page.
CRASHING_STEP = '''
"""A step with a defect of the worst kind."""

import os
import signal

import pyarrow as pa

from shared.schema import Column
from shared.step import row_step


@row_step(
    "extraction.crash_v1",
    reads=("url",),
    columns=(Column("letters", pa.int64(), "characters of the URL"),),
)
def crash(rows, params):
    """Counts letters; dies on a URL that says so."""
    urls = rows.column("url").to_pylist()
    if any("crash" in (u or "") for u in urls):
        os.kill(os.getpid(), signal.SIGSEGV)
    return pa.table({"letters": pa.array([len(u or "") for u in urls], pa.int64())})
'''

#: resiliparse's main-content search is quadratic in the depth of the tree: 20,000 take 10 s.
DEEP = b"<html><body>" + b"<div>" * 40_000 + b"<p>Deep down there is some text.</p></body></html>"


@pytest.fixture
def own_steps(tmp_path):
    package = tmp_path / "own" / "services"
    (package / "mine" / "steps").mkdir(parents=True)
    for folder in (package, package / "mine", package / "mine" / "steps"):
        (folder / "__init__.py").write_text("")
    (package / "mine" / "steps" / "crash_v1.py").write_text(CRASHING_STEP)
    return tmp_path / "own"


@pytest.mark.timeout(200)
def test_hanging_and_crashing_pages_end_in_quarantine(own_steps, tmp_path):
    records = [
        warc_record(f"http://x.example/{i}", html_page(f"P {i}", prose(i)), n=i) for i in range(6)
    ]
    records.insert(2, warc_record("http://x.example/crash", html_page("C", prose(90)), n=90))
    records.insert(4, warc_record("http://x.example/deep", DEEP, n=91))
    archive = tmp_path / "bad.warc.gz"
    archive.write_bytes(warc_gz(records))
    recipe = {
        "name": "careful",
        "steps": [
            {"extraction.records_v1": {}},
            {"extraction.crash_v1": {}},
            {"extraction.main_text_v1": {"engine": "resiliparse"}},
            {"langid.fasttext_v1": {}, "keep": {"language": "language == en"}},
        ],
    }
    environment = {
        **QUICK,
        "CORPUSMILL_LEASE": "2",
        "CORPUSMILL_TASK_TIME_LIMIT": "20",
        "CORPUSMILL_RUN_SLICE": "5",
        "CORPUSMILL_DOCUMENT_TIME_LIMIT": "2",
        "PYTHONPATH": str(own_steps),
    }
    store = Store(str(tmp_path / "store"))
    with Cluster(store.url, workers=1, environment=environment) as cluster:
        client = Client(cluster.url)
        body = {"sources": [str(archive)], "recipe": recipe}
        state = finish(client, client.post("/v1/batches", body)["id"], 150)
        client.close()
    balance(state)
    assert state["state"] == "finished"
    assert state["funnel"]["kept"] == 6
    assert state["funnel"]["failures"] == {"crash_v1": 1, "main_text_v1": 1}
    marks = [store.get_json(e.key) for e in store.list("quarantine/") if e.key.endswith(".json")]
    errors = sorted(m["error"] for m in marks)
    assert errors == [
        "killed: died of signal 11 in extraction.crash_v1",
        "killed: exceeded 2 s in extraction.main_text_v1",
    ]
    assert all(store.exists(f"quarantine/{state['id']}/{m['rows']}") for m in marks)
