"""Any server that speaks OpenAI's chat protocol, through pydantic-ai.

The SDK costs half a second and 40 MB to import, so that happens at the first question, in a
thread. Its own retries are off: trying again is the step's business, where people see it.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from webapp.engine.providers.asking import Answer, Ask, Hooks
from webapp.engine.providers.openai_talk import Patience, Talk

if TYPE_CHECKING:
    from openai import AsyncOpenAI
    from pydantic_ai.models.openai import OpenAIChatModel


DEFAULT_PATIENCE = Patience()
ClientFactory = Callable[[], Any]
"""Makes an `httpx2.AsyncClient` whose connections keep to the outbound rules."""


class OpenAiCompatible:
    """Asks one server.

    Args:
        base_url: up to and with the version, such as https://api.example.com/v1.
        api_key: may be empty, as local servers need none.
        name: model for questions that name none.
        client_factory: makes the HTTP client, once for each event loop.
        patience: how long to wait.
    """

    def __init__(
        self,
        base_url: str,
        api_key: str,
        name: str,
        client_factory: ClientFactory,
        patience: Patience = DEFAULT_PATIENCE,
    ) -> None:
        self.patience = patience
        self.base_url = base_url
        self.api_key = api_key
        self.name = name
        self.client_factory = client_factory
        self._client: AsyncOpenAI | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        await asyncio.to_thread(_load)
        name = self.name if ask.model == "default" else ask.model
        return await Talk(await self._model(name), ask, hooks, name, self.patience).run()

    async def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            await client.close()

    async def _model(self, name: str) -> OpenAIChatModel:
        from openai import AsyncOpenAI, Timeout
        from pydantic_ai.models.openai import OpenAIChatModel
        from pydantic_ai.profiles.openai import OpenAIModelProfile
        from pydantic_ai.providers.openai_compatible import OpenAICompatibleProvider

        if self._client is None or self._loop is not asyncio.get_running_loop():
            # A client is bound to the loop in which it opened its connections.
            self._loop = asyncio.get_running_loop()
            self._client = AsyncOpenAI(
                base_url=self.base_url,
                api_key=self.api_key or "none",
                max_retries=0,
                timeout=Timeout(self.patience.first_event_s, connect=self.patience.connect_s),
                http_client=self.client_factory(),
            )
        provider = OpenAICompatibleProvider(
            "openai-compatible",
            openai_client=self._client,
            # Or a stream cut by a closed connection would count as a whole answer.
            profile=OpenAIModelProfile(openai_chat_streaming_requires_finish_reason=True),
        )
        return OpenAIChatModel(name, provider=provider)


def _load() -> None:
    import pydantic_ai.direct
    import pydantic_ai.models.openai
    import pydantic_ai.providers.openai_compatible  # noqa: F401
