from datetime import UTC, datetime

from hypothesis import given, settings
from hypothesis import strategies as st

from shared.plan import finished, runnable, runnable_after
from shared.recipe import load_recipe
from shared.shards import Batch, Source, unique_names
from shared.stages import Pipeline, compile_batch


def pipeline(sources: int = 2, size: int = 2500) -> Pipeline:
    return compile_batch(
        Batch(
            id="b",
            recipe=load_recipe("refinedweb-lite"),
            sources=tuple(
                Source(uri=f"/x/{i}.warc.gz", name=f"{i}.warc.gz", size=size, etag="e")
                for i in range(sources)
            ),
            shard_bytes=1024,
            created=datetime(2026, 1, 1, tzinfo=UTC),
        )
    )


PIPELINE = pipeline()


def test_shards_cover_every_byte_once():
    for source in PIPELINE.batch.sources:
        shards = [s for s in PIPELINE.batch.shards if s.source is source]
        assert [(s.start, s.end) for s in shards] == [(0, 1024), (1024, 2048), (2048, 2500)]
    assert [s.index for s in PIPELINE.batch.shards] == list(range(6))


def test_an_empty_source_is_one_shard():
    assert len(pipeline(1, 0).batch.shards) == 1


def test_neighbouring_row_steps_of_a_service_are_one_stage():
    assert [s.name for s in PIPELINE.stages[:3]] == [
        "records_v1+main_text_v1+format_v1",
        "fasttext_v1",
        "gopher_repetition_v1+gopher_quality_v1",
    ]
    # The join of one group step and the row step after it read the same rows.
    assert any("exact_duplicates_v1+minhash_v1" in s.name for s in PIPELINE.stages)


def test_only_the_first_stage_can_start():
    refs = list(runnable(PIPELINE, {}))
    assert {r.stage for r in refs} == {0}
    assert len(refs) == 6


def test_a_shard_goes_on_alone_until_a_barrier():
    units = [s.id for s in PIPELINE.batch.shards]
    refs = list(runnable(PIPELINE, {0: {units[0]}}))
    assert [(r.stage, r.unit) for r in refs if r.stage] == [(1, units[0])]
    barrier = next(s for s in PIPELINE.stages if s.phase)
    done = {i: set(units) for i in range(barrier.index)}
    done[barrier.index - 1] = set(units[1:])
    assert all(r.stage < barrier.index for r in runnable(PIPELINE, done))
    done[barrier.index - 1] = set(units)
    assert {r.stage for r in runnable(PIPELINE, done)} == {barrier.index}


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_any_order_of_commits_ends_finished(rng):
    done: dict[int, set[str]] = {}
    commits = 0
    while refs := list(runnable(PIPELINE, done)):
        assert not finished(PIPELINE, done)
        ref = rng.choice(refs)
        done.setdefault(ref.stage, set()).add(ref.unit)
        commits += 1
    assert finished(PIPELINE, done)
    assert commits == sum(len(PIPELINE.units(s)) for s in PIPELINE.stages)


@settings(max_examples=40, deadline=None)
@given(st.randoms(use_true_random=False))
def test_losing_all_memory_plans_the_same(rng):
    """What can run follows from receipts alone, whatever was sent before."""
    done = {0: {s.id for s in PIPELINE.batch.shards if rng.random() < 0.5}}
    assert list(runnable(PIPELINE, done)) == list(runnable(pipeline(), done))


def test_a_commit_hands_its_shard_on():
    first = next(iter(runnable(PIPELINE, {})))
    (following,) = runnable_after(PIPELINE, first)
    assert (following.stage, following.unit) == (1, first.unit)
    barrier = next(s for s in PIPELINE.stages if s.phase)
    before = first.model_copy(update={"stage": barrier.index - 1})
    assert runnable_after(PIPELINE, before) == []
    last = first.model_copy(update={"stage": len(PIPELINE.stages) - 1})
    assert runnable_after(PIPELINE, last) == []


def test_message_is_tens_of_bytes():
    ref = next(iter(runnable(PIPELINE, {})))
    assert len(ref.model_dump_json()) < 128


def test_names_are_the_shortest_unique_ends():
    assert unique_names(["/a/x.gz", "/a/y.gz"]) == ["x.gz", "y.gz"]
    assert unique_names(["s3://b/1/x.gz", "s3://b/2/x.gz"]) == ["1/x.gz", "2/x.gz"]
    assert unique_names(["/x.gz"]) == ["x.gz"]
