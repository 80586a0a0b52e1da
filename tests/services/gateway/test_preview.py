"""Previews against real runs with the changed rules."""

import json
from typing import Any

import pytest

from services.gateway.catalog import BatchView
from services.gateway.preview import tell
from shared.errors import NotFoundError, UsageError
from shared.progress import Funnel
from shared.recipe import override_recipe
from shared.stages import compile_batch
from shared.store import Store
from shared.testing import drive, make_batch
from tests.services.gateway.conftest import DOCUMENTS, RECIPE

GOPHER, FASTTEXT = "quality.gopher_quality_v1", "langid.fasttext_v1"
#: Two rules of one step and a rule over two columns, so that what follows a change is seen.
WIDE = {
    "name": "wide",
    "steps": [
        *RECIPE["steps"][:2],
        {
            "langid.fasttext_v1": {"model": "lid.176"},
            "keep": {"score": "score >= 0.65 if language == de", "language": "language == en"},
        },
        {
            "quality.gopher_quality_v1": {},
            "keep": {
                "words_min": "words >= 60",
                "words_max": "words <= 400",
                "stop_words": "stop_words >= 2",
                "long_words": "mean_word_length >= 4.3",
            },
        },
    ],
}
CLUSTERED = {
    "name": "clustered",
    "steps": [
        *RECIPE["steps"],
        {"dedup.text_hash_v1": {}},
        {"dedup.exact_duplicates_v1": {}, "keep": {"unique": "keeper == true"}},
    ],
}


class Line:
    """Batches of the same archives in one store, run in this process."""

    def __init__(self, store: Store, pages: list[Any]) -> None:
        self.store, self.pages = store, pages

    def view(self, recipe: dict[str, Any], override: dict[str, Any] | None = None) -> BatchView:
        """A finished batch."""
        batch = make_batch(self.pages, recipe, shard_bytes=9000)
        if override:
            changed = override_recipe(batch.recipe, override)
            batch = batch.model_copy(update={"recipe": changed})
        return BatchView(*drive(self.store, batch))

    def preview(self, view: BatchView, keep: Any) -> dict[str, Any]:
        """What the preview tells."""
        return tell(self.store, view, keep)


@pytest.fixture(scope="module")
def line(tmp_path_factory, pages) -> Line:
    return Line(Store(str(tmp_path_factory.mktemp("line"))), pages)


def figures(view: BatchView) -> dict[str, int]:
    """A funnel as a preview tells it."""
    told = view.funnel.to_dict(view.pipeline)
    kept = told["stages"][-1]["characters_kept"]
    return {k: told[k] for k in ("kept", "dropped", "failed")} | {"characters_kept": kept}


def by_rule(view: BatchView) -> dict[str, tuple[int, int]]:
    """Documents and characters that each rule drops, as the funnel has it."""
    stages = view.funnel.to_dict(view.pipeline)["stages"]
    return {
        r["rule"]: (r["documents"], r["characters"]) for s in stages for r in s.get("rules", [])
    }


def dropped(told: dict[str, Any], when: str) -> dict[str, tuple[int, int]]:
    return {
        r["rule"]: (r[when]["dropped"], r[when]["characters"])
        for r in told["rules"]
        if r[when] is not None
    }


@pytest.mark.parametrize("recipe", [RECIPE, WIDE, CLUSTERED])
def test_an_unchanged_recipe_gives_the_funnel(line, recipe):
    view = line.view(recipe)
    told = line.preview(view, [])
    assert told["final"]
    assert told["exact"]
    assert told["documents"] == DOCUMENTS
    assert told["before"] == figures(view)
    assert {k: told["after"][k] for k in told["before"]} == figures(view)
    assert dropped(told, "before") == dropped(told, "after") == by_rule(view)
    nothing = {"documents": 0, "characters": 0}
    assert told["newly_dropped"] == told["newly_kept"] == nothing
    assert told["unknown"]["documents"] == 0
    assert told["groups"] == told["warnings"] == told["changes"] == []


def test_rules_that_mean_the_same_give_the_same(line):
    """Written differently, every rule is read again from the stored columns."""
    view = line.view(WIDE)
    keep = {
        "records_v1.http_status": "http_status in [200] or null",
        "main_text_v1.has_text": "characters >= 1",
        "fasttext_v1.score": "score >= 0.650 if language == de",
        "fasttext_v1.language": "language in [en]",
        "gopher_quality_v1.words_min": "words > 59",
        "gopher_quality_v1.stop_words": "stop_words > 1",
    }
    told = line.preview(view, keep)
    assert len(told["changes"]) == 6
    assert told["exact"]
    assert {k: told["after"][k] for k in told["before"]} == figures(view)
    assert dropped(told, "after") == by_rule(view)


