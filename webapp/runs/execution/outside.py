"""The engine's ports of one run, filled with the real outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.engine.errors import StepError
from webapp.engine.ledger import Rates
from webapp.engine.ports import Ports
from webapp.engine.providers import Providers
from webapp.files.service import get_file, keep_file
from webapp.files.shelf import DiskShelf
from webapp.kernel.addresses import AllowList
from webapp.kernel.breakers import Breakers, Rules
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import Sessions, is_away, reading, writing
from webapp.kernel.errors import AppError
from webapp.kernel.hints import Bell
from webapp.kernel.http import HttpClient
from webapp.kernel.settings import Settings
from webapp.live.redis import connect
from webapp.live.texts import TextStreams
from webapp.runs.execution.answers import OrganizationAnswers, open_cache
from webapp.runs.execution.children import ChildRuns
from webapp.runs.execution.claims import Claimed
from webapp.runs.execution.guarded import GuardedHttp, GuardedModels, Services, step_error
from webapp.spending.queries import rates_at

T = TypeVar("T")
_MOST_TEXT: Final = 200_000
"""Bytes of a file that may stand in a text whole."""


class Outside:
    """The means that all runs of a worker share."""

    def __init__(
        self, settings: Settings, sessions: Sessions, shelf: DiskShelf, bell: Bell
    ) -> None:
        self.settings = settings
        self.shelf = shelf
        self._sessions = sessions
        self._bell = bell
        self._texts = TextStreams(settings.redis_url, bell)
        self._spoke: set[UUID] = set()
        self._clock = WallClock()
        client = connect(settings.redis_url, timeout_s=0.5) if settings.redis_url else None
        self._breakers = Breakers(client, Rules(open_s=settings.breaker_open_s))
        self._cache = open_cache(settings, client)
        self._http: HttpClient | None = None
        self._models: Providers | None = None

    def ports(self, claimed: Claimed) -> Ports:
        """Return the engine's ports for one run."""
        if self._http is None or self._models is None:
            allow = AllowList(self.settings.outbound_allow)
            self._http = HttpClient(allow)
            self._models = self._providers(allow)
        run, organization = claimed.public, claimed.organization_id
        services = Services(self._breakers, str(organization), self.settings.breaker_wait_s)

        def emit(path: str, attempt: int, offset: int, text: str) -> None:
            self._spoke.add(claimed.run_id)
            self._texts.emit(run, path, attempt, offset, text)

        return Ports(
            clock=self._clock,
            http=GuardedHttp(self._http, services),
            models=GuardedModels(self._models, services),
            files=RunFiles(self._sessions, self.settings, organization, run),
            answers=OrganizationAnswers(self._cache, organization) if self._cache else None,
            runs=ChildRuns(self._sessions, self.settings, self._bell, self.shelf, claimed),
            emit=emit,
            prices=self._rates,
            crash=crashpoint,
        )

    def take_spoken(self) -> list[UUID]:
        """Return the runs that streamed text since this was asked last."""
        spoke, self._spoke = self._spoke, set()
        return list(spoke)

    def facts(self, claimed: Claimed, number: int | None, slug: str) -> dict[str, Any]:
        """Return what values of a run may name beside its inputs; asks for the files it got."""
        files = RunFiles(
            self._sessions, self.settings, claimed.organization_id, claimed.public
        ).described(claimed.inputs, f"{self.settings.base_url}/o/{slug}/files")
        return {
            "files": files,
            "run": {
                "id": claimed.public,
                "link": f"{self.settings.base_url}/o/{slug}/runs/{claimed.public}",
                "started_at": claimed.queued_at.isoformat(),
                "started_by": claimed.started_by_name,
                "version": number,
                "depth": claimed.depth,
                "rehearsal": claimed.rehearses,
            },
            "zone": "UTC",
        }

    async def _rates(self, model: str) -> Rates | None:
        """Return what a model costs now."""
        return await _patiently(partial(self._rates_now, model))

    def _rates_now(self, model: str) -> Rates | None:
        with reading(), self._sessions() as session:
            return rates_at(session, model, now())

    async def close(self) -> None:
        self._texts.close()
        if self._http is not None:
            await self._http.aclose()
        if self._models is not None:
            await self._models.close()
        if self._cache is not None:
            self._cache.close()

    def _providers(self, allow: AllowList) -> Providers:
        def client() -> Any:
            from webapp.kernel.http_for_models import guarded_client_for_models

            return guarded_client_for_models(allow, as_error=step_error)

        return Providers(
            self.settings.model_base_url,
            self.settings.model_api_key.get_secret_value(),
            self.settings.model_name,
            client,
        )


class WallClock:
    """Times people see, and a monotonic one for limits."""

    def now(self) -> datetime:
        return now()

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


async def _patiently(act: Callable[[], T]) -> T:
    """Do it in a thread, again while the database is away; the step's own limit ends it."""
    pause = 0.05
    while True:
        try:
            return await asyncio.to_thread(act)
        except Exception as error:
            if not is_away(error):
                raise
        await asyncio.sleep(pause)
        pause = min(pause * 2, 2.0)


class RunFiles:
    """`ports.Files` of one organization's run; each call is a transaction of its own."""

    def __init__(
        self, sessions: Sessions, settings: Settings, organization: UUID, run: str
    ) -> None:
        self._sessions = sessions
        self._settings = settings
        self._organization = organization
        self._run = run

    async def read(self, file_id: str) -> bytes:
        try:
            return await _patiently(partial(self._read, file_id))
        except AppError as error:
            text = f"The file cannot be read: {error.title}"
            raise StepError("E-FILE", text, proven=True, retryable=False) from None

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        return await _patiently(partial(self._write, content, name, media_type))

    def described(self, inputs: dict[str, Any], base: str) -> dict[str, dict[str, str]]:
        """Return name, link and, of short texts, the text of each file among the inputs."""
        wanted = [v["file"] for v in inputs.values() if isinstance(v, dict) and "file" in v]
        found: dict[str, dict[str, str]] = {}
        if not wanted:
            return found
        with reading(), self._sessions() as session:
            ctx = self._context(session)
            for file_id in wanted:
                with suppress(AppError):  # a file that is gone has no name; using it fails later
                    file, content = get_file(ctx, file_id)
                    found[file_id] = {"name": file.name, "link": f"{base}/{file_id}"}
                    if len(content) <= _MOST_TEXT:
                        found[file_id]["text"] = content.decode("utf-8", "replace")
        return found

    def _read(self, file_id: str) -> bytes:
        with reading(), self._sessions() as session:
            return get_file(self._context(session), file_id)[1]

    def _write(self, content: bytes, name: str, media_type: str) -> str:
        with writing(), self._sessions() as session:
            kept = keep_file(self._context(session), name, media_type, content)
            session.commit()
            return kept.id

    def _context(self, session: Session) -> Context:
        actor = Actor("system", None, f"run {self._run}", Role.MEMBER)
        return Context(session, self._organization, actor, self._settings, request_id=self._run)
