"""An agent's tool calls are steps of their own, with intent and result."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from tests.engine.drives import Doc, driven, plan_of, run, text, until
from webapp.engine.driver import drive
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.journal import End, HandBack, idem_key
from webapp.engine.ledger import Usage
from webapp.engine.plan import Plan
from webapp.engine.ports import Ports
from webapp.engine.providers import Ask, Hooks
from webapp.engine.testing import Died, MemoryJournal, ScriptedModels, facts_of, fake_ports, priced
from webapp.engine.tools.tool import Tool


class Letter(BaseModel):
    to: str


@dataclass
class Post:
    """A tool that sends letters, and counts them."""

    effect: Effect = Effect.AT_MOST_ONCE
    sent: list[str] = field(default_factory=list)
    trouble: BaseException | None = None
    gate: asyncio.Event | None = None

    @property
    def tools(self) -> dict[str, Tool]:
        return {"post": Tool("post", "Post", "Sends.", Letter, (), self.effect, self.send)}

    async def send(self, letter: Letter, ports: Ports) -> dict[str, Any]:
        self.sent.append(letter.to)
        if self.gate is not None:
            await self.gate.wait()
        if self.trouble is not None:
            raise self.trouble
        return {"sent": letter.to}


def agent(**common: Any) -> Doc:
    inline = {"instructions": "Write.", "model": "m", "tools": ["post"]}
    retry = {"times": 2, "wait_s": 0}
    settings = {"inline": inline, "message": "Go."}
    return {"id": "s_1", "kind": "agent", "with": settings, "retry": retry, **common}


def writes_to(*names: str, then: Any = "done") -> Any:
    async def answer(ask: Ask, hooks: Hooks) -> Any:
        for name in names:
            await hooks.call("post", {"to": name})
        if isinstance(then, BaseException):
            raise then
        return then

    return answer


def with_post(post: Post, *answers: Any) -> Ports:
    return fake_ports(models=ScriptedModels(list(answers)), tools=post.tools)


ONE: Plan = plan_of(agent())


def test_each_call_has_a_row_with_its_own_key() -> None:
    journal, post = MemoryJournal(), Post()

    end = run(ONE, journal, with_post(post, writes_to("Ada", "Ben")))

    assert end == End("done", result={})
    assert journal.states() == {f"s_1{c}": "succeeded" for c in ("", "/call_1", "/call_2")}
    row = journal.rows[("s_1/call_2", 1)]
    assert (row.idem_key, row.effect) == (idem_key("run_1", "s_1/call_2"), "at_most_once")
    assert row.result == {"sent": "Ben"}
    assert row.request == b'{"args":{"to":"Ben"},"tool":"post"}'
    phases = [e.data["phase"] for e in journal.events if e.type == "step.tool"]
    assert phases == ["started", "done", "started", "done"]
    assert journal.done == 1


def test_a_second_attempt_gets_the_answers_of_the_first_ones_calls() -> None:
    journal, post = MemoryJournal(), Post()
    busy = StepError("E-PROVIDER-BUSY", "Busy.", proven=True)
    ports = with_post(post, writes_to("Ada", then=busy), writes_to("Ada", "Ben"))

    end = run(ONE, journal, ports)

    assert end == End("done", result={})
    assert post.sent == ["Ada", "Ben"]


def test_a_worker_that_dies_after_a_call_does_not_make_it_again() -> None:
    journal, post = MemoryJournal(), Post()
    with pytest.raises(Died):
        run(ONE, journal, with_post(post, writes_to("Ada", then=Died())))

    end = run(ONE, journal, with_post(post, writes_to("Ada", "Ben")))

    assert end == End("done", result={})
    assert post.sent == ["Ada", "Ben"]


def test_a_worker_that_dies_in_a_call_leaves_it_in_doubt_and_asks_no_model() -> None:
    journal = MemoryJournal()
    with pytest.raises(Died):
        run(ONE, journal, with_post(Post(trouble=Died()), writes_to("Ada")))
    post = Post()

    end = run(ONE, journal, with_post(post, writes_to("Ben")))

    assert end == End("needs_review")
    assert post.sent == []
    journal.rows[("s_1/call_1", 1)].state = "succeeded"
    journal.rows[("s_1/call_1", 1)].result = {"sent": "Ada"}

    assert run(ONE, journal, with_post(post, writes_to("Ada", "Ben"))) == End("done", result={})
    assert post.sent == ["Ben"]


def test_a_call_that_may_repeat_is_made_again_after_a_death_with_the_same_key() -> None:
    journal, post = MemoryJournal(), Post(Effect.IDEMPOTENT, trouble=Died())
    with pytest.raises(Died):
        run(ONE, journal, with_post(post, writes_to("Ada")))
    post.trouble = None

    end = run(ONE, journal, with_post(post, writes_to("Ada")))

    assert end == End("done", result={})
    assert journal.states() == {"s_1": "succeeded", "s_1/call_1": "succeeded"}


def test_the_agent_hears_of_a_call_that_failed_for_sure() -> None:
    journal = MemoryJournal()
    post = Post(trouble=StepError("E-POST", "No stamp.", proven=True))

    async def answer(ask: Ask, hooks: Hooks) -> str:
        try:
            await hooks.call("post", {"to": "Ada"})
        except StepError as error:
            return error.text
        return "sent"

    plan = plan_of(agent(), result=[{"name": "said", "value": [{"value": ["s_1", "text"]}]}])

    end = run(plan, journal, with_post(post, answer))

    assert end == End("done", result={"said": "No stamp."}, problems=True)
    assert journal.states() == {"s_1": "succeeded", "s_1/call_1": "failed"}


def test_a_call_that_may_have_happened_stops_the_agent_whatever_it_catches() -> None:
    journal = MemoryJournal()
    post = Post(trouble=StepError("E-POST", "Cut off.", proven=False))

    async def answer(ask: Ask, hooks: Hooks) -> str:
        try:
            await hooks.call("post", {"to": "Ada"})
        except Exception:  # noqa: BLE001
            return "went on"
        return "sent"

    end = run(ONE, journal, with_post(post, answer))

    assert end == End("needs_review")
    assert journal.states() == {"s_1": "unknown", "s_1/call_1": "unknown"}


def test_no_call_begins_once_the_run_is_to_be_cancelled() -> None:
    journal, post = MemoryJournal(), Post()

    async def answer(ask: Ask, hooks: Hooks) -> str:
        journal.cancelled = True
        await hooks.call("post", {"to": "Ada"})
        return "sent"

    end = run(ONE, journal, with_post(post, answer))

    assert end == End("cancelled")
    assert post.sent == []
    assert journal.states()["s_1"] == "cancelled"


def test_a_worker_that_goes_hands_back_an_agent_that_wants_to_call() -> None:
    async def story() -> tuple[object, MemoryJournal, Post]:
        journal, post, stop = MemoryJournal(), Post(), asyncio.Event()

        async def answer(ask: Ask, hooks: Hooks) -> str:
            stop.set()
            await asyncio.sleep(0.01)
            await hooks.call("post", {"to": "Ada"})
            return "sent"

        task = asyncio.create_task(driven(ONE, journal, with_post(post, answer), stop=stop))
        await until(stop.is_set)
        return await asyncio.wait_for(task, 2), journal, post

    outcome, journal, post = asyncio.run(story())

    assert outcome == HandBack()
    assert (post.sent, journal.states()) == ([], {"s_1": "intent"})


def test_no_call_begins_once_the_run_is_to_pause_and_the_agent_is_asked_anew() -> None:
    journal, post = MemoryJournal(), Post()

    async def answer(ask: Ask, hooks: Hooks) -> str:
        journal.paused = not asked
        asked.append(True)
        await hooks.call("post", {"to": "Ada"})
        return "sent"

    asked: list[bool] = []
    paused = run(ONE, journal, with_post(post, answer))
    sent_before, states = list(post.sent), journal.states()
    journal.paused = False
    end = run(ONE, journal, with_post(post, answer))

    assert (paused, sent_before, states) == (HandBack("paused"), [], {"s_1": "intent"})
    assert (end, len(post.sent)) == (End("done", result={}), 1)


def test_a_cancel_in_a_call_that_must_not_repeat_waits_for_it() -> None:
    async def story() -> tuple[object, MemoryJournal]:
        journal, cancel = MemoryJournal(), asyncio.Event()
        post = Post(gate=asyncio.Event())
        ports = with_post(post, writes_to("Ada"))
        task = asyncio.create_task(driven(ONE, journal, ports, cancel=cancel))
        await until(lambda: post.sent)
        cancel.set()
        await asyncio.sleep(0.01)
        assert post.gate is not None
        post.gate.set()
        return await asyncio.wait_for(task, 2), journal

    end, journal = asyncio.run(story())

    assert end == End("cancelled")
    assert journal.rows[("s_1/call_1", 1)].state == "succeeded"


def test_money_spent_is_recorded_and_the_limit_is_never_retried() -> None:
    async def dear(ask: Ask, hooks: Hooks) -> str:
        for _ in range(2):
            await hooks.money.reserve("m", 1000, 10)
            hooks.money.settle(Usage(1000, 10))
        return "done"

    journal = MemoryJournal()
    models = ScriptedModels([dear, dear])
    plan = plan_of(agent(cost_usd="0.001", on_failure={"do": "continue"}), text("s_2", "a"))

    async def story() -> object:
        ports = fake_ports(models=models, tools=Post().tools, prices=priced(1000, 0))
        return await drive(plan, {}, facts_of(), [], journal, ports)

    end = asyncio.run(story())

    assert end == End("done", result={}, problems=True)
    row = journal.rows[("s_1", 1)]
    assert (row.state, (row.error or {})["code"]) == ("failed", "E-COST-RUN")
    assert (row.cost_nano, row.tokens_in, row.tokens_out) == (1_000_000, 1000, 10)
    assert journal.cost_nano == 1_000_000


def test_money_spent_before_a_crash_counts_against_the_limit() -> None:
    async def dear(ask: Ask, hooks: Hooks) -> str:
        await hooks.money.reserve("m", 1, 1)
        hooks.money.settle(Usage(1, 1))
        return "done"

    journal = MemoryJournal()
    second = {**agent(), "id": "s_2"}
    plan = plan_of(agent(), second, limits={"cost_usd": "0.001"})

    async def story() -> object:
        models = ScriptedModels([dear, dear])
        ports = fake_ports(models=models, tools=Post().tools, prices=priced(1_000_000, 0))
        return await drive(plan, {}, facts_of(), journal.records(), journal, ports)

    journal.dies_at, journal.dies_after = 3, True
    with pytest.raises(Died):
        asyncio.run(story())
    end = asyncio.run(story())

    assert isinstance(end, End)
    assert (end.state, (end.error or {})["code"], (end.error or {})["step"]) == (
        "failed",
        "E-COST-RUN",
        "s_2",
    )
