from hypothesis import given
from hypothesis import strategies as st

from services.extraction.memory import Memory, forget, remember


@given(
    st.lists(st.tuples(st.integers(0, 9), st.integers(0, 60))),
    st.integers(1, 100),
)
def test_never_more_than_the_limit_and_the_oldest_go_first(kept, limit):
    memory = Memory(limit)
    model: list[tuple[int, int]] = []
    for key, size in kept:
        memory.keep(key, size, size)
        model = [pair for pair in model if pair[0] != key] + [(key, size)]
        while sum(size for _, size in model) > limit:
            model.pop(0)
        assert {k: memory.find(k) for k in range(10)} == {k: dict(model).get(k) for k in range(10)}
        assert memory.bytes == sum(size for _, size in model) <= limit
        assert len(memory) == len(model)


def test_forgetting_frees_what_modules_remember():
    memory = remember(10)
    memory.keep("a", 1, 5)
    forget()
    assert (memory.find("a"), memory.bytes, len(memory)) == (None, 0, 0)