STRICTER_OR_LAST = [
    {GOPHER: {"words_min": "words >= 150"}},
    {GOPHER: {"words_max": "words <= 200", "long_words": "mean_word_length >= 4.4"}},
    {GOPHER: {"words_min": "words >= 10"}},
    {GOPHER: {"words_min": None}},
    {GOPHER: {"words_min": None, "words_max": None, "stop_words": "stop_words >= 4"}},
    {GOPHER: {"words_min": "words >= 100", "words_max": None, "long_words": None}},
    {GOPHER: {"extra": "alpha_words_frac >= 0.97"}},
    {GOPHER: {"sure": "fasttext_v1.score >= 0.9"}},
    {FASTTEXT: {"score": "score >= 0.97 if language == en"}},
    {FASTTEXT: {"score": "score >= 0.99"}, GOPHER: {"words_min": "words >= 30"}},
    {"extraction.main_text_v1": {"has_text": "characters > 700"}},
]


@pytest.mark.parametrize("change", STRICTER_OR_LAST, ids=str)
def test_what_is_computed_is_exact(line, change):
    """A stricter rule anywhere, or any rule of the last step: what a new run with it gives."""
    view = line.view(WIDE)
    real = line.view(WIDE, {step: {"keep": keep} for step, keep in change.items()})
    keep = {f"{s.split('.')[1]}.{r}": c for s, rules in change.items() for r, c in rules.items()}
    told = line.preview(view, keep)
    assert told["exact"]
    assert told["unknown"]["documents"] == 0
    assert {k: told["after"][k] for k in told["before"]} == figures(real)
    assert dropped(told, "after") == by_rule(real)
    newly = told["newly_kept"]["documents"] - told["newly_dropped"]["documents"]
    assert figures(view)["kept"] + newly == figures(real)["kept"]


@pytest.mark.parametrize(
    "change",
    [
        {FASTTEXT: {"language": "language in [en, de]"}},
        {FASTTEXT: {"language": None}, GOPHER: {"words_min": "words >= 20"}},
        {FASTTEXT: {"language": "language == de"}, GOPHER: {"stop_words": None}},
        {"extraction.main_text_v1": {"has_text": None}, GOPHER: {"words_max": None}},
    ],
    ids=str,
)
def test_a_looser_rule_brackets_what_a_run_gives(line, change):
    view = line.view(WIDE)
    real = line.view(WIDE, {step: {"keep": keep} for step, keep in change.items()})
    keep = {f"{s.split('.')[1]}.{r}": c for s, rules in change.items() for r, c in rules.items()}
    told = line.preview(view, keep)
    after, run = told["after"], figures(real)
    assert not told["exact"]
    assert told["unknown"]["documents"] == after["unknown"] > 0
    assert after["kept"] <= run["kept"] <= after["kept_at_most"]
    assert after["kept"] + after["dropped"] + after["failed"] + after["unknown"] == DOCUMENTS
    assert after["characters_kept"] <= run["characters_kept"]
    for rule, (documents, _) in dropped(told, "after").items():
        assert documents <= by_rule(real)[rule][0] <= documents + after["unknown"]
    for step in told["unknown"]["steps"]:
        assert step["documents_at_most"] <= after["unknown"]
    assert GOPHER in {s["step"] for s in told["unknown"]["steps"]}


def test_a_group_step_is_not_pretended_to_hold(line):
    view = line.view(CLUSTERED)
    told = line.preview(view, ["words >= 100"])
    (group,) = told["groups"]
    assert group["step"] == "dedup.exact_duplicates_v1"
    assert group["left"] == told["newly_dropped"]["documents"] > 0
    assert group["joined_at_most"] == 0
    assert group["assumed"] >= told["after"]["kept"]
    assert not told["exact"]
    assert "clusters" in told["warnings"][0]
    looser = line.preview(view, ["language in [en, de]"])
    assert looser["groups"][0]["joined_at_most"] == looser["after"]["unknown"] > 0
    assert line.preview(view, {"exact_duplicates_v1.unique": None})["groups"] == []


def test_an_unfinished_batch_is_judged_as_far_as_it_is(tmp_path, pages):
    from shared.plan import runnable
    from shared.run import run_task

    store = Store(str(tmp_path))
    pipeline = compile_batch(make_batch(pages, RECIPE, shard_bytes=9000))
    first = list(runnable(pipeline, {}))[:2]
    for ref in first:
        run_task(store, pipeline, ref)
    view = BatchView(pipeline, Funnel.read(store, pipeline))
    told = tell(store, view, ["characters > 700"])
    assert told["shards"] == {"read": 2, "final": 0, "of": len(pipeline.batch.shards)}
    assert not told["final"]
    assert told["before"]["kept"] == view.funnel.stages[0].tally.kept
    assert 0 < told["newly_dropped"]["documents"] < told["before"]["kept"]
    assert "not finished" in told["warnings"][0]
    assert tell(store, view, ["words >= 100"])["newly_dropped"]["documents"] == 0


# REST and the command line


def preview(gateway, batch, keep):
    return gateway.client.post(f"/v1/batches/{batch['id']}/preview", {"keep": keep})


