"""What leaves for other services: the outbound rules, and a breaker before each service."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from webapp.engine.errors import ServiceAway, StepError
from webapp.engine.ports import HttpAnswer
from webapp.engine.providers import Answer, Ask, Hooks, Providers
from webapp.kernel.breakers import Breakers, ServiceOpen
from webapp.kernel.crashpoints import crashpoint
from webapp.kernel.http import HttpClient, OutboundError, OutboundTooLarge, OutboundUnreachable
from webapp.kernel.outbound_urls import read_url

_TELLING: Final = {"E-PROVIDER-DOWN", "E-PROVIDER-BUSY", "E-HTTP-REACH"}
"""Errors of a provider that tell of the service, not of the question."""


@dataclass(slots=True)
class Call:
    """One call under way.

    Attributes: why: what it tells against the service; empty: nothing. sent: it reached out.
    """

    why: str = ""
    sent: bool = True
    wait_s: float = 0.0


@dataclass(frozen=True, slots=True)
class Services:
    """The services of one organization, each behind its breaker."""

    breakers: Breakers
    organization: str
    most_s: float

    @asynccontextmanager
    async def call(self, host: str, timeout_s: float | None = None) -> AsyncIterator[Call]:
        """Send one call inside; say in `Call.why` when it failed as a service that is away does.

        Any other error means that the service is there. A call that is cancelled tells nothing,
        unless that came when its time was over.

        Raises:
            ServiceAway: the breaker is open; nothing was sent.
        """
        call, began = Call(), time.monotonic()
        try:
            one = await asyncio.to_thread(self.breakers.admit, self.organization, host)
        except ServiceOpen as refused:
            raise ServiceAway(host, refused.wait_s, self.most_s) from None
        try:
            yield call
        except asyncio.CancelledError:
            if timeout_s is not None and time.monotonic() - began >= timeout_s * 0.95:
                call.why = "It did not answer in time."
                # The step ends behind this, so that who calls next finds it told.
                await asyncio.shield(self._told(host, one, call))
            else:
                self._later(self.breakers.abandon, self.organization, host, one)
            raise
        except BaseException:
            await self._told(host, one, call)
            raise
        await self._told(host, one, call)

    async def _told(self, host: str, one: Any, call: Call) -> None:
        if not (call.why or call.sent):
            await asyncio.to_thread(self.breakers.abandon, self.organization, host, one)
        elif call.why or one.probe or one.watched:
            await asyncio.to_thread(
                self.breakers.report, self.organization, host, one, call.why, call.wait_s
            )

    def _later(self, act: Any, *args: Any) -> None:
        """Do it in a thread without waiting: what is cancelled has no time."""
        asyncio.get_running_loop().run_in_executor(None, act, *args)


class GuardedHttp:
    """`ports.Http` over the one outbound client; its errors say whether anything was sent."""

    def __init__(self, client: HttpClient, services: Services) -> None:
        self._client = client
        self._services = services

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
            host = read_url(url).authority
            async with self._services.call(host, timeout_s) as call:
                asked = asyncio.ensure_future(
                    self._client.request(method, url, headers, body, timeout_s, max_bytes)
                )
                try:
                    await asyncio.sleep(0)  # the request is on its way
                    crashpoint("worker.during_effect")
                    answer = await asked
                except OutboundUnreachable as error:
                    call.why = error.reason
                    raise
                except OutboundError as error:
                    call.sent = error.sent
                    raise
                finally:
                    asked.cancel()  # a call that is called off here must not be sent by itself
                if answer.status >= 500 or answer.status == 429:
                    call.why = f"It answered {answer.status}."
                    call.wait_s = _asked_to_wait(answer.headers)
        except OutboundError as error:
            raise step_error(error) from None
        return HttpAnswer(
            status=answer.status,
            headers=answer.headers,
            body=answer.body,
            url=answer.url,
        )


class GuardedModels:
    """`ports.Models`: the model server behind its breaker, a whole answer as one call."""

    def __init__(self, models: Providers, services: Services) -> None:
        self._models = models
        self._services = services

    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        host = self._models.host_for(ask.model)
        if host is None:
            return await self._models.answer(ask, hooks)
        async with self._services.call(host) as call:
            try:
                return await self._models.answer(ask, hooks)
            except StepError as error:
                if error.code in _TELLING:
                    call.why, call.wait_s = error.text, error.retry_after_s or 0.0
                raise


def _asked_to_wait(headers: Mapping[str, str]) -> float:
    seconds = headers.get("retry-after", "").strip()
    return float(seconds) if seconds.isascii() and seconds.isdecimal() and len(seconds) < 6 else 0.0


def step_error(error: OutboundError) -> StepError:
    code = "E-HTTP-LARGE" if isinstance(error, OutboundTooLarge) else "E-HTTP-REACH"
    # Only what could not be reached can go well another time; a refused address stays refused.
    again = isinstance(error, OutboundUnreachable)
    return StepError(code, error.reason, proven=not error.sent, retryable=again)
