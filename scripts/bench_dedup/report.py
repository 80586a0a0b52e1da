"""The deduplication part of docs/benchmarks.md, from what was measured."""

from dataclasses import dataclass
from pathlib import Path

from scripts.bench_dedup.ours import MEMORY, WORKERS, Taken
from scripts.reference import machine

TEMPLATE = Path(__file__).with_name("template.md")
#: What issue 4 asks of the signature of a 4 kB document, milliseconds of CPU by (bands, rows).
ASKED_MS = {(450, 20): 2.0, (14, 8): 0.3}
PEER_STAGES = ("signature", "buckets", "cluster", "filter")


@dataclass(frozen=True)
class Kernel:
    """CPU seconds of one 4 kB document's signature."""

    who: str
    preset: tuple[int, int]
    seconds: float


@dataclass(frozen=True)
class Peer:
    """A peer's stage over `documents`; `disk` is what its folder holds after it."""

    stage: str
    documents: int
    preset: tuple[int, int]
    cpu: float
    wall: float
    peak: int
    disk: int


@dataclass(frozen=True)
class Scale:
    """Stages by number of documents; rows of text and signatures only for new documents."""

    preset: tuple[int, int]
    runs: dict[int, list[Taken]]


def write_report(
    kernels: list[Kernel],
    peers: list[Peer],
    scales: list[Scale],
    substrings: str,
    command: str,
) -> str:
    """The part as Markdown."""
    return TEMPLATE.read_text().format(
        command=command,
        machine=machine(),
        kernels=kernel_table(kernels),
        scales="\n\n".join(scale_table(scale) for scale in scales),
        growth=growth_table(scales),
        peers=peer_table(peers, scales),
        substrings=substrings,
        workers=WORKERS,
        memory=f"{MEMORY / 2**30:g} GiB",
    )


def kernel_table(kernels: list[Kernel]) -> str:
    """A row a preset and implementation."""
    lines = [
        "| functions | implementation | CPU ms a document | times ours, words | asked for |",
        "|---|---|---|---|---|",
    ]
    own = {k.preset: k.seconds for k in kernels if k.who == "ours, words"}
    for kernel in kernels:
        bands, rows = kernel.preset
        asked = f"at most {ASKED_MS[kernel.preset]:g}" if kernel.who.startswith("ours") else ""
        lines.append(
            f"| {bands} x {rows} | {kernel.who} | {1000 * kernel.seconds:.3f} "
            f"| {kernel.seconds / own[kernel.preset]:.1f} | {asked} |"
        )
    return "\n".join(lines)


def scale_table(scale: Scale) -> str:
    """The largest size, phase by phase."""
    sizes = sorted(scale.runs)
    size, before = sizes[-1], (sizes[-2] if len(sizes) > 1 else 0)
    bands, rows = scale.preset
    lines = [
        f"{size:,} documents, {bands} bands of {rows}:",
        "",
        (
            "| phase | tasks | documents | CPU s | wall s | documents a wall second "
            "| peak RSS, MiB | disk, bytes a document |"
        ),
        "|---|---|---|---|---|---|---|---|",
    ]
    for taken in scale.runs[size]:
        documents = size - before if is_row_stage(taken) else size
        lines.append(
            f"| {taken.name} | {taken.tasks} | {documents:,} | {taken.cpu_seconds:.1f} "
            f"| {taken.wall_seconds:.1f} | {documents / taken.wall_seconds:,.0f} "
            f"| {taken.peak_bytes / 2**20:.0f} | {taken.disk_bytes / documents:.0f} |"
        )
    return "\n".join(lines)


def is_row_stage(taken: Taken) -> bool:
    """Whether a stage's columns do not depend on the batch: only new documents are computed."""
    return "main_text" in taken.name or "minhash" in taken.name


def matching(run: list[Taken]) -> list[Taken]:
    """The phases that go over all documents of a batch."""
    return [taken for taken in run if not is_row_stage(taken)]


def growth_table(scales: list[Scale]) -> str:
    """How the phases after the signatures grow with the documents."""
    lines = [
        (
            "| functions | documents | CPU s | CPU microseconds a document | wall s "
            "| peak RSS, MiB | disk, bytes a document |"
        ),
        "|---|---|---|---|---|---|---|",
    ]
    for scale in scales:
        bands, rows = scale.preset
        for size, run in sorted(scale.runs.items()):
            phases = matching(run)
            cpu = sum(t.cpu_seconds for t in phases)
            lines.append(
                f"| {bands} x {rows} | {size:,} | {cpu:.1f} | {1e6 * cpu / size:.1f} "
                f"| {sum(t.wall_seconds for t in phases):.1f} "
                f"| {max(t.peak_bytes for t in phases) / 2**20:.0f} "
                f"| {sum(t.disk_bytes for t in phases) / size:.0f} |"
            )
    return "\n".join(lines)


def peer_table(peers: list[Peer], scales: list[Scale]) -> str:
    """The peers' stages, and ours of the smallest size, per document."""
    lines = [
        (
            "| functions | who | documents | CPU ms a document | peak RSS, MiB "
            "| disk, bytes a document |"
        ),
        "|---|---|---|---|---|---|",
    ]
    for scale in scales:
        bands, rows = scale.preset
        size = min(scale.runs)
        ours = [t for t in scale.runs[size] if "main_text" not in t.name]
        lines.append(
            f"| {bands} x {rows} | ours, all phases but reading | {size:,} "
            f"| {1000 * sum(t.cpu_seconds for t in ours) / size:.3f} "
            f"| {max(t.peak_bytes for t in ours) / 2**20:.0f} "
            f"| {sum(t.disk_bytes for t in ours) / size:.0f} |"
        )
        mine = [p for p in peers if p.preset == scale.preset]
        theirs = [p for p in mine if p.stage in PEER_STAGES]
        for who, some in (
            *((f"datatrove, {p.stage}", [p]) for p in theirs),
            ("datatrove, all four", theirs),
            ("rensa", [p for p in mine if p.stage == "rensa"]),
        ):
            documents = some[0].documents
            disk = f"{some[-1].disk / documents:.0f}" if who != "rensa" else "none"
            lines.append(
                f"| {bands} x {rows} | {who} | {documents:,} "
                f"| {1000 * sum(p.cpu for p in some) / documents:.3f} "
                f"| {max(p.peak for p in some) / 2**20:.0f} | {disk} |"
            )
    return "\n".join(lines)