def test_a_condition_replaces_the_rule_that_tests_the_same(gateway, batch):
    told = preview(gateway, batch, ["gopher_quality_v1.words >= 80", "words<=300"])
    assert told["changes"] == [
        {
            "rule": "gopher_quality_v1.words_min",
            "before": "words >= 60",
            "after": "gopher_quality_v1.words >= 80",
        },
        {"rule": "gopher_quality_v1.words_max", "before": "words <= 400", "after": "words<=300"},
    ]
    named = preview(gateway, batch, {"gopher_quality_v1.words_min": "words >= 80"})
    same = preview(gateway, batch, ["gopher_quality_v1.words_min=words >= 80"])
    full = preview(gateway, batch, {"quality.gopher_quality_v1.words_min": "words >= 80"})
    assert named == same == full
    removed = preview(gateway, batch, ["gopher_quality_v1.words_min = null"])
    assert removed["changes"][0]["after"] is None
    assert removed == preview(gateway, batch, {"gopher_quality_v1.words_min": None})


def test_a_condition_on_another_column_is_a_rule_more(gateway, batch):
    told = preview(gateway, batch, ["stop_words >= 3", "words != 77", "words >= 90 if score < 0.9"])
    assert [c["rule"] for c in told["changes"]] == [
        "gopher_quality_v1.stop_words",
        "gopher_quality_v1.words",
        "gopher_quality_v1.words_2",
    ]


@pytest.mark.parametrize(
    ("keep", "field", "reason"),
    [
        ("words >= 80", "keep", "must be a list"),
        (5, "keep", "must be a list"),
        ([5], "keep.0", "must be a condition"),
        ({"gopher_quality_v1.words_min": 5}, "keep.gopher_quality_v1.words_min", "or null"),
        (["characters > 1", "words about 80"], "keep.1", "is not '<column>"),
        (["nonsense >= 80"], "keep.0", "no step of the recipe measures 'nonsense'"),
        (["words >= many"], "keep.0", "cannot be tested"),
        (["language >= 3"], "keep.0", "cannot be tested"),
        ({"nothing_v1.words_min": "words >= 1"}, "keep.nothing_v1.words_min", "steps are"),
        ({"words_min": "words >= 1"}, "keep.words_min", "is not <step>.<rule>"),
        ({"gopher_quality_v1.x": None}, "keep.gopher_quality_v1.x", "no rule"),
        (["words >= 80", "gopher_quality_v1.words_min=words >= 70"], "keep.0", "twice"),
        (["main_text_v1.has_text = words > 5"], "keep.0", "no step before"),
    ],
)
def test_errors_name_the_field(gateway, batch, keep, field, reason):
    with pytest.raises(UsageError, match=reason) as error:
        preview(gateway, batch, keep)
    assert error.value.field == field


def test_ambiguous_conditions_are_refused(line):
    twice = {
        "name": "twice",
        "steps": [
            *RECIPE["steps"][:2],
            {
                "langid.fasttext_v1": {"model": "lid.176"},
                "keep": {
                    "en": "score >= 0.65 if language == en",
                    "de": "score >= 0.5 if language == de",
                },
            },
        ],
    }
    view = line.view(twice)
    with pytest.raises(UsageError, match="say which rule") as error:
        line.preview(view, ["score >= 0.7"])
    assert error.value.field == "keep.0"
    (change,) = line.preview(view, ["score >= 0.7 if language == de"])["changes"]
    assert change["rule"] == "fasttext_v1.de"
    (change,) = line.preview(view, ["score >= 0.7 if language == fr"])["changes"]
    assert change == {
        "rule": "fasttext_v1.score",
        "before": None,
        "after": "score >= 0.7 if language == fr",
    }


def test_unknown_batch_and_missing_field(gateway, batch):
    with pytest.raises(NotFoundError, match="no batch nothing"):
        gateway.client.post("/v1/batches/nothing/preview", {"keep": []})
    with pytest.raises(UsageError) as error:
        gateway.client.post(f"/v1/batches/{batch['id']}/preview", {"rules": []})
    assert error.value.field in ("keep", "rules")


def test_the_command_line_tells_it(gateway, batch):
    keep = ["gopher_quality_v1.words_min=words >= 80", "language in [en, de]"]
    options = [part for k in keep for part in ("--keep", k)]
    told = json.loads(gateway.cli("preview", batch["id"], *options, "--json"))
    assert told == preview(gateway, batch, keep)
    shown = gateway.cli("preview", batch["id"], *options)
    assert "words >= 60 -> words >= 80" in shown
    assert f"newly dropped: {told['newly_dropped']['documents']}" in shown
    assert "unknown: 20 documents" in shown
    assert "quality.gopher_quality_v1 (20)" in shown


def test_the_command_line_says_what_is_wrong(gateway, batch, monkeypatch, capsys):
    from services.gateway import cli

    command = ["corpusmill", "preview", batch["id"], "--url", gateway.client.url]
    monkeypatch.setattr("sys.argv", [*command, "--keep", "words about 80"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == cli.Exit.USAGE
    told = " ".join(capsys.readouterr().err.split())
    assert "keep.0: 'words about 80' is not" in told
    assert "[or null]" in told
