"""Recipes: the list, and one whole."""

from typing import Any

import yaml
from fastapi import APIRouter, Request, Response

from services.gateway.ui.render import PageRoute, page
from shared.recipe import Recipe, builtin_recipes, load_recipe, resolve

router = APIRouter(route_class=PageRoute)


@router.get("/recipes")
def list_recipes(request: Request) -> Response:
    """Recipes that ship with the project."""
    return page(request, "recipes.html", recipes=[load_recipe(name) for name in builtin_recipes()])


@router.get("/recipes/{name}")
def recipe(request: Request, name: str) -> Response:
    """A recipe: its rules, and the YAML that `extends` and overrides come to."""
    found = load_recipe(name)
    return page(request, "recipe.html", recipe=found, rules=rules(found), yaml=as_yaml(found))


@router.get("/fragments/recipe")
def fragment(request: Request, recipe: str = "") -> Response:
    """What the submit form shows of the chosen recipe."""
    found = load_recipe(recipe)
    return page(request, "fragments/recipe.html", recipe=found, rules=rules(found))


def rules(recipe: Recipe) -> list[dict[str, str]]:
    """The keep rules in order, by the names that verdicts give them."""
    return [
        {"step": bound.step.name, "rule": name, "condition": rule.condition}
        for bound in resolve(recipe).steps
        for rule, name in zip(bound.rules, bound.rule_names, strict=True)
    ]


def as_yaml(recipe: Recipe) -> str:
    """The resolved recipe as a file that could be submitted."""
    steps: list[Any] = []
    for spec in recipe.steps:
        entry: dict[str, Any] = {spec.step: dict(spec.params)}
        if spec.keep:
            entry["keep"] = dict(spec.keep)
        steps.append(entry)
    whole = recipe.model_dump(mode="json", exclude={"steps"})
    head = {k: v for k, v in whole.items() if v}
    text: str = yaml.safe_dump(
        {**head, "steps": steps}, sort_keys=False, allow_unicode=True, width=100
    )
    return text
