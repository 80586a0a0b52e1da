import pyarrow as pa
import pytest

from shared.schema import Column
from shared.step import NoParams, Step, load_registry, register


def step(name="quality.new_v1", reads=("text",), columns=("n",), doc="Counts."):
    declared = tuple(Column(c, pa.int64(), c) for c in columns)
    return Step(name, reads, declared, NoParams, doc, row=lambda rows, _: rows)


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (step(name="gopher"), "is not <service>.<name>_v<version>"),
        (step(name="quality.gopher_quality_v1"), "registered twice"),
        (step(doc=" "), "no docstring"),
        (step(reads=("text", "n")), r"reads and declares \['n'\]"),
    ],
)
def test_what_is_no_step_is_refused(bad, message):
    before = load_registry()
    with pytest.raises(ValueError, match=message):
        register(bad)
    assert load_registry() == before
