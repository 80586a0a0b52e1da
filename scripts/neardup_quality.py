r"""Near duplicates against brute force: recall and precision of the real steps on real documents.

    python -m scripts.neardup_quality [--out FOLDER]

Documents are both sides of the shared near-duplicate sets: English help pages in two spellings,
editions of Tang poems, articles with planted copies. Truth is every pair with an exact Jaccard
similarity of 0.8 or more, by two definitions of a shingle: the step's own, and the evaluation's
(five words of `\w+` in a row, NFKC and lower case; of Chinese, five characters), which no step is
made for. Candidates are the pairs that share a band; linked pairs are those that verification
passes; clusters are compared as all pairs in them. With `--out`, documents and clusters are written
as the evaluation tool (`neardup_eval.py`) reads them.
"""

import argparse
import gzip
import json
import re
import sys
import unicodedata
from collections.abc import Iterable, Iterator
from itertools import combinations
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from scripts.reference import DATA
from shared.compute import compute
from shared.index import ROW_BITS
from shared.recipe import BoundStep, ResolvedRecipe
from shared.step import load_registry
from shared.table_scope import TableScope

Pairs = set[tuple[int, int]]
#: Similarity from which two documents count as near duplicates.
LEAST = 0.8
SHARD_ROWS = 4096
#: Settings of two published pipelines. RefinedWeb's tokens are for English, so Chinese takes words
#: in both; so does English once more, as Lee et al. do (specs 9.2).
FINEWEB = {"bands": 14, "rows": 8}
REFINEDWEB = {"bands": 450, "rows": 20}
TOKENS = {"unit": "tokens", "normalization": "refinedweb"}
RUNS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    ("help pages, en", "neardup_en_gb_us_docs", FINEWEB),
    ("help pages, en", "neardup_en_gb_us_docs", {**REFINEDWEB, **TOKENS}),
    ("help pages, en", "neardup_en_gb_us_docs", REFINEDWEB),
    ("articles, en", "neardup_en_minhash_articles", FINEWEB),
    ("articles, en", "neardup_en_minhash_articles", {**REFINEDWEB, **TOKENS}),
    ("Tang poems, zh", "neardup_zh_tang_editions", FINEWEB),
    ("Tang poems, zh", "neardup_zh_tang_editions", REFINEDWEB),
)


class Sets(NamedTuple):
    """The shingles of document i, ascending and distinct: `values[offsets[i]:offsets[i + 1]]`."""

    values: npt.NDArray[np.uint64]
    offsets: npt.NDArray[np.int64]

    def of(self, document: int) -> npt.NDArray[np.uint64]:
        """Those of one document."""
        return self.values[self.offsets[document] : self.offsets[document + 1]]

    def jaccard(self, a: int, b: int) -> float:
        """Similarity of two documents."""
        shared = len(np.intersect1d(self.of(a), self.of(b), assume_unique=True))
        return shared / max(1, len(self.of(a)) + len(self.of(b)) - shared)


class Found(NamedTuple):
    """What the steps found."""

    candidates: Pairs
    loose: Pairs  # pairs in clusters of candidates
    linked: Pairs  # pairs that verification passed
    clusters: Pairs  # pairs in clusters of these


def read_documents(name: str) -> dict[str, tuple[str, str]]:
    """Texts and languages by id."""
    found: dict[str, tuple[str, str]] = {}
    with gzip.open(DATA / f"text/open/{name}.jsonl.gz", "rt") as lines:
        for row in map(json.loads, lines):
            if row.get("set", "2500") == "2500":  # smaller sets are parts of this one
                for side in ("",) if "text" in row else ("a_", "b_"):
                    found.setdefault(row[f"{side}id"], (row[f"{side}text"], row["lang"]))
    return found


def evaluation_sets(documents: Iterable[tuple[str, str]]) -> Sets:
    """Shingles as the evaluation defines them, numbered in the order of their first document."""
    numbers: dict[Any, int] = {}
    values, offsets = [], [0]
    for text, language in documents:
        words: Any = re.findall(r"\w+", unicodedata.normalize("NFKC", text).lower())
        words = "".join(words) if language == "zh" else tuple(words)
        grams = {words[i : i + 5] for i in range(max(1, len(words) - 4))}
        values += sorted(numbers.setdefault(gram, len(numbers)) for gram in grams)
        offsets.append(len(values))
    return Sets(np.array(values, np.uint64), np.array(offsets, np.int64))


def similar_pairs(sets: Sets) -> Pairs:
    """All pairs with a similarity of LEAST or more, by an exact join.

    Of two such sets, each in the order of how rare its members are, the first |A| - LEAST |A| + 1
    of A and those of B have a member in common (prefix filter; Bayardo et al. 2007).
    """
    members, ranks, counts = np.unique(sets.values, return_inverse=True, return_counts=True)
    order = np.empty(len(members), np.int64)
    order[np.argsort(counts, kind="stable")] = np.arange(len(members))
    holders: dict[int, list[int]] = {}
    for document in range(len(sets.offsets) - 1):
        mine = np.sort(order[ranks[sets.offsets[document] : sets.offsets[document + 1]]])
        for member in mine[: len(mine) - int(np.ceil(LEAST * len(mine) - 1e-9)) + 1].tolist():
            holders.setdefault(member, []).append(document)
    candidates = {pair for held in holders.values() for pair in combinations(held, 2)}
    return {(a, b) for a, b in candidates if sets.jaccard(a, b) >= LEAST}


