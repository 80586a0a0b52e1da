"""Learning a model from a few made-up sites."""

import numpy as np
import pytest

from scripts.extractor import learn
from scripts.extractor.gold import Page
from scripts.extractor.lexicon import collect
from services.extraction.engines.blocks.decide import choose
from services.extraction.engines.blocks.lexicon import BUCKETS
from services.extraction.engines.blocks.model import load, to_file
from shared.testing import prose

TREES = 60


def page(number):
    """A page of one of ten sites, the text of some in a list."""
    site = number % 10
    texts = prose(number, 30 + 5 * site)
    menu = "".join(f"<li class=nav-item><a href=/{i}>Menu {i}</a>" for i in range(12 + site))
    tag = "li" if site % 3 == 0 else "p"
    body = "".join(f"<{tag}>{text}</{tag}>" for text in texts)
    return Page(
        record_id=f"<{number}>",
        id=f"made/{number}",
        source="made",
        site=f"site{site}.example",
        language="en",
        page_type="article",
        kind="full",
        url=f"http://site{site}.example/{number}",
        html=f"<ul class=menu>{menu}</ul><div class=entry-content>{body}</div><p>Imprint",
        gold_text="\n".join(texts),
    )


def train(monkeypatch):
    monkeypatch.setattr(learn, "_FIRST_TREES", TREES)
    monkeypatch.setattr(learn, "_SECOND_TREES", TREES)
    said = []
    samples = [learn.sample(page(number)) for number in range(40)]
    return samples, learn.Learner(samples, said.append).learn(), said


def test_a_model_learns_what_other_sites_keep_and_is_the_same_again(monkeypatch, tmp_path):
    samples, learned, said = train(monkeypatch)
    assert len(said) == 2 * (learn.FOLDS + 1)
    for sample, chances in zip(samples, learned.chances, strict=True):
        kept = choose(chances, sample.measures.counts).kept
        assert (kept == (sample.label > 0.5)).all()
    assert set(learned.f1s) == {sample.page.record_id for sample in samples}
    assert min(learned.f1s.values()) == 1
    assert all(0 <= value <= 1 for value in learned.confidence.values())
    data = to_file(learned.model)
    assert data == to_file(train(monkeypatch)[1].model)
    (tmp_path / "model.bin").write_bytes(data)
    assert to_file(load(tmp_path / "model.bin")) == data


def test_a_page_is_scored_without_its_own_site(monkeypatch):
    """Each site has one vote on a word; three other sites are needed for an opinion."""
    at = np.array([7])
    shares = [(at, np.array([share])) for share in (1.0, 1.0, 1.0, 0.0)]
    votes = collect(shares, [1, 2, 3, 4])
    assert votes.scores()[7] == 0  # 3 of 4, and the mean of all is 3 of 4
    assert votes.scores(4)[7] > 0
    assert votes.scores(1)[7] < 0
    assert collect(shares[1:], [1, 2, 4]).scores(4)[7] == 0  # two sites are left
    same_site = collect(shares, [1, 1, 1, 4])
    assert same_site.total[7] == pytest.approx(1)
    assert same_site.sites[7] == 2
    assert len(votes.scores()) == BUCKETS
