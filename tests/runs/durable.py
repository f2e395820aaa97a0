"""A database with one organization, one workflow and as many queued runs as a test wants."""

from __future__ import annotations

from contextlib import closing
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

from sqlalchemy import Engine, select

from webapp.access.context import SYSTEM, Actor, Context
from webapp.access.permissions import Role
from webapp.access.tenancy import bind_organization
from webapp.kernel.clock import now
from webapp.kernel.db import Sessions, make_sessions
from webapp.kernel.hints import Hints
from webapp.kernel.ids import new_id
from webapp.kernel.settings import Settings
from webapp.organizations.models import Organization
from webapp.runs.execution.claims import Claimed, Claims
from webapp.runs.models import Event, Fair, Lease, Run, Step
from webapp.workflows.models import Version, Workflow

LONG_S = 60.0
"""A lease that no test outlives."""

PLAN: dict[str, Any] = {"plan": 1, "steps": []}


@dataclass
class Yard:
    """Where runs wait to be claimed."""

    engine: Engine
    settings: Settings
    organization: UUID = field(default_factory=new_id)
    workflow: UUID = field(default_factory=new_id)
    version: UUID = field(default_factory=new_id)

    @property
    def sessions(self) -> Sessions:
        return make_sessions(self.engine)

    def open(self, plan: dict[str, Any] | None = None) -> Yard:
        with self.sessions() as session:
            session.add(Organization(id=self.organization, slug="acme", name="Acme"))
            session.flush()
            bind_organization(session, self.organization)
            session.add(Workflow(id=self.workflow, name="Weekly report"))
            session.flush()
            session.add(
                Version(
                    id=self.version,
                    workflow_id=self.workflow,
                    number=1,
                    plan=plan or PLAN,
                    plan_sha="0" * 64,
                    by="Ada",
                )
            )
            session.add(Fair(queue="runs", organization_id=self.organization))
            session.commit()
        return self

    def queue_run(self, inputs: dict[str, Any] | None = None) -> UUID:
        run_id = new_id()
        with self.sessions() as session:
            bind_organization(session, self.organization)
            session.add(
                Run(
                    id=run_id,
                    workflow_id=self.workflow,
                    version_id=self.version,
                    started_by_kind="system",
                    started_by_name="a test",
                    inputs=inputs or {},
                )
            )
            session.flush()
            turn = int(run_id.int >> 80)
            session.add(Lease(run_id=run_id, workflow_id=self.workflow, state="ready", vtime=turn))
            session.add(Event(run_id=run_id, seq=1, at=now(), type="run.queued", data={}))
            fair = session.get(Fair, ("runs", self.organization))
            assert fair is not None
            fair.waiting += 1
            session.commit()
        return run_id

    def context(self, session: Any, role: Role = Role.OWNER) -> Context:
        actor = Actor("person", new_id(), "Ada", role)
        return Context(session, self.organization, actor, self.settings)

    def upkeep(self, session: Any) -> Context:
        return Context(session, UUID(int=0), SYSTEM, self.settings)

    def run(self, run_id: UUID) -> Run:
        with self.sessions() as session:
            bind_organization(session, self.organization)
            found = session.get(Run, run_id)
            assert found is not None
            return found

    def lease(self, run_id: UUID) -> Lease | None:
        with self.sessions() as session:
            bind_organization(session, self.organization)
            return session.get(Lease, run_id)


def claim(
    engine: Engine, worker: str = "w1", lease_s: float = LONG_S, most: int = 32
) -> list[Claimed]:
    with closing(Claims(engine, worker, lease_s)) as claims:
        return claims.claim(most, Hints())


def steps(yard: Yard) -> list[Step]:
    with yard.sessions() as session:
        bind_organization(session, yard.organization)
        return list(session.scalars(select(Step).order_by(Step.path)))
