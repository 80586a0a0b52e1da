from typing import Literal

import pyarrow as pa

from shared.schema import Column
from shared.step import Params, Step, load_registry
from shared.warming import warm


class ConventionParams(Params):
    words: Literal["whitespace", "unicode"] = "whitespace"
    lines: Literal["filled", "split"] | None = None
    limit: int = 3


def test_a_worker_tries_each_convention_before_its_first_task(monkeypatch):
    seen = []

    def measure(rows: pa.Table, params: ConventionParams) -> pa.Table:
        assert rows["text"].to_pylist() != [None]
        seen.append((params.words, params.lines))
        return pa.table({"n": pa.array([1], pa.int64())})

    columns = (Column("n", pa.int64(), "n"),)
    step = Step("quality.warmed_v1", ("text",), columns, ConventionParams, "Counts.", row=measure)
    others = {n: s for n, s in load_registry().items() if s.service != "quality"}
    monkeypatch.setattr("shared.warming.load_registry", lambda: {**others, step.name: step})
    warm("quality")
    assert seen == [
        ("whitespace", None),
        ("unicode", None),
        ("whitespace", "filled"),
        ("whitespace", "split"),
    ]
