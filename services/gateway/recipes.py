"""`/v1/recipes` and `/v1/steps`: what can be named, and whether a recipe holds."""

from typing import Annotated, Any

from fastapi import APIRouter, Body

from services.gateway.models import Page, PagingDep, page_of
from shared.recipe import Recipe, builtin_recipes, load_recipe, resolve
from shared.step import Step, load_registry

router = APIRouter(prefix="/v1", tags=["recipes"])


@router.get("/recipes")
def list_recipes(page: PagingDep) -> Page[dict[str, Any]]:
    """Recipes that ship with the project."""
    names, following = page_of(list(builtin_recipes()), page)
    items = [_summary(load_recipe(name)) for name in names]
    return Page(items=items, next=following)


@router.get("/recipes/{name}")
def read_recipe(name: str) -> dict[str, Any]:
    """A recipe whole."""
    recipe = load_recipe(name)
    return {**recipe.model_dump(mode="json"), "hash": recipe.hash}


@router.post("/recipes/validate")
def validate_recipe(recipe: Annotated[dict[str, Any], Body()]) -> dict[str, Any]:
    """Check an inline recipe; a fault is a problem document that names the field."""
    resolved = resolve(load_recipe(recipe))
    return {
        **_summary(resolved.recipe),
        "rules": [name for bound in resolved.steps for name in bound.rule_names],
        "fingerprints": {b.step.name: b.fingerprint for b in resolved.steps},
    }


def _summary(recipe: Recipe) -> dict[str, Any]:
    return {
        "name": recipe.name,
        "hash": recipe.hash,
        "source": recipe.source,
        "description": recipe.description,
        "steps": [s.step for s in recipe.steps],
    }


@router.get("/steps")
def list_steps(page: PagingDep) -> Page[dict[str, Any]]:
    """Registered steps: parameters, columns with units, and what they do."""
    registry = load_registry()
    names, following = page_of(list(registry), page)
    return Page(items=[_step(registry[name]) for name in names], next=following)


def _step(step: Step) -> dict[str, Any]:
    return {
        "name": step.name,
        "service": step.service,
        "description": step.doc,
        "reads": list(step.reads),
        "columns": [
            {"name": c.name, "type": str(c.type), "unit": c.unit, "meaning": c.meaning}
            for c in step.columns
        ],
        "phases": [p.name for p in step.phases],
        "parameters": step.params.model_json_schema().get("properties", {}),
    }
