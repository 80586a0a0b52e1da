"""Exact substring duplicates: spans of some length that occur elsewhere.

Source: Lee et al., Deduplicating Training Data Makes Language Models Better (arXiv 2107.06499),
ExactSubstr; RefinedWeb (arXiv 2306.01116), whose variants are in `SubstringParams` (specs 1.8,
9.1, 15.10). Two engines give the same spans:

    fingerprints  select -> merge -> candidates -> windows -> merge_windows -> confirm
    suffix_array  suffixes
"""

from functools import partial

from services.dedup.index.grouping import merge
from services.dedup.substrings.fingerprints import candidates, select
from services.dedup.substrings.params import (
    COLUMNS,
    SubstringParams,
    key_tasks,
    run_merge_tasks,
    shard_tasks,
    suffix_tasks,
)
from services.dedup.substrings.spans import join
from services.dedup.substrings.suffixes import suffixes
from services.dedup.substrings.windows import confirm, hash_candidates
from shared.step import Phase, group_step


def _by_fingerprints(params: SubstringParams) -> bool:
    return params.engine == "fingerprints"


def _by_suffixes(params: SubstringParams) -> bool:
    return params.engine == "suffix_array"


group_step(
    "dedup.substring_duplicates_v1",
    reads=("text",),
    phases=(
        Phase("select", select, shard_tasks),
        Phase("merge", partial(merge, phase="select"), run_merge_tasks),
        Phase("candidates", candidates, key_tasks),
        Phase("windows", hash_candidates, shard_tasks, joined=_by_fingerprints),
        Phase("merge_windows", partial(merge, phase="windows"), run_merge_tasks),
        Phase("confirm", confirm, key_tasks, joined=_by_fingerprints),
        Phase("suffixes", suffixes, suffix_tasks, joined=_by_suffixes),
    ),
    doc="Spans of at least some units that occur elsewhere in the same or another document "
    "(ExactSubstr, specs 1.8, 9.1), as edits or as spans to mask.",
    params=SubstringParams,
    columns=COLUMNS,
    join=join,
)
