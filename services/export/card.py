"""The dataset card: README.md from the values of the manifest, so that the two cannot differ."""

import json
from collections.abc import Iterable
from typing import Any

from shared.dataset import DatasetManifest

NOTICE = (
    "The texts were published on the web and belong to their publishers. The licence above covers "
    "the selection and its arrangement. A document's id names its archive and the record's offset "
    "there, so that its source can be found and the document taken down."
)


def dataset_card(manifest: DatasetManifest) -> str:
    """A Markdown page with a YAML head, as dataset hubs read it."""
    recipe, tokenizer, totals = manifest.recipe, manifest.tokenizer, manifest.totals
    trained = (
        f"byte-level BPE, trained on {tokenizer.sample_documents:,} documents "
        f"({tokenizer.sample_bytes:,} bytes)"
        if tokenizer.source == "train"
        else f"given: `{tokenizer.source}`"
    )
    facts = [
        ("archives", f"{manifest.sources:,} (as a set: `{manifest.scope}`)"),
        ("recipe", f"`{recipe.name}` (hash `{recipe.hash}`)"),
        ("recipe's source", recipe.source or "its own"),
        ("documents", f"{totals.documents:,} ({totals.empty_documents:,} without text)"),
        ("characters", f"{totals.characters:,}"),
        ("tokens", f"{totals.tokens:,}"),
        *_masked(manifest),
        ("sequences", f"{totals.sequences:,} of {manifest.sequence_length:,} tokens"),
        ("tokenizer", f"{trained}; {tokenizer.vocab_size:,} tokens, `{tokenizer.eos}` ends each"),
        ("token type", f"{manifest.dtype}, little-endian"),
        ("seed", str(manifest.seed)),
        ("licence", manifest.licence),
    ]
    files = [(f.name, f"{f.bytes:,}", f.blake3) for f in manifest.files]
    parts = [
        f"---\nlicense: other\nlicense_name: {json.dumps(manifest.licence)}\n---",
        f"# {manifest.id}",
        _table(("", ""), facts),
        "## Funnel",
        _funnel(manifest.funnel, recipe.published),
        "## Deviations from the source",
        "\n".join(f"- {line}" for line in recipe.deviations) or "None is known.",
        "## Files",
        _table(("file", "bytes", "blake3"), files),
        "## Licences",
        NOTICE,
    ]
    return "\n\n".join(parts) + "\n"


def _masked(manifest: DatasetManifest) -> list[tuple[str, str]]:
    """How much training leaves out, where the dataset has a mask."""
    if all(shard.mask_file is None for shard in manifest.shards):
        return []
    masked, tokens = manifest.totals.masked_tokens, manifest.totals.tokens
    share = 100 * masked / max(1, tokens)
    return [("masked tokens", f"{masked:,} ({share:.2f} %): in the text, not in the loss")]


def _funnel(funnel: dict[str, Any], published: dict[str, float]) -> str:
    """A row a stage and, under it, one a keep rule; percentages of all documents."""
    raw = funnel["documents"]
    rows: list[tuple[str, ...]] = []
    for stage in funnel["stages"]:
        if "kept" not in stage:
            continue
        failed = sum(stage["failed"].values())
        kept = f"{stage['kept']:,} ({stage['kept_percent_of_raw']} %)"
        rows.append((f"**{stage['stage']}**", f"{stage['entered']:,}", f"{failed:,}", "", kept))
        rows += [
            (f"`{r['rule']}`", "", "", f"{r['documents']:,} ({r['percent_of_raw']} %)", "")
            for r in stage["rules"]
        ]
    head = ("stage or rule", "entered", "failed", "dropped", "kept")
    summary = (
        f"{raw:,} documents: {funnel['kept']:,} kept, {funnel['dropped']:,} dropped by a rule, "
        f"{funnel['failed']:,} failed."
    )
    lines = [summary, _table(head, rows)]
    if published:
        rates = [(name.replace("_", " "), f"{100 * rate:g} %") for name, rate in published.items()]
        lines += ["Rates that the source publishes:", _table(("after", "kept"), rates)]
    return "\n\n".join(lines)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    cells = (" | ".join(cell.replace("|", "\\|") for cell in line) for line in lines)
    return "\n".join(f"| {line} |" for line in cells)
