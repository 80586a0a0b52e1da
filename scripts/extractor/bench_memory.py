"""Peak memory of an engine over an archive, in a process of its own.

    python -m scripts.extractor.bench_memory ENGINE ARCHIVE [PAGES]   ("none": reading, decoding)

Prints the largest resident set in bytes, after one small page and after all pages. From
`VmHWM`, which is the process's own: `ru_maxrss` begins with that of the process that started it.
"""

import json
import subprocess
import sys
from itertools import islice
from pathlib import Path

from scripts.extractor.bench_clock import WARM_UP, quiet, timed
from scripts.extractor.bench_engines import ENGINES
from scripts.extractor.bench_pages import read_languages, read_pages
from services.extraction.engines.trafilatura import reset
from shared.processes import give_memory_back

NONE = "none"
#: Pages between two times that caches are emptied, as the tables of a run.
_TABLE = 64


def measure_memory(engine: str, archive: Path, limit: int | None) -> dict[str, int]:
    """`start` and `peak` in bytes, over all pages or the first `limit`."""
    command = [sys.executable, "-m", "scripts.extractor.bench_memory", engine, str(archive)]
    command += [str(limit)] if limit else []
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE)
    found: dict[str, int] = json.loads(done.stdout)
    return found


def peak() -> int:
    """Bytes; Linux counts in KiB."""
    status = Path("/proc/self/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024


def main() -> None:
    """Go over the archive once."""
    quiet()
    give_memory_back()  # as a worker does
    name, archive = sys.argv[1], Path(sys.argv[2])
    engine = ENGINES.get(name)
    if engine is None and name != NONE:
        sys.exit(f"no engine {name!r}")
    if engine is not None:
        timed(engine, WARM_UP, "en")
    languages = read_languages()
    start = peak()
    limit = int(sys.argv[3]) if len(sys.argv) > 3 else None
    for number, page in enumerate(islice(read_pages(archive, languages), limit)):
        if engine is not None:
            timed(engine, page.html, page.language)
        if number % _TABLE == _TABLE - 1:
            reset()
    print(json.dumps({"start": start, "peak": peak()}))


if __name__ == "__main__":
    main()
