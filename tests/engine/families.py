"""A run and its parts, driven as workers would drive them, with all that is kept in memory."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.driver import drive
from webapp.engine.journal import End, Park
from webapp.engine.mailbox import Arrival, Mailbox
from webapp.engine.parts import Part, PartOrder, read_part
from webapp.engine.plan import Plan
from webapp.engine.ports import Ports
from webapp.engine.testing import Died, FakeHttp, MemoryJournal, facts_of, fake_ports

CLOSED = {"cancelled", "skipped"}


@dataclass
class Member:
    """One run of the family.

    Attributes: parent, path: whose step started it, and where; heard: how many ends it knew of
    when it rested.
    """

    id: str
    parent: Member | None = None
    path: str = ""
    part: Part | None = None
    journal: MemoryJournal = field(default_factory=MemoryJournal)
    arrivals: list[Arrival] = field(default_factory=list)
    rests: bool = False
    heard: int = 0

    @property
    def is_over(self) -> bool:
        end = self.journal.end
        return end is not None and end.state != "needs_review"

    @property
    def is_unwanted(self) -> bool:
        """Whether the step that started it has been closed, or the run around it is over."""
        if self.parent is None:
            return False
        row = self.parent.journal.rows[(self.path, 1)]
        return self.parent.is_over or row.state in CLOSED or self.parent.is_unwanted


@dataclass
class Family:
    """Drives a plan in parts of `split` items until all of its runs have ended.

    Attributes:
        harm: told before each drive, to let the next one die somewhere.
        decide: told when a run needs a decision.
    """

    plan: Plan
    split: int
    web: FakeHttp = field(default_factory=FakeHttp)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    harm: Callable[[MemoryJournal], None] = lambda journal: None
    decide: Callable[[MemoryJournal], None] = lambda journal: None
    started: list[str] = field(default_factory=list)
    most_at_once: int = 0
    members: dict[str, Member] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.root = self.members["run_1"] = Member("run_1")

    def finish(self) -> End:
        for _ in range(2_000):
            if all(member.is_over for member in self.members.values()):
                assert self.root.journal.end is not None
                return self.root.journal.end
            for member in list(self.members.values()):
                if not member.is_over:
                    self.live(member)
        raise AssertionError("the run doesn't end")

    def live(self, member: Member) -> None:
        """Drive one run until it ends, rests or dies, if there is anything for it to do."""
        if member.rests and member.heard == len(member.arrivals) and not member.is_unwanted:
            return
        member.rests, member.heard = False, len(member.arrivals)
        self.harm(member.journal)
        try:
            outcome = asyncio.run(self._drive(member))
        except Died:
            outcome = None
        member.rests = isinstance(outcome, Park)
        if member.journal.end is not None and member.journal.end.state == "needs_review":
            self.decide(member.journal)
        if member.is_over and member.parent is not None:
            self._tell(member, member.parent)

    async def _drive(self, member: Member) -> Any:
        cancel = asyncio.Event()
        if member.is_unwanted:
            cancel.set()
        mailbox = Mailbox()
        mailbox.put(member.arrivals)
        ports: Ports = replace(fake_ports(self.web), runs=Starts(self, member))
        return await drive(
            self.plan, self.inputs if member.part is None else {}, facts_of(member.id),
            member.journal.records(), member.journal, ports,
            cancel=cancel, mailbox=mailbox, part=member.part, each_split=self.split,
        )  # fmt: skip

    def _tell(self, member: Member, parent: Member) -> None:
        end = member.journal.end
        assert end is not None
        told = {
            "state": end.state, "result": end.result, "error": end.error, "cost": 0,
            "problems": end.problems, "steps": member.journal.done,
        }  # fmt: skip
        kept = from_bytes(to_bytes(told))
        if member.id not in {one.id for one in parent.arrivals}:
            parent.arrivals.append(Arrival(member.id, "child", member.path, kept))

    @property
    def states(self) -> dict[str, str]:
        """The states of all paths, as one run would have them."""
        found: dict[str, str] = {}
        for member in self.members.values():
            for path, state in member.journal.states().items():
                is_parts_own = member.part is not None and path == member.part.path
                if member.journal.rows[(path, 1)].kind != "part" and not is_parts_own:
                    assert path not in found, f"{path} is done twice"
                    found[path] = state
        return found


@dataclass
class Starts:
    """`ports.Runs` of one member: one run for each path, however often it is asked."""

    family: Family
    member: Member

    async def start_part(self, path: str, order: PartOrder) -> str:
        await asyncio.sleep(0)
        run = f"{self.member.id}/{path}"
        members = self.family.members
        if run not in members:
            about = from_bytes(to_bytes(order.about))
            limits = self.family.plan.limits
            part = read_part(about, order.items, order.seen, limits)
            members[run] = Member(run, self.member, path, part)
            self.family.started.append(path)
            open_parts = sum(not one.is_over and one.part is not None for one in members.values())
            self.family.most_at_once = max(self.family.most_at_once, open_parts)
        return run

    async def steps_beside(self, open_parts: Collection[str]) -> int:
        """What all parts but this one have done that the run it belongs to has not counted."""
        await asyncio.sleep(0)
        me, above = self.member, self.member if self.member.part is None else self.member.parent
        found = list(self.family.members.values())
        later = found[found.index(me) + 1 :]
        beside = 0
        for one in found:
            if one is me or one.part is None:
                continue
            uncounted = one in later or one.path in open_parts
            if not one.is_over or (me.part is not None and one.parent is above and uncounted):
                beside += one.journal.done - one.is_over
        return beside

    async def start(self, *args: Any) -> str:
        raise NotImplementedError
