"""The engine's ports of one run, filled with the real outside."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar
from uuid import UUID

from sqlalchemy.orm import Session

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.engine.errors import StepError
from webapp.engine.ports import HttpAnswer, Ports
from webapp.engine.providers import Providers
from webapp.files.service import get_file, keep_file
from webapp.files.shelf import DiskShelf
from webapp.kernel.addresses import AllowList
from webapp.kernel.clock import now
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.db import Sessions, is_away, reading, writing
from webapp.kernel.errors import AppError
from webapp.kernel.hints import Bell
from webapp.kernel.http import HttpClient, OutboundError, OutboundTooLarge, OutboundUnreachable
from webapp.kernel.settings import Settings
from webapp.live.texts import TextStreams
from webapp.runs.execution.children import ChildRuns
from webapp.runs.execution.claims import Claimed

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
        self._clock = WallClock()
        self._http: HttpClient | None = None
        self._models: Providers | None = None

    def ports(self, claimed: Claimed) -> Ports:
        """Return the engine's ports for one run."""
        if self._http is None or self._models is None:
            allow = AllowList(self.settings.outbound_allow)
            self._http = HttpClient(allow)
            self._models = self._providers(allow)
        run = claimed.public

        def emit(path: str, attempt: int, offset: int, text: str) -> None:
            self._texts.emit(run, path, attempt, offset, text)

        return Ports(
            clock=self._clock,
            http=GuardedHttp(self._http),
            models=self._models,
            files=RunFiles(self._sessions, self.settings, claimed.organization_id, run),
            runs=ChildRuns(self._sessions, self.settings, self._bell, claimed),
            emit=emit,
            crash=crashpoint,
        )

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
                "rehearsal": claimed.kind == "rehearsal",
            },
            "zone": "UTC",
        }

    async def close(self) -> None:
        if self._http is not None:
            await self._http.aclose()
        if self._models is not None:
            await self._models.close()

    def _providers(self, allow: AllowList) -> Providers:
        def client() -> Any:
            from webapp.kernel.http_for_models import guarded_client_for_models

            return guarded_client_for_models(allow, as_error=_step_error)

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


class GuardedHttp:
    """`ports.Http` over the one outbound client; its errors say whether anything was sent."""

    def __init__(self, client: HttpClient) -> None:
        self._client = client

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        try:
            asked = asyncio.ensure_future(
                self._client.request(method, url, headers, body, timeout_s, max_bytes)
            )
            await asyncio.sleep(0)  # the request is on its way
            crashpoint("worker.during_effect")
            answer = await asked
        except OutboundError as error:
            raise _step_error(error) from None
        return HttpAnswer(
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            url=answer.url,
        )


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


def _step_error(error: OutboundError) -> StepError:
    code = "E-HTTP-LARGE" if isinstance(error, OutboundTooLarge) else "E-HTTP-REACH"
    # Only what could not be reached can go well another time; a refused address stays refused.
    again = isinstance(error, OutboundUnreachable)
    return StepError(code, error.reason, proven=not error.sent, retryable=again)


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
