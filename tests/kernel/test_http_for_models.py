"""The client that the OpenAI library gets, driven by that library."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import httpx2
import openai
import pytest

from tests.kernel.outbound_server import (
    Answer,
    Names,
    Received,
    Server,
    every_connection,
    reply,
    says,
    serving,
)
from webapp.engine.journal import LostLease
from webapp.kernel.addresses import AllowList, parse_allow
from webapp.kernel.http_for_models import guarded_client_for_models
from webapp.kernel.outbound_pools import look_before_sending

T = TypeVar("T")
MESSAGES: Any = [{"role": "user", "content": "Write a haiku."}]
ANSWER = json.dumps(
    {
        "id": "1",
        "object": "chat.completion",
        "created": 1,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "finish_reason": "stop",
                "message": {"role": "assistant", "content": "Autumn evening."},
            }
        ],
    }
).encode()
AS_JSON = [("Content-Type", "application/json")]


def talk(
    answer: Answer,
    use: Callable[[openai.AsyncOpenAI, Server], Awaitable[T]],
    url: str = "http://127.0.0.1:{port}/v1",
    allow: AllowList | None = None,
    **client: Any,
) -> tuple[T, Server]:
    async def run() -> tuple[T, Server]:
        async with serving(answer) as server:
            opened = server.allow if allow is None else allow
            async with guarded_client_for_models(opened, **client) as http:
                models = openai.AsyncOpenAI(
                    base_url=url.format(port=server.port),
                    api_key="sk-secret",
                    http_client=http,
                    max_retries=0,
                )
                return await use(models, server), server

    return asyncio.run(run())


async def complete(models: openai.AsyncOpenAI, _: Server) -> str | None:
    answer = await models.chat.completions.create(model="m", messages=MESSAGES)
    return answer.choices[0].message.content


async def fails(models: openai.AsyncOpenAI, server: Server) -> BaseException | None:
    with pytest.raises(openai.APIConnectionError) as failed:
        await complete(models, server)
    return failed.value.__cause__


def test_a_model_server_that_the_operator_opened_is_asked() -> None:
    text, server = talk(says(ANSWER, headers=AS_JSON), complete)

    (request,) = server.requests
    assert text == "Autumn evening."
    assert request.path == "/v1/chat/completions"
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["authorization"] == "Bearer sk-secret"
    assert request.headers["accept-encoding"] == "identity"
    assert json.loads(request.body)["messages"] == MESSAGES


def test_who_has_lost_the_run_meanwhile_asks_no_model_and_the_library_hides_nothing() -> None:
    def lost() -> None:
        raise LostLease

    async def loses(models: openai.AsyncOpenAI, server: Server) -> None:
        look_before_sending.set(lost)
        with pytest.raises(LostLease):
            await complete(models, server)

    _, server = talk(says(ANSWER, headers=AS_JSON), loses)

    assert (server.connections, server.requests) == (1, [])


@pytest.mark.parametrize(
    "url",
    [
        "http://127.0.0.1:{port}/v1",
        "http://127.0.0.1/v1",
        "http://127.1/v1",
        "http://[::ffff:127.0.0.1]/v1",
        "http://169.254.169.254/v1",
        "http://metadata.example/v1",
        "http://public.example/v1",
        "https://user:password@public.example/v1",
        "https://mixed.example/v1",
    ],
)
def test_a_model_server_elsewhere_is_refused_before_anything_is_sent(url: str) -> None:
    names = Names(
        metadata_example=["169.254.169.254"],
        public_example=["93.184.215.14"],
        mixed_example=["93.184.215.14", "127.0.0.1"],
    )

    async def use(models: openai.AsyncOpenAI, server: Server) -> list[Any]:
        with every_connection() as tried:
            cause = await fails(models, server)
        assert isinstance(cause, httpx2.ConnectError)
        assert str(cause).endswith(".")
        return tried

    tried, server = talk(says(ANSWER), use, url, AllowList(), resolve=names)

    assert tried == []
    assert server.connections == 0


def test_the_environment_cookies_and_redirects_have_no_say(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        if len(request.body) > 500:
            writer.write(reply(b"", 307, [("Location", "http://169.254.169.254/")]))
        else:
            writer.write(reply(ANSWER, headers=[*AS_JSON, ("Set-Cookie", "a=b; Path=/")]))

    async def use(models: openai.AsyncOpenAI, server: Server) -> None:
        await complete(models, server)
        await complete(models, server)
        long: Any = [{"role": "user", "content": "x" * 600}]
        with pytest.raises(openai.APIStatusError) as failed:
            await models.chat.completions.create(model="m", messages=long)
        assert failed.value.status_code == 307

    _, server = talk(answer, use)

    assert [request.headers.get("cookie") for request in server.requests] == [None] * 3
    assert server.connections <= 2


def test_a_stream_comes_piece_by_piece_and_ends_at_its_limit() -> None:
    piece = json.loads(ANSWER) | {"object": "chat.completion.chunk"}
    piece["choices"] = [{"index": 0, "delta": {"content": "x" * 100}, "finish_reason": None}]
    line = b"data: " + json.dumps(piece).encode() + b"\n\n"

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n")
        while not writer.is_closing():
            writer.write(line)
            await writer.drain()

    seen = []

    async def use(models: openai.AsyncOpenAI, server: Server) -> None:
        stream = await models.chat.completions.create(model="m", messages=MESSAGES, stream=True)
        async for piece in stream:
            seen.append(piece)  # noqa: PERF401 -- what came before the failure counts

    with pytest.raises((openai.APIConnectionError, httpx2.ReadError)):
        talk(answer, use, max_bytes=100_000)

    assert 100_000 // len(line) - 300 < len(seen) <= 100_000 // len(line)


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (b"", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\nx", httpx2.RemoteProtocolError),
        (b"HTTP/1.1 200 OK\r\nX: " + b"x" * 66_000 + b"\r\n\r\n", httpx2.RemoteProtocolError),
        (b"rubbish\r\n\r\n", httpx2.RemoteProtocolError),
    ],
    ids=["nothing", "cut off", "packed", "large headers", "rubbish"],
)
def test_a_broken_answer_is_no_connect_error(answer: bytes, kind: type[Exception]) -> None:
    async def break_off(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    cause, _ = talk(break_off, fails)

    assert type(cause) is kind


def test_silence_is_a_timeout() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def use(models: openai.AsyncOpenAI, server: Server) -> None:
        with pytest.raises(openai.APITimeoutError):
            await complete(models, server)

    talk(answer, use, read_s=0.1)


def test_a_port_that_is_closed_is_a_connect_error() -> None:
    anywhere_here = parse_allow("127.0.0.0/8:1-65535")

    cause, server = talk(says(ANSWER), fails, "http://127.0.0.9:{port}/v1", anywhere_here)

    assert type(cause) is httpx2.ConnectError
    assert server.connections == 0


def test_a_caller_may_have_its_own_error_for_a_refusal() -> None:
    class NotAllowed(Exception):
        pass

    async def use(models: openai.AsyncOpenAI, server: Server) -> str:
        with pytest.raises((NotAllowed, openai.APIConnectionError)) as failed:
            await complete(models, server)
        cause = failed.value.__cause__
        error = cause if isinstance(cause, NotAllowed) else failed.value
        return str(error)

    said, _ = talk(
        says(ANSWER), use, allow=AllowList(), as_error=lambda error: NotAllowed(error.reason)
    )

    assert said.startswith("Port ")
