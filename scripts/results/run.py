"""Funnels of whole recipes over the open archives, beside the papers' published rates.

    python -m scripts.results.run                    # writes docs/results.md
    python -m scripts.results.run --archives a.warc.gz --out /tmp/results.md

Each recipe runs as a user would run it: `corpusmill run ARCHIVES --recipe R --json`.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow.compute as pc
import yaml

from scripts.reference import DATA, ROOT, open_archives
from shared.columns import read_columns
from shared.recipe import absolute_resources, load_recipe, parse_yaml
from shared.schema import KEPT
from shared.shards import Batch
from shared.stages import compile_batch
from shared.store import Store

HERE = Path(__file__).resolve().parent
RECIPES = ("refinedweb", "fineweb", "c4")
#: What takes the language pre-check out of refinedweb.
NO_PRECHECK = {"extraction.precheck_v1": {"params": {"languages": []}}}


@dataclass(frozen=True)
class Rule:
    """A rule of a funnel. Characters are of the main text: 0 before there is one."""

    name: str
    entered: int
    dropped: int
    characters_entered: int
    characters: int

    @property
    def left(self) -> int:
        """Documents that pass."""
        return self.entered - self.dropped


def run_recipe(recipe: Path, archives: list[Path], work: Path) -> dict[str, Any]:
    """The finished batch, as `corpusmill run --json` prints it."""
    command = [str(Path(sys.executable).with_name("corpusmill")), "run", "--json"]
    command += ["--store", str(work), "--recipe", str(recipe), *map(str, archives)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        sys.exit(f"{recipe.name}: {done.stderr or done.stdout}")
    batch: dict[str, Any] = json.loads(done.stdout)
    return batch


def rules_of(funnel: dict[str, Any]) -> list[Rule]:
    """All rules in order; faults of a stage count before its first rule."""
    stages = [stage for stage in funnel["stages"] if "rules" in stage]
    dropped = [rule["characters"] for stage in stages for rule in stage["rules"]]
    characters = stages[-1]["characters_kept"] + sum(dropped)
    left, found = funnel["documents"], []
    for stage in stages:
        left -= sum(stage["failed"].values())
        for rule in stage["rules"]:
            entered, left = left, left - rule["documents"]
            found.append(
                Rule(rule["rule"], entered, rule["documents"], characters, rule["characters"])
            )
            characters -= rule["characters"]
    return found


def measured(entry: dict[str, Any], rules: list[Rule], documents: int) -> tuple[str, str]:
    """Our values beside a published one: of documents, and of characters where there is a text."""
    if "after" in entry:
        after = next(r for r in rules if r.name == entry["after"])
        left = after.characters_entered - after.characters
        of_text = percent(left, rules[0].characters_entered) if "of_text" in entry else ""
        return percent(after.left, documents), of_text
    chosen = [r for r in rules if r.name.startswith(tuple(entry["drops"]))]
    dropped = sum(r.dropped for r in chosen)
    if entry.get("of") != "entered":
        return percent(dropped, documents), ""
    characters = sum(r.characters for r in chosen)
    return percent(dropped, chosen[0].entered), percent(characters, chosen[0].characters_entered)


def percent(part: int, whole: int) -> str:
    """Two decimals."""
    return f"{100 * part / max(1, whole):.2f} %"


def chapter(name: str, batch: dict[str, Any], published: list[dict[str, Any]]) -> str:
    """One recipe: comparison, then its funnel."""
    funnel = batch["funnel"]
    rules, documents = rules_of(funnel), funnel["documents"]
    counts = f"{funnel['kept']} kept + {funnel['dropped']} dropped + {funnel['failed']} failed"
    lines = [
        f"## {name}\n",
        f"{documents} documents = {counts}. Source: {batch['recipe']['source']}.\n",
        "| quantity | paper | unit of the paper | here, documents | here, characters |",
        "|---|---|---|---:|---:|",
    ]
    for entry in published:
        quantity = entry["quantity"] + (", of what reaches it" if "of" in entry else "")
        told = (quantity, entry["paper"], entry["unit"], *measured(entry, rules, documents))
        lines.append(f"| {' | '.join(told)} |")
    lines += ["", *funnel_lines([r for r in rules if r.dropped], documents)]
    idle = ", ".join(f"`{r.name}`" for r in rules if not r.dropped)
    return "\n".join([*lines, f"\nDrop nothing: {idle or 'none'}."]) + "\n"


def funnel_lines(rules: list[Rule], documents: int) -> list[str]:
    """The table of the rules."""
    lines = [
        "| rule | dropped | of all | of those it sees | characters dropped | left | of all |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for r in rules:
        told = (
            f"`{r.name}`",
            f"{r.dropped:,}",
            percent(r.dropped, documents),
            percent(r.dropped, r.entered),
            f"{r.characters:,}" if r.characters_entered else "",
            f"{r.left:,}",
            percent(r.left, documents),
        )
        lines.append(f"| {' | '.join(told)} |")
    return lines


def kept_documents(store: Store, batch: str) -> set[str]:
    """Ids of the documents that a batch keeps."""
    pipeline = compile_batch(Batch.model_validate(store.get_json(f"batches/{batch}/batch.json")))
    spine = pipeline.column_folder(pipeline.recipe.steps[0])
    kept: set[str] = set()
    for shard in pipeline.batch.shards:
        states = read_columns(store, pipeline.last_rows.folder, shard.id, ["state"])["state"]
        ids = read_columns(store, spine, shard.id, ["document"])["document"]
        kept.update(ids.filter(pc.equal(states, KEPT)).to_pylist())
    return kept


def without_precheck(work: Path) -> Path:
    """The recipe refinedweb without its language pre-check, as a file."""
    raw = parse_yaml((HERE / "refinedweb.yaml").read_text(), "refinedweb")
    changed = {**raw, "name": "refinedweb-no-precheck", "override": raw["override"] | NO_PRECHECK}
    recipe = absolute_resources(load_recipe(changed), HERE)
    path = work / "no-precheck.yaml"
    path.write_text(yaml.safe_dump(recipe.model_dump(mode="json"), sort_keys=False))
    return path


def precheck_chapter(batch: dict[str, Any], other: dict[str, Any], store: Store) -> str:
    """What refinedweb keeps with its language pre-check (`batch`), and without (`other`)."""
    with_it, without = (kept_documents(store, run["id"]) for run in (batch, other))
    differing = sorted(with_it ^ without)
    documents = batch["funnel"]["documents"]
    return (
        "## The language pre-check\n\n"
        f"`refinedweb` keeps {len(with_it)} of {documents} documents with its pre-check and "
        f"{len(without)} without it; {len(differing)} documents differ "
        f"({percent(len(differing), documents)}): {', '.join(differing) or 'none'}.\n"
    )


def pools_of(archives: list[Path]) -> list[list[Path]]:
    """Growing pools: the first archive, the first half of them, all."""
    sizes = sorted({1, max(1, len(archives) // 2), len(archives)})
    return [archives[:size] for size in sizes]


def pools_chapter(runs: list[dict[str, Any]], store: Store) -> str:
    """What each step of RefinedWeb's deduplication takes, by the size of the pool."""
    lines = [
        "## Deduplication by the size of the pool\n",
        "`refinedweb` over growing pools of the archives, in their order. Each rate is of what",
        "reaches the step; characters are of the text.\n",
        (
            "| archives | documents | reach deduplication | near-duplicates | characters in "
            "repeated spans of 50 tokens | documents with one | fewer than 20 characters left "
            "| same URL |"
        ),
        "|---:|---:|---:|---:|---:|---:|---:|---:|",
    ]
    for run in runs:
        rules = {r.name: r for r in rules_of(run["funnel"])}
        near, spans, urls = (
            rules[name]
            for name in (
                "near_duplicates_v1.near_duplicate",
                "substring_duplicates_v1.remaining",
                "url_duplicates_v1.url_duplicate",
            )
        )
        duplicate, characters, touched = span_totals(store, run["id"])
        told = (
            f"{run['sources']}",
            f"{run['funnel']['documents']:,}",
            f"{near.entered:,}",
            f"{near.dropped:,} ({percent(near.dropped, near.entered)})",
            f"{duplicate:,} ({percent(duplicate, characters)})",
            f"{touched:,}",
            f"{spans.dropped:,}",
            f"{urls.dropped:,}",
        )
        lines.append(f"| {' | '.join(told)} |")
    return "\n".join(lines) + "\n"


