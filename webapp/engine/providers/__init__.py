"""Language models: the practice model that is always there, and the server set up here."""

from __future__ import annotations

from urllib.parse import urlsplit

from webapp.engine.errors import StepError
from webapp.engine.providers.asking import Answer, Ask, Hooks, Provider, ToolOffer
from webapp.engine.providers.offline import NAME as PRACTICE
from webapp.engine.providers.offline import Offline
from webapp.engine.providers.openai_compatible import ClientFactory, OpenAiCompatible

__all__ = ["Answer", "Ask", "Hooks", "Provider", "Providers", "ToolOffer"]


class Providers:
    """The Models port: asks the provider that knows the wanted model.

    "practice" is the practice model. "default" is the server's model, or the practice model
    where no server is set up. Any other name goes to the server.

    Args:
        base_url: of a server that speaks OpenAI's chat protocol; empty: none is set up.
        api_key: for that server; may be empty.
        name: the server's model for questions that name none.
        client_factory: makes its HTTP client, which keeps to the outbound rules; there is no
            other way out.
        allowed: False forbids every real model call, as tests do.
    """

    def __init__(
        self,
        base_url: str = "",
        api_key: str = "",
        name: str = "",
        client_factory: ClientFactory | None = None,
        *,
        allowed: bool = True,
    ) -> None:
        self.offline = Offline()
        self.name = name
        self.server: OpenAiCompatible | None = None
        if base_url and client_factory and allowed:
            self.server = OpenAiCompatible(base_url, api_key, name, client_factory)

    async def answer(self, ask: Ask, hooks: Hooks) -> Answer:
        return await self._provider(ask.model).answer(ask, hooks)

    async def close(self) -> None:
        if self.server is not None:
            await self.server.close()

    def host_for(self, model: str) -> str | None:
        """Return the host that a question for `model` goes to; None: it stays here."""
        server = self._provider(model) if model else None
        return urlsplit(server.base_url).netloc if isinstance(server, OpenAiCompatible) else None

    def _provider(self, model: str) -> Provider:
        if model == PRACTICE or (model == "default" and not (self.server and self.name)):
            return self.offline
        if self.server is None:
            raise StepError(
                "E-PROVIDER-NONE",
                f"No AI provider is set up here for the model “{model}”. "
                "Set MODEL_BASE_URL and MODEL_API_KEY, or choose the model “practice”.",
                proven=True,
                retryable=False,
                facts={"model": model},
            )
        return self.server
