"""Random plans, and a world that runs them on the bare scheduler: any order, any crash."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass, field, replace
from hashlib import sha256
from random import Random
from typing import Any

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.commands import (
    Cancel,
    Command,
    Due,
    Failed,
    Finish,
    RetryLater,
    Settle,
    Start,
    Stopped,
    Succeeded,
    Wait,
    Waits,
)
from webapp.engine.errors import StepError
from webapp.engine.journal import End, Record
from webapp.engine.mailbox import Arrival, frozen_of
from webapp.engine.plan import Plan, load_plan
from webapp.engine.ports import WaitFor
from webapp.engine.scheduler import Scheduler
from webapp.engine.steps.approval import seal_of
from webapp.engine.waiting import heard

Doc = dict[str, Any]
METHODS = {"GET": "none", "PUT": "idempotent", "POST": "at_most_once"}
NOW = {"today": "2026-03-03", "time": "2026-03-03T15:00:00+01:00", "zone": "Europe/Berlin"}


class _Author:
    """Writes one random plan of about `size` steps."""

    def __init__(self, seed: int, size: int, *, racy: bool, asks: bool = False) -> None:
        self.random = Random(seed)
        self.asks = asks
        self.size = size
        self.racy = racy
        self.count = 0

    def plan(self) -> Doc:
        seen: list[str] = []
        steps = self.block(1, 4, depth=0, seen=seen, eaches=[])
        result = [
            {"name": f"r{n}", "value": [{"value": [ref, "seen"]}]} for n, ref in enumerate(seen[:8])
        ]
        at_once = self.random.randint(1, 6)
        return {"plan": 1, "steps": steps, "result": result, "limits": {"at_once": at_once}}

    def block(
        self, least: int, most: int, *, depth: int, seen: list[str], eaches: list[str]
    ) -> list[Doc]:
        steps: list[Doc] = []
        for _ in range(self.random.randint(least, most)):
            steps.append(self.step(depth, seen, eaches))
            if self.asks and self.random.randint(0, 3) == 0:
                steps.append(self.approval([step["id"] for step in steps], seen))
        return steps

    def approval(self, earlier: list[str], seen: list[str]) -> Doc:
        """A person who may send back what was done in this block before."""
        self.count += 1
        shown = [{"value": [{"value": [ref, "seen"]}]} for ref in seen[-3:]]
        settings = {
            "who": [{"starter": True}],
            "show": shown,
            "back_to": self.random.choice(earlier),
            "rounds": self.random.randint(1, 3),
            "refusal": self.random.choice(["continue", "continue", "fail"]),
        }
        step_id = f"s_{self.count}"
        seen.append(step_id)
        do = self.random.choice(["stop", "continue"])
        on_failure = {"do": do}
        return {"id": step_id, "kind": "approval", "with": settings, "on_failure": on_failure}

    def step(self, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        self.count += 1
        step_id = f"s_{self.count}"
        kinds = ["http", "http", "http", "text"]
        if depth < 3 and self.count < self.size:
            kinds += ["if", "parallel", "each", "repeat"]
        if self.count % 7 == 0:
            kinds += ["wait"]
        if self.racy and depth and self.random.randint(0, 19) == 0:
            kinds = ["stop"]
        kind = self.random.choice(kinds)
        inner = list(seen)
        settings = getattr(self, kind)(step_id, depth, inner, eaches)
        step: Doc = {"id": step_id, "kind": kind, "with": settings}
        if self.random.randint(0, 14) == 0:
            step["off"] = True
        elif kind != "stop":
            step["on_failure"] = self.failure(depth, seen, eaches)
        if kind in {"if", "parallel"}:
            seen += [one for one in inner if one not in seen]
        seen.append(step_id)
        return step

    def failure(self, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        do = self.random.choice(["continue", "continue", "stop", "branch"])
        if do != "branch" or depth >= 3:
            return {"do": "continue" if do == "branch" else do}
        inner = list(seen)
        return {"do": do, "steps": self.block(0, 2, depth=depth + 1, seen=inner, eaches=eaches)}

    def address(self, step_id: str, seen: list[str], eaches: list[str]) -> list[Doc]:
        """Unique per path and attempt-free, with a value of an earlier step in it."""
        parts: list[Doc] = [{"text": f"http://t/{step_id}"}]
        for each in eaches:
            parts += [{"text": "/"}, {"value": [each, "index"]}, {"value": [each, "round"]}]
        if seen:
            parts += [{"text": "?"}, {"value": [self.random.choice(seen), "seen"]}]
        return parts

    def http(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        method = self.random.choice(list(METHODS))
        return {"method": method, "url": self.address(step_id, seen, eaches)}

    def text(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        return {"text": self.address(step_id, seen, eaches)}

    def wait(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        return {"for_s": 0}

    def stop(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        return {"as": self.random.choice(["done", "failed"]), "message": "Enough."}

    def if_(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        when: Doc = {"value": self.random.randint(0, 1), "is": "equal", "to": 1}
        if seen:
            ref = [self.random.choice(seen), "failed"]
            when = {"value": [{"value": ref}], "is": "empty"}
        first, second = list(seen), list(seen)
        branch = self.block(0, 2, depth=depth + 1, seen=first, eaches=eaches)
        otherwise = self.block(0, 2, depth=depth + 1, seen=second, eaches=eaches)
        seen += [one for one in [*first, *second] if one not in seen]
        steps = [{"id": "yes", "when": {"all": [when]}, "steps": branch}]
        return {"branches": steps, "otherwise": otherwise}

    def parallel(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        lanes: list[Doc] = []
        inner: dict[str, list[str]] = {}
        until: Any = "all"
        if self.racy:
            until = self.random.choice(["all", "first", {"n": 2}])
        for n in range(self.random.randint(2, 4)):
            known = list(inner)
            needs = self.random.sample(known, self.random.randint(0, len(known)))
            needs = needs if until == "all" else []
            inner[f"l{n}"] = [*seen, *(one for need in needs for one in inner[need])]
            steps = self.block(0, 2, depth=depth + 1, seen=inner[f"l{n}"], eaches=eaches)
            lanes.append({"id": f"l{n}", "needs": needs, "steps": steps})
        if until == "all":
            seen += [one for lane in inner.values() for one in lane if one not in seen]
        failure = self.random.choice(["continue", "stop"]) if self.racy else "continue"
        return {"lanes": lanes, "until": until, "lane_failure": failure}

    def each(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        inner = list(seen)
        steps = self.block(0, 2, depth=depth + 1, seen=inner, eaches=[*eaches, step_id])
        new = [one for one in inner if one not in seen]
        value = [{"value": [new[0], "seen"]}] if new else [{"value": [step_id, "item"]}]
        failure = self.random.choice(["continue", "stop"]) if self.racy else "continue"
        return {
            "list": {"list": list(range(self.random.randint(0, 5)))},
            "at_once": self.random.randint(1, 3),
            "item_failure": failure,
            "steps": steps,
            "collect": [{"name": "got", "value": value}],
        }

    def repeat(self, step_id: str, depth: int, seen: list[str], eaches: list[str]) -> Doc:
        inner = list(seen)
        steps = self.block(0, 2, depth=depth + 1, seen=inner, eaches=[*eaches, step_id])
        most = self.random.randint(1, 4)
        enough = self.random.randint(1, 5)
        return {
            "until": {"all": [{"value": [{"value": [step_id, "round"]}], "is": "at_least",
                               "to": enough}]},
            "most": most,
            "at_limit": self.random.choice(["fail", "continue"]) if self.racy else "continue",
            "steps": steps,
            "carry": [{"name": "said", "first": "", "value": [
                {"value": [step_id, "carry", "said"]}, {"text": "."}]}],
        }  # fmt: skip


setattr(_Author, "if", _Author.if_)


def random_plan(seed: int, size: int, *, racy: bool, asks: bool = False) -> Plan:
    """A plan of any shape; `racy` adds what depends on which path is faster, `asks` people who
    send back what they are shown.
    """
    doc = _Author(seed, size, racy=racy, asks=asks).plan()
    return load_plan(from_bytes(to_bytes(doc)))


def answer_to(record: Record, seed: int) -> Doc:
    """What a person says about a waiting approval, the same whenever they are asked."""
    luck = sha256(f"{seed}|{record.path}".encode()).digest()[0]
    decision = "changes" if luck < 150 else "approve" if luck < 230 else "reject"
    seal = seal_of(frozen_of(record)["approval"])
    return {
        "decision": decision, "seal": seal, "by": "Ada", "at": NOW["time"],
        "note": f"Not yet: {record.path}", "values": {}, "answers": {},
    }  # fmt: skip


def fails(path: str, seed: int) -> bool:
    """Whether the outside refuses what is done at `path`."""
    return sha256(f"{seed}|{path}".encode()).digest()[0] < 40


@dataclass
class World:
    """Runs a plan on the bare scheduler, with a journal that survives.

    Attributes:
        orders: in which order what runs comes back.
        crash: probability of a crash at each outcome, half before and half after the commit.
        sent: how often each path had its effect.
    """

    plan: Plan
    seed: int
    orders: Random
    crash: float = 0.0
    rows: dict[str, Record] = field(default_factory=dict)
    sent: Counter[str] = field(default_factory=Counter)
    lives: int = 0
    requests: dict[str, bytes] = field(default_factory=dict)

    def run(self) -> End:
        """Live until the run has ended, deciding for the person whatever is in doubt."""
        for _ in range(500):
            self.lives += 1
            end = _Life(self).live()
            if end is not None:
                return end
            self._decide()
        raise AssertionError("the run doesn't end")

    def _decide(self) -> None:
        for path, record in self.rows.items():
            if record.state == "unknown" and fails(path, self.seed):
                record.error = {**(record.error or {}), "decided": "again"}
            elif record.state == "unknown":
                self.rows[path] = replace(record, state="succeeded", result=result_of(record))

    def commit(self, batch: list[Record]) -> None:
        for record in batch:
            before = self.rows.get(record.path)
            if before is not None and before.attempt == record.attempt:
                assert not before.ends_path, f"{before} was final, now {record}"
            if record.request is None and before is not None:
                record = replace(record, request=before.request)
            kept = replace(record, result=from_bytes(to_bytes(record.result)))
            self.rows[record.path] = kept

    def outcome(self) -> dict[str, tuple[str, Any]]:
        """What the journal says in the end, without what depends on crashes."""
        return {path: (row.state, row.result) for path, row in sorted(self.rows.items())}


def result_of(record: Record) -> dict[str, Any]:
    assert record.request is not None
    return {"seen": short(record.request)}


def short(data: bytes) -> str:
    return sha256(data).hexdigest()[:8]


class _Life:
    """One process, from its claim to its death or the run's end."""

    def __init__(self, world: World) -> None:
        self.world = world
        records = [replace(row) for row in world.rows.values()]
        self.scheduler = Scheduler(world.plan, {}, {"run": {"id": "run_1"}}, records)
        self.scheduler.set_now(NOW)
        self.batch: list[Record] = []
        self.flying: dict[str, Record | Wait | RetryLater] = {}
        self.end: End | None = None

    def live(self) -> End | None:
        self._do(self.scheduler.begin())
        self._commit()
        while self.end is None and self.flying:
            path = self.world.orders.choice(sorted(self.flying))
            self._do(self._come_back(path))
            dies = self.world.orders.random() < self.world.crash
            if dies and self.world.orders.random() < 0.5:
                return None
            self._commit()
            if dies and self.end is None:
                return None
        if self.end is None:
            assert self.scheduler.unknown, "nothing is open, and the run hasn't ended"
        return self.end

    def _come_back(self, path: str) -> list[Command]:
        what = self.flying.pop(path)
        if isinstance(what, RetryLater):
            return self.scheduler.take(path, Due())
        if isinstance(what, Wait) and what.record.kind == "approval":
            said = Arrival("a", "approval", path, answer_to(what.record, self.world.seed))
            return self.scheduler.take(path, heard(what.record, said))
        if isinstance(what, Wait):
            return self.scheduler.take(path, Succeeded({"at": "now"}))
        self._effect(what)
        if fails(path, self.world.seed):
            error = StepError("E-NO", "Refused.", proven=True, retryable=False)
            return self.scheduler.take(path, Failed(error))
        return self.scheduler.take(path, Succeeded(result_of(what)))

    def _effect(self, record: Record) -> None:
        kept = self.world.rows[record.path]
        assert kept.state == "intent", f"an effect without intent: {kept}"
        again = self.world.requests.setdefault(record.path, record.request or b"")
        assert again == record.request, "the frozen bytes have changed"
        self.world.sent[record.path] += 1

    def _do(self, commands: list[Command]) -> None:
        todo = deque(commands)
        while todo:
            command = todo.popleft()
            match command:
                case Settle(record):
                    self.batch.append(replace(record))
                case Start():
                    todo.extend(self._start(command))
                case RetryLater() | Wait():
                    self.flying[command.path] = command
                case Cancel(path):
                    what = self.flying.pop(path, None)
                    if isinstance(what, Record):
                        todo.extend(self.scheduler.take(path, Stopped(begun=False)))
                case Finish(end):
                    self.end = end
        self._watch_limits()

    def _start(self, start: Start) -> list[Command]:
        kind = start.step.kind
        if kind.name == "wait":
            return self.scheduler.take(start.path, Waits(WaitFor(due_s=0)))
        if kind.waits is not None:
            waits = kind.waits(start.step.config, start.scope)
            return self.scheduler.take(start.path, Waits(waits))
        if kind.compute is not None:
            result = kind.compute(start.step.config, start.scope)
            return self.scheduler.take(
                start.path, Succeeded({**result, "seen": short(str(result).encode())})
            )
        request = start.found.request if start.found is not None else None
        if request is None:
            assert kind.prepare is not None
            request = kind.prepare(start.step.config, start.scope)
        step = start.step
        intent = Record(
            start.path, start.attempt, step.id, kind.name, "intent", step.effect, request=request
        )
        self.batch.append(intent)
        self.flying[start.path] = intent
        return []

    def _commit(self) -> None:
        self.world.commit(self.batch)
        self.batch = []

    def _watch_limits(self) -> None:
        flying = [path for path, what in self.flying.items() if isinstance(what, Record)]
        assert len(flying) <= self.world.plan.limits.at_once
        items: dict[str, set[str]] = {}
        for path in flying:
            for n, sign in enumerate(path):
                if sign == "[":
                    items.setdefault(path[:n], set()).add(path[: path.index("]", n)])
        for path, open_items in items.items():
            step = self.scheduler.steps[path.rsplit("/", 1)[-1]]
            assert len(open_items) <= step.config.at_once
