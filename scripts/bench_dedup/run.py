"""Deduplication measured: signatures, five million documents under 2 GiB, peers, substrings.

    make bench-dedup                                              (a quarter of an hour, two cores)
    python -m scripts.bench_dedup.run --sizes 50000 --dear 50000  (a try: fewer documents)

Writes its part of `docs/benchmarks.md`. The documents are made from the prose of the test data
(`scripts/bench_dedup/corpus.py`); they and the store lie in a temporary folder, about 25 GB.
"""

import argparse
import json
import subprocess
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from scripts import bench_substrings
from scripts.bench_dedup.corpus import DOCUMENTS_A_FILE, PROSE, documents, write_files
from scripts.bench_dedup.ours import Taken, run_batch
from scripts.bench_dedup.report import Kernel, Peer, Scale, write_report
from scripts.parts import write_part
from scripts.reference import ROOT, their_environment, their_python

SEED = 1
#: Documents with 14 bands of 8, smallest first; the last is what the page is about.
SIZES = (500_000, 1_500_000, 5_000_000)
#: Documents with 450 bands of 20.
DEAR_SIZES = (100_000, 500_000)
#: Documents that the peers get; datatrove takes 3 ms each for 14 x 8 and 60 for 450 x 20.
PEER_SIZES = {(14, 8): 30_000, (450, 20): 2_000}
#: 4 kB documents: as many made ones, joined.
KERNEL_DOCUMENTS, JOINED = 200, 4
PRESETS = ((14, 8), (450, 20))
SUBSTRING_MB = 20


def recipe(bands: int, rows: int) -> dict[str, Any]:
    """Texts, signatures, clusters; every document that is not a keeper is dropped."""
    return {
        "name": f"bench-{bands}x{rows}",
        "source": "none",
        "steps": [
            "extraction.records_v1",
            {"extraction.main_text_v1": {"engine": "plain_text"}},
            {"dedup.minhash_v1": {"bands": bands, "rows": rows}},
            {"dedup.near_duplicates_v1": {}, "keep": {"keeper": "keeper == true"}},
        ],
    }


