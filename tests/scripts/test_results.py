"""The comparison with published rates, from a funnel by hand."""

import pytest
import yaml

from scripts.results import run as results
from shared.recipe import absolute_resources, load_recipe, parse_yaml
from shared.store import Store
from shared.testing import drive, html_page, make_batch, prose, warc_gz, warc_record

HERE = results.HERE


def stage(kept, *rules, failed=0):
    named = [{"rule": n, "documents": d, "characters": c} for n, d, c in rules]
    return {"characters_kept": kept, "failed": {"s": failed} if failed else {}, "rules": named}


FUNNEL = {
    "documents": 100,
    "stages": [
        stage(0, ("url_filter_v1.a", 10, 0), ("url_filter_v1.b", 0, 0)),
        {"stage": "a phase"},
        stage(300, ("quality_v1.x", 44, 100), ("quality_v1.y", 11, 600), failed=2),
    ],
}
RULES = results.rules_of(FUNNEL)


def test_rules_see_what_those_before_them_left():
    assert [(r.name, r.entered, r.left) for r in RULES] == [
        ("url_filter_v1.a", 100, 90),
        ("url_filter_v1.b", 90, 90),
        ("quality_v1.x", 88, 44),
        ("quality_v1.y", 44, 33),
    ]
    assert [r.characters_entered for r in RULES] == [1000, 1000, 1000, 900]


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"drops": ["url_filter_v1."]}, ("10.00 %", "")),
        ({"drops": ["quality_v1."], "of": "entered"}, ("62.50 %", "70.00 %")),
        ({"after": "quality_v1.x"}, ("44.00 %", "")),
        ({"after": "quality_v1.y", "of_text": True}, ("33.00 %", "30.00 %")),
    ],
)
def test_values_beside_published_ones(entry, expected):
    assert results.measured(entry, RULES, 100) == expected


@pytest.mark.parametrize("name", results.RECIPES)
def test_published_rates_name_rules_of_the_recipe(name):
    recipe = load_recipe(parse_yaml((HERE / f"{name}.yaml").read_text(), name))
    rules = [f"{s.step.partition('.')[2]}.{rule}" for s in recipe.steps for rule in s.keep]
    for entry in yaml.safe_load((HERE / "published.yaml").read_text())[name]:
        if "after" in entry:
            assert entry["after"] in rules
        for prefix in entry.get("drops", ()):
            assert any(rule.startswith(prefix) for rule in rules), prefix


def test_the_precheck_is_all_that_the_other_recipe_lacks(tmp_path):
    path = results.without_precheck(tmp_path)
    other = load_recipe(parse_yaml(path.read_text(), "other"))
    shipped = load_recipe(parse_yaml((HERE / "refinedweb.yaml").read_text(), "refinedweb"))
    shipped = absolute_resources(shipped, HERE)
    assert other.name != shipped.name
    for step, without in zip(shipped.steps, other.steps, strict=True):
        if step.step == "extraction.precheck_v1":
            assert without.params == {**step.params, "languages": []} != step.params
            assert without.keep == step.keep
        else:
            assert without == step


def test_chapter_names_idle_rules_apart():
    batch = {
        "funnel": {**FUNNEL, "kept": 33, "dropped": 65, "failed": 2},
        "recipe": {"source": "s"},
    }
    text = results.chapter("r", batch, [])
    assert "100 documents = 33 kept + 65 dropped + 2 failed" in text
    assert "| `quality_v1.x` | 44 | 44.00 % | 50.00 % | 100 | 44 | 44.00 % |" in text
    assert "Drop nothing: `url_filter_v1.b`." in text


def test_kept_documents_are_those_of_the_funnel(tmp_path):
    pages = [warc_record(f"http://a.test/{n}", html_page(str(n), prose(n)), n=n) for n in range(6)]
    pages[3] = warc_record("http://a.test/3", b"", n=3)
    (tmp_path / "a.warc.gz").write_bytes(warc_gz(pages))
    recipe = {
        "name": "r",
        "steps": [
            {"extraction.records_v1": {}, "keep": {"not_empty": "payload_bytes > 0"}},
            {"extraction.main_text_v1": {"engine": "resiliparse"}},
        ],
    }
    store = Store(str(tmp_path / "store"))
    batch = make_batch([tmp_path / "a.warc.gz"], recipe, shard_bytes=2048)
    _, funnel = drive(store, batch)
    store.put_json("batches/b/batch.json", batch.model_dump(mode="json"))
    kept = results.kept_documents(store, "b")
    assert len(batch.shards) > 1
    assert len(kept) == 5 == funnel.stages[0].tally.kept
    assert f"a.warc.gz:{len(warc_gz(pages[:3]))}" not in kept
