"""A worker that dies at any instant: the run is finished by others, and nothing happens twice."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.engine.drives import driven, each, http, lanes, plan_of, run, text
from tests.engine.worlds import answer_to, fails, random_plan
from webapp.engine.journal import End, HandBack, Park, Record
from webapp.engine.mailbox import Arrival, Mailbox
from webapp.engine.plan import Plan
from webapp.engine.ports import HttpAnswer
from webapp.engine.testing import CrashAt, Died, FakeHttp, MemoryJournal, answered, fake_ports

POINTS = (
    "worker.before_intent",
    "worker.after_intent_before_effect",
    "worker.after_effect_before_record",
    "worker.after_record_before_next",
    "worker.before_terminal",
    "worker.after_terminal_before_ack",
)


def forty_steps(method: str) -> Plan:
    """Forty steps in five lanes, as the kill test of issue 01 has them."""
    blocks = [[http(f"s_{n}x{m}", method=method) for m in range(8)] for n in range(5)]
    return plan_of(lanes("s_p", *blocks))


def finished(plan: Plan, journal: MemoryJournal, web: FakeHttp) -> End:
    """Let workers follow each other until the run has ended, deciding what is in doubt."""
    for _ in range(200):
        if journal.end is not None and journal.end.state != "needs_review":
            return journal.end
        try:
            outcome = run(plan, journal, fake_ports(web))
        except Died:
            continue
        assert not isinstance(outcome, HandBack | Park)
        for row in journal.rows.values():
            if row.state == "unknown":
                row.state, row.result = "succeeded", {"status": 200}
    raise AssertionError("the run doesn't end")


@pytest.mark.parametrize("after", [False, True])
def test_a_death_at_any_commit_repeats_nothing_that_was_finished(after: bool) -> None:
    plan = forty_steps("PUT")
    for nth in range(1, 14):
        journal, web = MemoryJournal(), FakeHttp()
        journal.dies_at, journal.dies_after = nth, after

        with pytest.raises(Died) if nth <= 9 else pytest.raises((Died, AssertionError)):
            run(plan, journal, fake_ports(web))
            raise AssertionError
        was_final = {row.idem_key for row in journal.rows.values() if row.ends_path}
        before = dict(web.keys)
        end = finished(plan, journal, web)

        assert end == End("done", result={})
        assert len(web.keys) == 40
        assert all(web.keys[key] == before[key] for key in was_final if key)
        assert all(len(bodies) == 1 for bodies in web.bodies.values())


@pytest.mark.parametrize("point", POINTS)
def test_what_must_happen_once_never_happens_twice(point: str) -> None:
    plan = forty_steps("POST")
    for nth in range(1, 10):
        journal, web = MemoryJournal(), FakeHttp()

        try:
            run(plan, journal, fake_ports(web, crash=CrashAt(point, nth)))
        except Died:
            pass
        end = finished(plan, journal, web)

        assert end == End("done", result={})
        assert max(web.keys.values()) == 1


def test_all_crash_points_of_the_driver_are_passed() -> None:
    crash = CrashAt()

    run(plan_of(http("s_1")), ports=fake_ports(crash=crash))

    assert set(crash.passed) == set(POINTS)


def test_a_death_in_the_middle_of_an_effect_is_in_doubt_when_it_must_not_repeat() -> None:
    async def die(method: str, url: str) -> HttpAnswer:
        raise Died

    journal = MemoryJournal()
    plan = plan_of(http("s_1", method="POST"))
    with pytest.raises(Died):
        run(plan, journal, fake_ports(FakeHttp(die)))

    end = run(plan, journal)

    assert end == End("needs_review")
    assert (journal.rows[("s_1", 1)].error or {})["code"] == "E-DOUBT"
    assert journal.events[-1].type == "run.needs_review"


class AskedJournal(MemoryJournal):
    """A journal whose people answer as soon as they are asked."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self.seed = seed
        self._mailbox = Mailbox()

    def mailbox(self) -> Mailbox:
        """Return a new mailbox with the answers to all that is asked now, and later."""
        self._mailbox = Mailbox()
        for row in self.rows.values():
            self._answer(row)
        return self._mailbox

    def _keep_row(self, record: Record) -> None:
        super()._keep_row(record)
        self._answer(record)

    def _answer(self, row: Record) -> None:
        if row.kind == "approval" and row.state == "waiting":
            said = answer_to(row, self.seed)
            self._mailbox.put([Arrival(row.path, "approval", row.path, said)])


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20), st.integers(0, 2**32))
def test_random_plans_survive_random_deaths(seed: int, size: int, order: int) -> None:
    plan = random_plan(seed, size, racy=False, asks=True)
    orders = Random(order)

    async def reply(method: str, url: str) -> HttpAnswer | None:
        for _ in range(orders.randint(0, 3)):
            await asyncio.sleep(0)
        if orders.random() < 0.05 and method != "POST":
            raise Died
        return answered("no", 404) if fails(url, seed) else None

    calm, wild = AskedJournal(seed), AskedJournal(seed)
    web = FakeHttp(reply)
    expected = finished_calmly(plan, calm, seed)
    for _ in range(100):
        wild.dies_at = wild.commits + orders.randint(1, 12)
        wild.dies_after = orders.random() < 0.5
        try:
            run(plan, wild, fake_ports(web), mailbox=wild.mailbox())
        except Died:
            pass
        if wild.end is not None and wild.end.state != "needs_review":
            break
        decide(wild)

    assert uncounted(wild.end) == uncounted(expected)
    assert wild.states() == calm.states()
    assert web.most_at_once <= plan.limits.at_once


