"""What changes in a corpus when a recipe's extraction engine is replaced.

    make replace-extraction                                        (about ten minutes on one core)
    python -m scripts.extractor.replace --engine resiliparse --recipes gopher

Each recipe runs to its end over the archives twice, in this process: with its own engine, and with
the other. Both stay on one store, so what does not depend on the engine is computed once. The
export is left out: it drops nothing. Writes its part of `docs/extraction.md`.
"""

import argparse
import json
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, get_args

from scripts.check_trafilatura import bar
from scripts.extractor.bench_pages import read_languages
from scripts.extractor.replace_report import write_report
from scripts.extractor.replace_sides import Change, Document, Side, change
from scripts.parts import write_part
from scripts.reference import DATA, ROOT, open_archives
from services.extraction.main_text import Engine
from shared.columns import read_columns
from shared.recipe import load_recipe, parse_yaml
from shared.schema import KEPT
from shared.stages import Pipeline
from shared.store import Store
from shared.testing import drive, make_batch

HERE = Path(__file__).resolve().parent
MAIN_TEXT: Final = "extraction.main_text_v1"
#: Those that ship, and one for Chinese, of which none ships.
RECIPES: Final = (
    "refinedweb",
    "fineweb",
    "gopher",
    "dclm-heuristic",
    "c4",
    "ccnet-dedup",
    "chinese",
)


@dataclass(frozen=True)
class Place:
    """Where the columns of all runs lie, and what they are of."""

    store: Store
    archives: list[Path]


def recipe_of(name: str, engine: str | None) -> tuple[dict[str, Any], str]:
    """The recipe up to its export, with its own engine or with `engine`; and its own engine."""
    here = HERE / f"{name}.yaml"
    recipe = load_recipe(parse_yaml(here.read_text(), name) if here.exists() else name)
    steps = [s.model_dump() for s in recipe.steps if not s.step.startswith("export.")]
    params = next(s for s in steps if s["step"] == MAIN_TEXT)["params"]
    own = params.get("engine", "trafilatura")
    if engine is not None:
        params["engine"] = engine
    return {"name": f"{name}-{engine or own}".replace("_", "-"), "steps": steps}, own


def run(place: Place, name: str, engine: str | None) -> Side:
    """One recipe with one engine over all archives."""
    recipe, own = recipe_of(name, engine)
    batch = make_batch(place.archives, recipe, name=recipe["name"])
    pipeline, _ = drive(place.store, batch)
    rules = [rule for bound in pipeline.recipe.steps for rule in bound.rule_names]
    return Side(engine or own, rules, read_documents(place.store, pipeline))


def read_documents(store: Store, pipeline: Pipeline) -> dict[str, Document]:
    """Verdict and main text of every document, by id."""
    spine = pipeline.column_folder(pipeline.recipe.steps[0])
    text = next(b for b in pipeline.recipe.steps if b.step.name == MAIN_TEXT)
    found = {}
    for shard in pipeline.batch.shards:
        ids = read_columns(store, spine, shard.id, ["document", "record_id"])
        verdicts = read_columns(store, pipeline.last_rows.folder, shard.id, ["state", "rule"])
        texts = read_columns(store, pipeline.column_folder(text), shard.id, ["text"])
        columns = (
            *(ids["document"], ids["record_id"]),
            *(verdicts["state"], verdicts["rule"], texts["text"]),
        )
        for document, record_id, state, rule, its_text in zip(
            *(column.to_pylist() for column in columns), strict=True
        ):
            found[document] = Document(record_id, None if state == KEPT else rule, its_text)
    return found


def main() -> None:
    """Run, compare, report."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--archives", type=Path, nargs="+", default=open_archives())
    parser.add_argument("--recipes", nargs="+", choices=RECIPES, default=RECIPES)
    parser.add_argument("--engine", choices=get_args(Engine), default="blocks")
    parser.add_argument("--json", type=Path, help="write all results here")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "extraction.md")
    options = parser.parse_args()
    if not options.archives:
        sys.exit(f"no archives in {DATA}: name them with --archives")
    languages = read_languages()
    changes: dict[str, Change] = {}
    with tempfile.TemporaryDirectory() as folder:
        place = Place(Store(folder), [archive.resolve() for archive in options.archives])
        for number, name in enumerate(options.recipes):
            sides = (run(place, name, None), run(place, name, options.engine))
            changes[name] = change(*sides, languages)
            bar("recipes", number + 1, len(options.recipes))
    if options.json:
        told = {name: vars(one) for name, one in changes.items()}
        options.json.write_text(json.dumps(told, indent=1, default=vars))
    archives = [archive.name for archive in options.archives]
    text = write_report(changes, options.engine, archives)
    write_part(options.output, "make replace-extraction", text)
    print(text)


if __name__ == "__main__":
    main()