def scale(folder: Path, files: list[Path], sizes: Sequence[int], preset: tuple[int, int]) -> Scale:
    """All sizes with one preset; each size's documents begin with those of the size before.

    What the store has is not computed again, so that the columns of a size are new documents'
    alone; the phases of matching run over all.
    """
    runs: dict[int, list[Taken]] = {}
    for size in sizes:
        chosen = files[: -(-size // DOCUMENTS_A_FILE)]
        name = f"b{preset[0]}x{preset[1]}-{size}"
        runs[len(chosen) * DOCUMENTS_A_FILE] = run_batch(folder, name, chosen, recipe(*preset))
    return Scale(preset, runs)


def peers(work: Path, preset: tuple[int, int]) -> list[Peer]:
    """Every stage of the peers on the same documents."""
    count = PEER_SIZES[preset]
    files = _one_file(work / f"peers-{count}", documents(SEED, 0, count))
    found = []
    for stage in ("signature", "buckets", "cluster", "filter", "rensa"):
        where = work / f"theirs-{preset[0]}"
        taken = _theirs(stage, files, where, preset)
        disk = sum(
            p.stat().st_size for p in where.rglob("*") if p.is_file() and "log" not in p.parts
        )
        found.append(Peer(stage, count, preset, taken["cpu"], taken["wall"], taken["peak"], disk))
    return found


def kernels(work: Path) -> list[Kernel]:
    """Signatures of 4 kB documents, texts in memory: ours, datasketch's, rensa's, datatrove's."""
    pieces = documents(SEED, 0, KERNEL_DOCUMENTS * JOINED).to_pylist()
    joined = pa.array([" ".join(pieces[i::KERNEL_DOCUMENTS]) for i in range(KERNEL_DOCUMENTS)])
    files = _one_file(work / "kernels", joined)
    found = []
    for preset in PRESETS:
        for unit in ("words", "tokens"):
            seconds = _best(lambda p=preset, u=unit: our_signatures(joined, p, u))
            found.append(Kernel(f"ours, {unit}", preset, seconds / KERNEL_DOCUMENTS))
        seconds = _best(lambda p=preset: datasketch_signatures(joined, p))
        found.append(Kernel("datasketch", preset, seconds / KERNEL_DOCUMENTS))
        for peer in ("rensa", "datatrove"):
            taken = _theirs(f"kernel-{peer}", files, work, preset)
            found.append(Kernel(peer, preset, taken["cpu"] / KERNEL_DOCUMENTS))
    return found


def our_signatures(texts: pa.Array, preset: tuple[int, int], unit: str) -> None:
    """The step itself: normalisation, segmentation, shingles, hashes, functions, band digests."""
    from services.dedup.steps.minhash import MinhashParams, minhash

    bands, rows = preset
    params = MinhashParams.model_validate({"bands": bands, "rows": rows, "unit": unit})
    minhash(pa.table({"text": pa.chunked_array([texts])}), params)


def datasketch_signatures(texts: pa.Array, preset: tuple[int, int]) -> None:
    """Words between white space, as its examples cut them."""
    from datasketch import MinHash

    for text in texts.to_pylist():
        words = text.split()
        shingles = [" ".join(words[i : i + 5]).encode() for i in range(len(words) - 4)]
        MinHash(num_perm=preset[0] * preset[1], seed=1).update_batch(shingles)


def _best(function: Callable[[], None]) -> float:
    """CPU seconds, best of three after one to load what is loaded once."""
    function()
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        function()
        best = min(best, time.process_time() - started)
    return best


def _one_file(folder: Path, texts: pa.Array) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    ids = pa.array([f"d{i}" for i in range(len(texts))])
    pq.write_table(pa.table({"id": ids, "text": texts}), folder / "0.parquet")
    return folder


def _theirs(stage: str, files: Path, work: Path, preset: tuple[int, int]) -> dict[str, Any]:
    print(f"{stage} {preset[0]} x {preset[1]}", flush=True)
    command = [str(their_python()), "-m", "scripts.bench_dedup.theirs", stage, str(files)]
    done = subprocess.run(
        [*command, str(work), *map(str, preset)],
        check=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=their_environment(work),
        cwd=ROOT,
    )
    taken: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return taken


def command_of(options: argparse.Namespace) -> str:
    """The command that measures the same, whatever folder it works in."""
    asked = (tuple(options.sizes), tuple(options.dear), options.substring_mb)
    if asked == (SIZES, DEAR_SIZES, SUBSTRING_MB):
        return "make bench-dedup"
    sizes, dear = (" ".join(map(str, some)) for some in asked[:2])
    return (
        f"python -m scripts.bench_dedup.run --sizes {sizes} --dear {dear} "
        f"--substring-mb {options.substring_mb}"
    )


def main() -> None:
    """Measure, and write the page's part."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--sizes", type=int, nargs="+", default=SIZES, help="documents, 14 x 8")
    parser.add_argument(
        "--dear", type=int, nargs="+", default=DEAR_SIZES, help="the same, 450 x 20"
    )
    parser.add_argument("--substring-mb", type=int, default=SUBSTRING_MB)
    parser.add_argument("--work", type=Path, help="folder for documents and store, kept")
    parser.add_argument("--output", type=Path, default=ROOT / "docs" / "benchmarks.md")
    options = parser.parse_args()
    if not PROSE.is_file():
        raise SystemExit(f"{PROSE} is absent: the documents are made from it")
    with tempfile.TemporaryDirectory(prefix="bench-dedup-") as temporary:
        work = options.work or Path(temporary)
        measured = kernels(work)
        compared = [peer for preset in PRESETS for peer in peers(work, preset)]
        substrings = bench_substrings.table(bench_substrings.measure(options.substring_mb))
        print(f"making {max(*options.sizes, *options.dear):,} documents", flush=True)
        files = write_files(work / "documents", SEED, max(*options.sizes, *options.dear))
        scales = [
            scale(work / "store-dear", files, options.dear, (450, 20)),
            scale(work / "store", files, options.sizes, (14, 8)),
        ]
    text = write_report(measured, compared, scales, substrings, command_of(options))
    write_part(options.output, "make bench-dedup", text)
    print(text)


if __name__ == "__main__":
    main()