def run_steps(texts: list[str], minhash: dict[str, Any]) -> tuple[Found, Sets]:
    """The steps over documents, and their own shingles of these."""
    from services.dedup.shingles import shingle_hashes

    registry = load_registry()
    signing, matching = registry["dedup.minhash_v1"], registry["dedup.near_duplicates_v1"]
    params: Any = signing.params.model_validate(minhash)
    column = pa.chunked_array([pa.array(texts, pa.large_string())])
    bands = compute(signing, params, pa.table({"text": column})).column("bands")
    table = pa.table(
        {
            "text": column,
            "bands": bands,
            "document": pa.array([str(i) for i in range(len(texts))]),
            "characters": pa.array([len(text) for text in texts], pa.int64()),
        }
    )
    shards = [table.slice(at, SHARD_ROWS) for at in range(0, len(texts), SHARD_ROWS)]
    found = {}
    for verify in (None, {"jaccard": LEAST}):
        asked = matching.params.model_validate({"verify": verify})
        numbered = [s.add_column(0, "row", [pa.array(range(len(s)), pa.int64())]) for s in shards]
        scope = TableScope(numbered)
        made = BoundStep(0, signing, params, (), {"text": 0}, (), "")
        here = BoundStep(1, matching, asked, (), {"bands": 0, "text": 0}, (), "")
        scope.recipe = ResolvedRecipe(scope.recipe.recipe, (made, here))
        scope.run(matching, asked)
        joined = pa.concat_tables(scope.join(matching, asked))
        found[verify is not None] = scope, pairs_in_clusters(joined.column("cluster").to_pylist())
    linked = set(edges(found[True][0]))
    result = Found(banded_pairs(bands), found[False][1], linked, found[True][1])
    return result, Sets(*shingle_hashes(column, params))


def edges(scope: TableScope) -> Iterator[tuple[int, int]]:
    """The pairs that verification passed."""
    for table in scope.tables("verify"):
        ends = []
        for name in ("left", "right"):
            places = np.asarray(table.column(name), np.int64)
            ends.append((places >> ROW_BITS) * SHARD_ROWS + (places & ((1 << ROW_BITS) - 1)))
        yield from zip(ends[0].tolist(), ends[1].tolist(), strict=True)


def pairs_in_clusters(clusters: list[str | None]) -> Pairs:
    """All pairs of documents of one cluster."""
    members: dict[str, list[int]] = {}
    for document, cluster in enumerate(clusters):
        if cluster is not None:
            members.setdefault(cluster, []).append(document)
    return {pair for inside in members.values() for pair in combinations(inside, 2)}


def banded_pairs(bands: pa.ChunkedArray) -> Pairs:
    """All pairs that share a band."""
    holders: dict[tuple[int, int], list[int]] = {}
    for document, digests in enumerate(bands.to_pylist()):
        for band, digest in enumerate(digests or ()):
            holders.setdefault((band, digest), []).append(document)
    return {pair for held in holders.values() for pair in combinations(held, 2)}


def share(part: int, whole: int) -> str:
    """A proportion with its counts."""
    return f"{part / whole:.4f} ({part:,} of {whole:,})" if whole else "-"


def row_of(found: Found, sets: Sets, truth: Pairs) -> list[str]:
    """Recall of candidates and of clusters, precision of each kind of pair."""
    cells = [share(len(truth & pairs), len(truth)) for pairs in (found.candidates, found.clusters)]
    for pairs in (found.candidates, found.loose, found.linked, found.clusters):
        right = sum(sets.jaccard(a, b) >= LEAST for a, b in pairs)
        cells.append(share(right, len(pairs)))
    return cells


def write(folder: Path, name: str, minhash: dict[str, Any], docs: Any, found: Found) -> None:
    """Documents and pairs as the evaluation tool reads them."""
    folder.mkdir(parents=True, exist_ok=True)
    ids = list(docs)
    with (folder / f"{name}.jsonl").open("w") as out:
        for key, (text, language) in docs.items():
            out.write(json.dumps({"id": key, "text": text, "lang": language}) + "\n")
    setting = f"{minhash['bands']}x{minhash['rows']}-{minhash.get('unit', 'words')}"
    for kind, pairs in found._asdict().items():
        with (folder / f"{name}-{setting}-{kind}.jsonl").open("w") as out:
            for a, b in sorted(pairs):
                out.write(json.dumps({"id_a": ids[a], "id_b": ids[b]}) + "\n")


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path)
    out = parser.parse_args().out
    heads = (
        *("documents", "bands x rows", "shingles"),
        *("recall, candidates", "recall, verified clusters", "precision, candidates"),
        *("precision, their clusters", "precision, verified", "precision, verified clusters"),
    )
    print("| " + " | ".join(heads) + " |\n|" + "---|" * len(heads))
    truths: dict[str, tuple[Sets, Pairs]] = {}
    for title, name, minhash in RUNS:
        docs = read_documents(name)
        found, own = run_steps([text for text, _ in docs.values()], minhash)
        if name not in truths:
            reference = evaluation_sets(docs.values())
            truths[name] = reference, similar_pairs(reference)
        setting = f"{minhash['bands']} x {minhash['rows']}"
        unit = minhash.get("unit", "words")
        for kind, (sets, truth) in (
            (f"its own ({unit})", (own, similar_pairs(own))),
            ("the evaluation's", truths[name]),
        ):
            print("| " + " | ".join((title, setting, kind, *row_of(found, sets, truth))) + " |")
        sys.stdout.flush()
        if out is not None:
            write(out, name, minhash, docs, found)


if __name__ == "__main__":
    main()
