"""The peers' side: datatrove's four MinHash stages, or rensa, on the same Parquet files.

    python -m scripts.bench_dedup.theirs STAGE FILES WORK BANDS ROWS

STAGE: signature, buckets, cluster, filter, rensa, kernel-datatrove or kernel-rensa.

Each in a process of its own, in datatrove's environment; prints what it took as JSON. rensa has no
shingling: five words by white space, as its own examples cut them. The kernels take the CPU time
of the signature alone, texts in memory, best of three.
"""
# mypy: disable-error-code="import-not-found"

import json
import sys
import time
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq

from scripts.bench_dedup.memory import peak_bytes

NGRAM, SEED = 5, 1
#: Documents a call of rensa's.
CALL_DOCUMENTS = 5000


def texts(files: Path) -> Iterator[tuple[str, str]]:
    """Id and text of every document."""
    for path in sorted(files.glob("*.parquet")):
        table = pq.read_table(path, columns=["id", "text"])
        yield from zip(table["id"].to_pylist(), table["text"].to_pylist(), strict=True)


def datatrove(stage: str, files: Path, work: Path, bands: int, rows: int) -> int:
    """One of datatrove's stages with its own local executor; returns documents that are left."""
    from datatrove.executor import LocalPipelineExecutor
    from datatrove.pipeline.dedup import (
        MinhashDedupBuckets,
        MinhashDedupCluster,
        MinhashDedupFilter,
        MinhashDedupSignature,
    )
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from datatrove.pipeline.readers import ParquetReader
    from datatrove.pipeline.writers import JsonlWriter

    config = MinhashConfig(n_grams=NGRAM, num_buckets=bands, hashes_per_bucket=rows, seed=SEED)
    signatures, buckets, removed = (str(work / name) for name in ("sig", "buckets", "removed"))
    reader = ParquetReader(str(files), glob_pattern="*.parquet")
    pipelines: dict[str, tuple[int, list[Any]]] = {
        "signature": (1, [reader, MinhashDedupSignature(signatures, config)]),
        "buckets": (bands, [MinhashDedupBuckets(signatures, buckets, config=config)]),
        "cluster": (1, [MinhashDedupCluster(buckets, removed, config=config)]),
        "filter": (1, [reader, MinhashDedupFilter(removed), JsonlWriter(str(work / "kept"))]),
    }
    tasks, pipeline = pipelines[stage]
    logs = str(work / "logs" / stage)
    stats = LocalPipelineExecutor(pipeline, tasks=tasks, workers=1, logging_dir=logs).run()
    return int(stats.stats[-1]["total"].total) if stage == "filter" else 0


def rensa(files: Path, bands: int, rows: int) -> int:
    """Its bulk calls, the fastest it has; returns documents that share a band with no other."""
    from rensa import RMinHash, RMinHashLSH

    index = RMinHashLSH(threshold=0.8, num_perm=bands * rows, num_bands=bands)
    documents = (text.split() for _, text in texts(files))
    key = kept = 0
    while some := list(islice(documents, CALL_DOCUMENTS)):
        shingles = [[" ".join(w[i : i + NGRAM]) for i in range(len(w) - NGRAM + 1)] for w in some]
        matrix = RMinHash.digest_matrix_from_token_sets(shingles, bands * rows, SEED)
        flags = index.insert_matrix_and_query_duplicate_flags(matrix, start_key=key)
        kept += len(some) - sum(flags)
        key += len(some)
    return kept


def kernel(stage: str, files: Path, bands: int, rows: int) -> float:
    """CPU seconds of the signatures of all documents."""
    from datatrove.pipeline.dedup import MinhashDedupSignature
    from datatrove.pipeline.dedup.minhash import MinhashConfig
    from rensa import RMinHash

    found = [text for _, text in texts(files)]
    config = MinhashConfig(n_grams=NGRAM, num_buckets=bands, hashes_per_bucket=rows, seed=SEED)
    block = MinhashDedupSignature("/tmp", config)  # noqa: S108 (writes nothing here)

    def theirs(text: str) -> None:
        block.get_signature(block.get_shingles(text))

    def rensas(text: str) -> None:
        words = text.split()
        signature = RMinHash(num_perm=bands * rows, seed=SEED)
        signature.update([" ".join(words[i : i + NGRAM]) for i in range(len(words) - NGRAM + 1)])
        signature.digest()

    function = theirs if stage == "kernel-datatrove" else rensas
    best = float("inf")
    for _ in range(3):
        started = time.process_time()
        for text in found:
            function(text)
        best = min(best, time.process_time() - started)
    return best


def main() -> None:
    """Run one stage."""
    stage, files, work, bands, rows = sys.argv[1:]
    started, cpu = time.perf_counter(), time.process_time()
    if stage.startswith("kernel-"):
        print(json.dumps({"cpu": kernel(stage, Path(files), int(bands), int(rows))}))
        return
    if stage == "rensa":
        kept = rensa(Path(files), int(bands), int(rows))
    else:
        kept = datatrove(stage, Path(files), Path(work), int(bands), int(rows))
    taken = {
        "cpu": time.process_time() - cpu,
        "wall": time.perf_counter() - started,
        "peak": peak_bytes(),
        "kept": kept,
    }
    print(json.dumps(taken))


if __name__ == "__main__":
    main()