def finished_calmly(plan: Plan, journal: AskedJournal, seed: int) -> End:
    async def reply(method: str, url: str) -> HttpAnswer | None:
        return answered("no", 404) if fails(url, seed) else None

    end = run(plan, journal, fake_ports(FakeHttp(reply)), mailbox=journal.mailbox())
    assert isinstance(end, End)
    return end


def uncounted(end: End | None) -> End | None:
    """Return the end without its count of attempts: what a person let do again counts twice."""
    if end is None or end.error is None:
        return end
    return replace(end, error={**end.error, "attempts": None})


def decide(journal: MemoryJournal, chance: Random | None = None) -> None:
    """Say of each doubtful step that it shall be done again, or, by chance, that it happened."""
    for (path, attempt), row in journal.rows.items():
        if row.state != "unknown" or row.error is None or "decided" in row.error:
            continue
        if chance is not None and chance.random() < 0.5:
            row.state, row.result = "succeeded", {"status": 200}
        elif (path, attempt + 1) not in journal.rows:
            row.error = {**row.error, "decided": "again"}


@settings(max_examples=80, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 20))
def test_deaths_stops_and_cancels_leave_nothing_open_and_repeat_nothing(
    seed: int, size: int
) -> None:
    plan, chance = random_plan(seed, size, racy=True, asks=True), Random(seed)

    async def reply(method: str, url: str) -> HttpAnswer | None:
        for _ in range(chance.randint(0, 4)):
            await asyncio.sleep(0)
        if chance.random() < 0.05:
            raise Died
        return answered("no", 404) if fails(url, seed) else None

    journal, web = AskedJournal(seed), FakeHttp(reply)
    for _ in range(200):
        was_final = {row.idem_key for row in journal.rows.values() if row.ends_path} - {""}
        before = {key: web.keys[key] for key in was_final}
        asyncio.run(one_life(plan, journal, web, chance))
        assert {key: web.keys[key] for key in was_final} == before
        if journal.end is not None and journal.end.state != "needs_review":
            break
        decide(journal, chance)

    assert journal.end is not None
    assert journal.end.state in {"done", "failed", "cancelled"}
    last = {path: row for (path, _), row in sorted(journal.rows.items())}
    assert [row for row in last.values() if not row.ends_path] == []
    for row in last.values():
        if row.effect == "at_most_once" and row.idem_key:
            assert web.keys[row.idem_key] <= row.attempt
    assert all(len(bodies) == 1 for bodies in web.bodies.values())
    assert web.most_at_once <= plan.limits.at_once


async def one_life(plan: Plan, journal: AskedJournal, web: FakeHttp, chance: Random) -> None:
    """Drive until the run rests, the worker dies or goes, or somebody cancels."""
    journal.dies_at = journal.commits + chance.randint(1, 10)
    journal.dies_after = chance.random() < 0.5
    stop, cancel, luck = asyncio.Event(), asyncio.Event(), chance.random()
    ports = fake_ports(web)
    life = asyncio.create_task(
        driven(
            plan,
            journal,
            ports,
            stop=stop,
            cancel=cancel,
            grace_s=0.001,
            mailbox=journal.mailbox(),
        )
    )
    for _ in range(chance.randint(0, 60)):
        await asyncio.sleep(0)
    if luck < 0.2:
        stop.set()
    elif luck < 0.25:
        journal.cancelled = True
        cancel.set()
    try:
        await life
    except Died:
        pass


def test_a_run_over_many_items_goes_on_where_it_stopped() -> None:
    journal = MemoryJournal()
    plan = plan_of(
        each("s_e", list(range(100)), each("s_f", list(range(20)), text("s_1", "a"), at_once=20)),
    )
    journal.dies_at = 40
    with pytest.raises(Died):
        run(plan, journal)
    written = len(journal.rows)

    end = run(plan, journal)

    assert end == End("done", result={})
    assert written < 2_101 == len(journal.rows)