def span_totals(store: Store, batch: str) -> tuple[int, int, int]:
    """Characters within repeated spans, characters in all, and documents with a span."""
    pipeline = compile_batch(Batch.model_validate(store.get_json(f"batches/{batch}/batch.json")))
    bound = next(b for b in pipeline.recipe.steps if b.step.short == "substring_duplicates_v1")
    names = ["duplicate_characters", "remaining_characters", "spans_count"]
    duplicate = remaining = touched = 0
    for shard in pipeline.batch.shards:
        table = read_columns(store, pipeline.column_folder(bound), shard.id, names)
        duplicate += pc.sum(table[names[0]]).as_py() or 0
        remaining += pc.sum(table[names[1]]).as_py() or 0
        touched += pc.sum(pc.greater(table[names[2]], 0)).as_py() or 0
    return duplicate, duplicate + remaining, touched


def main() -> None:
    """Run the recipes and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--archives", type=Path, nargs="*", help="default: all open archives")
    parser.add_argument("--recipes", nargs="*", default=RECIPES, choices=RECIPES)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    arguments = parser.parse_args()
    archives = arguments.archives or open_archives()
    if not archives:
        sys.exit(f"no archives in {DATA}: name them with --archives")
    published = yaml.safe_load((HERE / "published.yaml").read_text())
    chapters: list[str] = []
    batches: dict[str, dict[str, Any]] = {}
    with tempfile.TemporaryDirectory() as work:
        for name in arguments.recipes:
            print(f"{name}: {len(archives)} archives", file=sys.stderr, flush=True)
            batches[name] = run_recipe(HERE / f"{name}.yaml", archives, Path(work))
            chapters.append(chapter(name, batches[name], published[name]))
        if "refinedweb" in batches:
            print("refinedweb without its pre-check", file=sys.stderr, flush=True)
            other = run_recipe(without_precheck(Path(work)), archives, Path(work))
            chapters.append(precheck_chapter(batches["refinedweb"], other, Store(work)))
            print("refinedweb over growing pools", file=sys.stderr, flush=True)
            pools = [
                run_recipe(HERE / "refinedweb.yaml", pool, Path(work))
                for pool in pools_of(archives)
            ]
            chapters.append(pools_chapter(pools, Store(work)))
    names = ", ".join(a.name for a in archives)
    head = (HERE / "head.md").read_text().format(archives=names)
    arguments.out.write_text("\n".join([head, *chapters]))
    print(arguments.out)


if __name__ == "__main__":
    main()
