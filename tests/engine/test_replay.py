"""Any plan, any order, any crash: what the journal says in the end is the same."""

from __future__ import annotations

from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.worlds import METHODS, World, random_plan
from webapp.engine.recovery import in_doubt

SEEDS = st.integers(0, 2**32)
SIZES = st.integers(1, 30)


@settings(max_examples=300, deadline=None)
@given(SEEDS, SIZES, SEEDS)
def test_any_order_and_any_crash_leads_to_the_same_end(seed: int, size: int, order: int) -> None:
    plan = random_plan(seed, size, racy=False, asks=True)
    calm = World(plan, seed, Random(1))
    wild = World(plan, seed, Random(order), crash=0.15)

    expected, found = calm.run(), wild.run()

    assert calm.lives == 1
    assert found.state == expected.state
    assert (found.result, found.problems) == (expected.result, expected.problems)
    assert wild.outcome() == calm.outcome()


@settings(max_examples=300, deadline=None)
@given(SEEDS, SIZES, SEEDS)
def test_no_effect_happens_twice_that_must_not(seed: int, size: int, order: int) -> None:
    plan = random_plan(seed, size, racy=True, asks=True)
    world = World(plan, seed, Random(order), crash=0.15)

    end = world.run()

    assert end.state in {"done", "failed"}
    for path, count in world.sent.items():
        row = world.rows[path]
        if row.effect == METHODS["POST"]:
            assert count <= row.attempt, f"{path} was sent {count} times in {row.attempt} attempts"
    assert [row for row in world.rows.values() if not row.ends_path] == []
    assert not any(in_doubt(row) for row in world.rows.values())


@settings(max_examples=200, deadline=None)
@given(SEEDS, SIZES, SEEDS)
def test_a_finished_run_that_is_replayed_starts_nothing(seed: int, size: int, order: int) -> None:
    world = World(random_plan(seed, size, racy=True, asks=True), seed, Random(order))
    end = world.run()
    sent, rows = dict(world.sent), world.outcome()

    again = world.run()

    assert (again.state, again.result, again.problems) == (end.state, end.result, end.problems)
    assert (dict(world.sent), world.outcome()) == (sent, rows)
