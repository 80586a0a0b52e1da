import copy

import pytest
import yaml

from shared.errors import NotFoundError, UsageError
from shared.recipe import (
    builtin_recipes,
    digest,
    load_recipe,
    override_recipe,
    parse_yaml,
    resolve,
)
from shared.store import to_json

BASE = {
    "name": "test",
    "steps": [
        {"extraction.records_v1": {}, "keep": {"status": "http_status == 200 or null"}},
        {"extraction.main_text_v1": {"engine": "resiliparse"}, "keep": {"text": "characters > 0"}},
        {"extraction.format_v1": {}},
        {"langid.fasttext_v1": {}, "keep": {"language": "language == en"}},
        {"quality.gopher_quality_v1": {}, "keep": {"words": "words >= 50"}},
    ],
}


def recipe_with(change):
    raw = copy.deepcopy(BASE)
    change(raw)
    return raw


@pytest.mark.parametrize("name", sorted(builtin_recipes()))
def test_shipped_recipes_resolve(name):
    resolved = resolve(load_recipe(name))
    assert resolved.recipe.name == name
    assert resolved.recipe.source, "a recipe names its paper"


@pytest.mark.parametrize(
    ("change", "field", "message"),
    [
        (lambda r: r.pop("steps"), "recipe.steps", "Field required"),
        (lambda r: r.update(stepz=[]), "recipe.stepz", "not permitted"),
        (lambda r: r.update(name="No Spaces"), "recipe.name", "pattern"),
        (lambda r: r["steps"].pop(0), "steps.0", "characters|payload"),
        (
            lambda r: r["steps"].append({"quality.nonsense_v1": {}}),
            "steps.5",
            "no step 'quality.nonsense_v1'; there are quality.c4",
        ),
        (
            lambda r: r["steps"][1].update({"extraction.main_text_v1": {"engine": "magic"}}),
            "steps.1.params.engine",
            "trafilatura",
        ),
        (
            lambda r: r["steps"][1].update({"extraction.main_text_v1": {"enginee": "x"}}),
            "steps.1.params.enginee",
            "not permitted",
        ),
        (
            lambda r: r["steps"][4]["keep"].update(bad="wordz >= 5"),
            "steps.4.keep.bad",
            "needs a column 'wordz'",
        ),
        (
            lambda r: r["steps"][4]["keep"].update(bad="words >= many"),
            "steps.4.keep.bad",
            "cannot be tested",
        ),
        (
            lambda r: r["steps"][4]["keep"].update(bad="words about 50"),
            "steps.4.keep.bad",
            "is not",
        ),
        (lambda r: r["steps"].append(r["steps"][4]), "steps.5", "occurs twice"),
        (
            lambda r: r["steps"][4]["keep"].update(p="payload == x"),
            "steps.4.keep.p",
            "payload",
        ),
    ],
)
def test_faults_name_their_field(change, field, message):
    with pytest.raises(UsageError, match=message) as caught:
        resolve(load_recipe(recipe_with(change)))
    assert caught.value.field == field


def test_unknown_recipe_lists_the_known():
    with pytest.raises(NotFoundError, match="refinedweb-lite"):
        load_recipe("refinedwebb")


def test_malformed_yaml_names_the_line():
    with pytest.raises(UsageError, match="line 2"):
        parse_yaml("name: x\n  steps: [", "mine.yaml")


def test_extends_and_override():
    recipe = load_recipe(
        {
            "name": "mine",
            "extends": "refinedweb-lite",
            "override": {
                "quality.gopher_quality_v1": {
                    "keep": {"words_min": "words >= 80", "words_max": None}
                }
            },
        }
    )
    step = next(s for s in recipe.steps if s.step == "quality.gopher_quality_v1")
    assert step.keep["words_min"] == "words >= 80"
    assert "words_max" not in step.keep
    with pytest.raises(UsageError, match="no step 'a.b'"):
        load_recipe({"name": "m", "extends": "refinedweb-lite", "override": {"a.b": {}}})
    with pytest.raises(UsageError, match="unknown keys"):
        override_recipe(recipe, {"langid.fasttext_v1": {"parameters": {}}})


def fingerprints(raw):
    return {b.step.name: b.fingerprint for b in resolve(load_recipe(raw)).steps}


def test_a_threshold_changes_only_what_depends_on_it():
    before = fingerprints(BASE)
    after = fingerprints(
        recipe_with(lambda r: r["steps"][3]["keep"].update(language="language == de"))
    )
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {"quality.gopher_quality_v1"}


def test_a_parameter_changes_the_step_and_what_follows():
    before = fingerprints(BASE)
    after = fingerprints(
        recipe_with(lambda r: r["steps"][1]["extraction.main_text_v1"].update(engine="trafilatura"))
    )
    assert before["extraction.records_v1"] == after["extraction.records_v1"]
    assert before["extraction.main_text_v1"] != after["extraction.main_text_v1"]
    assert before["quality.gopher_quality_v1"] != after["quality.gopher_quality_v1"]


def test_names_and_descriptions_change_nothing():
    renamed = {**BASE, "name": "other", "description": "else"}
    assert fingerprints(BASE) == fingerprints(renamed)
    assert load_recipe(BASE).hash == load_recipe(renamed).hash


def test_digest_refuses_what_has_no_stable_identity():
    assert digest({"b": 1, "a": 2}) == digest({"a": 2, "b": 1})
    with pytest.raises(TypeError):
        digest({"f": print})


def test_shipped_recipes_are_plain_yaml():
    for path in builtin_recipes().values():
        assert isinstance(yaml.safe_load(path.read_text()), dict)


def test_the_order_of_rules_survives_the_store_and_is_part_of_the_hash():
    rules = {"z": "http_status == 200", "a": "payload_bytes > 0"}
    recipe = load_recipe({"name": "r", "steps": [{"extraction.records_v1": {}, "keep": rules}]})
    again = type(recipe).model_validate_json(to_json(recipe.model_dump(mode="json")))
    assert list(again.steps[0].keep) == ["z", "a"]
    turned = dict(reversed(rules.items()))
    other = load_recipe({"name": "r", "steps": [{"extraction.records_v1": {}, "keep": turned}]})
    assert other.hash != recipe.hash


def test_a_shared_set_of_rules_and_the_recipe_s_own():
    recipe = load_recipe(
        {
            "name": "r",
            "steps": [
                {
                    "extraction.records_v1": {},
                    "keep_from": "web_page",
                    "keep": {"media_type": None, "not_empty": "payload_bytes > 9"},
                }
            ],
        }
    )
    rules = recipe.steps[0].keep
    assert list(rules) == ["record_type", "http_status", "not_empty"]
    assert rules["not_empty"] == "payload_bytes > 9"


def test_an_unknown_set_of_rules_is_refused():
    with pytest.raises(UsageError, match="no set 'nothing'; there are c4_quality") as caught:
        load_recipe({"name": "r", "steps": [{"extraction.records_v1": {}, "keep_from": "nothing"}]})
    assert caught.value.field == "keep_from"
