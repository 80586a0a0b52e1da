"""Funnels of whole recipes over the open archives, beside the papers' published rates.

    python scripts/results/run.py                    # writes docs/results.md
    python scripts/results/run.py --archives a.warc.gz --out /tmp/results.md

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

import yaml

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
RECIPES = ("refinedweb", "fineweb", "c4")
#: open-mini holds pages of the other open archives again.
ARCHIVES = "warc/open/open-[eoz]*.warc.gz"


@dataclass(frozen=True)
class Rule:
    """A rule of a funnel: documents that it sees, drops, and leaves."""

    name: str
    entered: int
    dropped: int
    characters: int
    left: int


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
    left = funnel["documents"]
    found = []
    for stage in funnel["stages"]:
        left -= sum(stage.get("failed", {}).values())
        for rule in stage.get("rules", ()):
            entered, left = left, left - rule["documents"]
            found.append(Rule(rule["rule"], entered, rule["documents"], rule["characters"], left))
    return found


def measured(entry: dict[str, Any], rules: list[Rule], documents: int) -> float:
    """Our value beside a published one, in percent."""
    if "after" in entry:
        after = next(r for r in rules if r.name == entry["after"])
        return 100 * after.left / documents
    chosen = [r for r in rules if r.name.startswith(tuple(entry["drops"]))]
    whole = chosen[0].entered if entry.get("of") == "entered" else documents
    return 100 * sum(r.dropped for r in chosen) / max(1, whole)


def chapter(name: str, batch: dict[str, Any], published: list[dict[str, Any]]) -> str:
    """One recipe: comparison, then its funnel."""
    funnel = batch["funnel"]
    rules, documents = rules_of(funnel), funnel["documents"]
    lines = [
        f"## {name}\n",
        (
            f"{documents} documents = {funnel['kept']} kept + {funnel['dropped']} dropped + "
            f"{funnel['failed']} failed. Source: {batch['recipe']['source']}.\n"
        ),
        "| quantity | paper | here | unit of the paper |",
        "|---|---|---|---|",
    ]
    for entry in published:
        value = measured(entry, rules, documents)
        quantity = entry["quantity"] + (", of what reaches it" if "of" in entry else "")
        lines.append(f"| {quantity} | {entry['paper']} | {value:.2f} % | {entry['unit']} |")
    lines += [
        "\n| rule | dropped | % of all | % of those it sees | characters dropped | left |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for r in rules:
        share, seen = 100 * r.dropped / documents, 100 * r.dropped / max(1, r.entered)
        lines.append(
            f"| `{r.name}` | {r.dropped} | {share:.2f} | {seen:.2f} | {r.characters} | {r.left} |"
        )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Run the recipes and write the page."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, default=ROOT.parent / "shared" / "data")
    parser.add_argument("--archives", type=Path, nargs="*", help="default: all open archives")
    parser.add_argument("--recipes", nargs="*", default=RECIPES, choices=RECIPES)
    parser.add_argument("--out", type=Path, default=ROOT / "docs" / "results.md")
    arguments = parser.parse_args()
    archives = arguments.archives or sorted(arguments.data.glob(ARCHIVES))
    if not archives:
        sys.exit(f"no archives in {arguments.data}: name them with --archives")
    published = yaml.safe_load((HERE / "published.yaml").read_text())
    chapters = []
    with tempfile.TemporaryDirectory() as work:
        for name in arguments.recipes:
            print(f"{name}: {len(archives)} archives", file=sys.stderr, flush=True)
            batch = run_recipe(HERE / f"{name}.yaml", archives, Path(work))
            chapters.append(chapter(name, batch, published[name]))
    names = ", ".join(a.name for a in archives)
    head = (HERE / "head.md").read_text().format(archives=names)
    arguments.out.write_text("\n".join([head, *chapters]))
    print(arguments.out)


if __name__ == "__main__":
    main()
