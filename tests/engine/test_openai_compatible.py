"""Against a real server on loopback that speaks the chat-completions protocol."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Iterator
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest

from webapp.engine.errors import StepError
from webapp.engine.grammar import Field
from webapp.engine.providers.asking import Answer, Ask, Hooks, ToolOffer
from webapp.engine.providers.openai_compatible import OpenAiCompatible
from webapp.engine.providers.openai_talk import Patience
from webapp.engine.testing import Till

Reply = Callable[["Handler"], None]


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.requests: list[dict[str, Any]] = []
        self.keys: list[str | None] = []
        self.replies: list[Reply] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_POST(self) -> None:
        length = int(self.headers["Content-Length"])
        self.server.requests.append(json.loads(self.rfile.read(length)))
        self.server.keys.append(self.headers.get("Authorization"))
        self.server.replies.pop(0)(self)

    def log_message(self, format: str, *args: Any) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


def refuse(status: int, body: dict[str, Any], **headers: str) -> Reply:
    def reply(handler: Handler) -> None:
        content = json.dumps({"error": body}).encode()
        handler.send_response(status)
        handler.send_header("Content-Type", "application/json")
        handler.send_header("Content-Length", str(len(content)))
        for name, value in headers.items():
            handler.send_header(name.replace("_", "-"), value)
        handler.end_headers()
        handler.wfile.write(content)

    return reply


def stream(*chunks: dict[str, Any], ends: bool = True) -> Reply:
    """Send chunks as server-sent events; without its end the connection is just closed."""

    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", "text/event-stream")
        handler.send_header("Connection", "close")
        handler.end_headers()
        for chunk in chunks:
            event = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            handler.wfile.write(f"data: {json.dumps(event | chunk)}\n\n".encode())
            handler.wfile.flush()
        if ends:
            handler.wfile.write(b"data: [DONE]\n\n")
        handler.close_connection = True

    return reply


def piece(delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": finish}]}


def usage(tokens_in: int, tokens_out: int) -> dict[str, Any]:
    counted = {"prompt_tokens": tokens_in, "completion_tokens": tokens_out}
    return {"choices": [], "usage": counted | {"total_tokens": tokens_in + tokens_out}}


def says(*pieces: str) -> Reply:
    deltas = [piece({"role": "assistant", "content": text}) for text in pieces]
    return stream(*deltas, piece({}, "stop"), usage(12, 3))


def calls(name: str, arguments: dict[str, Any], call_id: str = "call_1") -> Reply:
    function = {"name": name, "arguments": json.dumps(arguments)}
    call = {"index": 0, "id": call_id, "type": "function", "function": function}
    return stream(piece({"tool_calls": [call]}), piece({}, "tool_calls"), usage(20, 5))


def ask(
    server: Server, question: Ask, hooks: Hooks | None = None, patience: Patience | None = None
) -> Answer:
    async def run() -> Answer:
        waits = patience or Patience()
        provider = OpenAiCompatible(server.url, "k", "small", plain_client, waits)
        try:
            return await provider.answer(question, hooks or Hooks())
        finally:
            await provider.close()

    return asyncio.run(run())


def plain_client() -> httpx2.AsyncClient:
    return httpx2.AsyncClient(trust_env=False)


TOTAL = (Field(name="total", label="Total", type="number"),)
HELLO = Ask(model="default", instructions="Be kind.", message="Greet Ada.")


def test_an_answer_comes_in_pieces_with_its_tokens_counted(server: Server) -> None:
    server.replies = [says("Hello", " Ada", ".")]
    pieces: list[str] = []
    till = Till()

    answer = ask(server, HELLO, Hooks(emit=pieces.append, money=till))

    assert answer.text == "Hello Ada."
    assert "".join(pieces) == "Hello Ada."
    assert len(pieces) > 1
    assert till.told == [("settle", 12, 3, 0)]


def test_the_server_gets_instructions_message_settings_and_key(server: Server) -> None:
    server.replies = [says("Hi.")]

    ask(server, Ask("big", "Be kind.", "Greet.", temperature=Decimal("0.2"), answer_tokens=50))

    sent = server.requests[0]
    assert (sent["model"], sent["temperature"], sent["stream"]) == ("big", 0.2, True)
    assert [m["content"] for m in sent["messages"]] == ["Be kind.", "Greet."]
    assert 50 in (sent.get("max_tokens"), sent.get("max_completion_tokens"))
    assert server.keys == ["Bearer k"]


def test_named_fields_come_back_exact(server: Server) -> None:
    server.replies = [calls("give_answer", {"total": 0.1})]

    answer = ask(server, Ask("default", "", "Add.", gives=TOTAL))

    assert answer.fields == {"total": Decimal("0.1")}
    offered = server.requests[0]["tools"][0]["function"]
    assert offered["parameters"]["properties"] == {
        "total": {"type": "number", "description": "Total"}
    }


def test_fields_written_as_json_text_are_read_too(server: Server) -> None:
    server.replies = [says('```json\n{"total": 7}\n```')]

    assert ask(server, Ask("default", "", "Add.", gives=TOTAL)).fields == {"total": 7}


def test_an_answer_without_its_fields_is_asked_for_once_more(server: Server) -> None:
    server.replies = [calls("give_answer", {}), calls("give_answer", {"total": 3}, "call_2")]

    answer = ask(server, Ask("default", "", "Add.", gives=TOTAL))

    assert answer.fields == {"total": 3}
    assert "Total is missing." in server.requests[1]["messages"][-1]["content"]


def test_an_answer_that_never_has_its_fields_says_which(server: Server) -> None:
    server.replies = [says("Seven."), says("Seven!")]

    with pytest.raises(StepError) as failure:
        ask(server, Ask("default", "", "Add.", gives=TOTAL))

    assert failure.value.code == "E-ANSWER-FORMAT"
    assert "Total is missing." in failure.value.text


def test_tools_are_called_one_after_the_other_and_answered(server: Server) -> None:
    server.replies = [
        calls("calculator", {"expression": "2+2"}, "call_1"),
        calls("csv__read", {"file": "a"}, "call_1"),
        says("It is 4."),
    ]
    asked: list[tuple[str, dict[str, Any]]] = []

    async def call(name: str, args: dict[str, Any]) -> dict[str, Any]:
        asked.append((name, args))
        if name == "csv.read":
            raise StepError("E-FILE", "The file cannot be read.", proven=True)
        return {"answer": Decimal("4")}

    offers = tuple(ToolOffer(n, "Does it.", {"type": "object"}) for n in ("calculator", "csv.read"))
    answer = ask(server, Ask("default", "", "2+2?", tools=offers), Hooks(call=call))

    assert answer.text == "It is 4."
    assert asked == [("calculator", {"expression": "2+2"}), ("csv.read", {"file": "a"})]
    last = server.requests[2]["messages"]
    assert [m["content"] for m in last if m["role"] == "tool"] == [
        '{"answer":4}', "The tool failed. The file cannot be read.",
    ]  # fmt: skip
    ids = [m["tool_call_id"] for m in last if m["role"] == "tool"]
    assert len(set(ids)) == 2


def test_an_agent_that_calls_tools_for_ever_is_stopped(server: Server) -> None:
    server.replies = [calls("calculator", {"expression": "1"}, f"call_{n}") for n in range(5)]

    async def call(name: str, args: dict[str, Any]) -> dict[str, Any]:
        return {"answer": 1}

    offer = ToolOffer("calculator", "Counts.", {"type": "object"})
    with pytest.raises(StepError) as failure:
        ask(server, Ask("default", "", "?", tools=(offer,), most_calls=2), Hooks(call=call))

    assert failure.value.code == "E-AGENT-CALLS"
    assert len(server.requests) == 3


@pytest.mark.parametrize(
    ("status", "body", "code", "retryable"),
    [
        (401, {"message": "bad key", "code": "invalid_api_key"}, "E-PROVIDER-KEY", False),
        (402, {"message": "pay"}, "E-PROVIDER-CREDIT", False),
        (429, {"message": "quota", "code": "insufficient_quota"}, "E-PROVIDER-CREDIT", False),
        (429, {"message": "slow down"}, "E-PROVIDER-BUSY", True),
        (404, {"message": "no such model", "code": "model_not_found"}, "E-PROVIDER-MODEL", False),
        (400, {"message": "long", "code": "context_length_exceeded"}, "E-TOO-LONG-IN", False),
        (400, {"message": "odd"}, "E-PROVIDER-REFUSED", False),
        (500, {"message": "oops"}, "E-PROVIDER-DOWN", True),
        (503, {"message": "overloaded"}, "E-PROVIDER-BUSY", True),
    ],
)
def test_a_refusal_says_what_is_wrong(
    server: Server, status: int, body: dict[str, Any], code: str, retryable: bool
) -> None:
    server.replies = [refuse(status, body)]

    with pytest.raises(StepError) as failure:
        ask(server, HELLO)

    assert (failure.value.code, failure.value.retryable) == (code, retryable)
    assert len(server.requests) == 1, "the SDK must not try again by itself"


def test_a_busy_provider_says_how_long_to_wait(server: Server) -> None:
    server.replies = [refuse(429, {"message": "slow"}, Retry_After="7")]

    with pytest.raises(StepError) as failure:
        ask(server, HELLO)

    assert failure.value.retry_after_s == 7


def test_a_stream_that_is_cut_is_no_answer(server: Server) -> None:
    server.replies = [stream(piece({"role": "assistant", "content": "Hel"}), ends=False)]
    till = Till()

    with pytest.raises(StepError) as failure:
        ask(server, HELLO, Hooks(money=till))

    assert failure.value.code == "E-PROVIDER-DOWN"
    assert till.told == [("interrupted", 4, 0, 0)], "what was streamed was paid for"


def test_what_a_provider_refuses_costs_nothing(server: Server) -> None:
    server.replies = [refuse(500, {"message": "broken"})]
    till = Till()

    with pytest.raises(StepError):
        ask(server, HELLO, Hooks(money=till))

    assert till.told == [("release", 0, 0, 0)]


def test_what_the_server_had_in_its_cache_is_counted_apart(server: Server) -> None:
    counted = usage(12, 3)
    counted["usage"]["prompt_tokens_details"] = {"cached_tokens": 8}
    server.replies = [stream(piece({"content": "Hello."}), piece({}, "stop"), counted)]
    till = Till()

    ask(server, HELLO, Hooks(money=till))

    assert till.told == [("settle", 12, 3, 8)]


def raw(content: bytes, media_type: str = "text/event-stream") -> Reply:
    def reply(handler: Handler) -> None:
        handler.send_response(200)
        handler.send_header("Content-Type", media_type)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(content)
        handler.close_connection = True

    return reply


@pytest.mark.parametrize(
    "content",
    [
        b'data: {"choices": [{"ind\n\n',
        b"data: \xff\xfe\n\ndata: [DONE]\n\n",
        b"<html>Hello</html>",
        b"",
        b"data: [DONE]\n\n",
        b'data: {"error": {"message": "out of memory", "code": 500}}\n\n',
        b'data: {"choices": null}\n\ndata: [DONE]\n\n',
        b"data: [1, 2]\n\ndata: [DONE]\n\n",
        b'data: {"choices": [{"index": 0, "delta": {"content": 7}, "finish_reason": "stop"}]}\n\n',
    ],
)
def test_a_garbled_answer_is_the_providers_fault(server: Server, content: bytes) -> None:
    server.replies = [raw(content)]

    with pytest.raises(StepError) as failure:
        ask(server, HELLO)

    assert failure.value.code in {"E-PROVIDER-DOWN", "E-PROVIDER-REFUSED", "E-ANSWER-FORMAT"}


@pytest.mark.parametrize("begins", [False, True])
def test_a_server_that_falls_silent_is_not_waited_for(server: Server, begins: bool) -> None:
    released = threading.Event()

    def hang(handler: Handler) -> None:
        if begins:
            handler.send_response(200)
            handler.send_header("Content-Type", "text/event-stream")
            handler.end_headers()
            chunk = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": "m"}
            event = json.dumps(chunk | piece({"content": "Hel"}))
            handler.wfile.write(f"data: {event}\n\n".encode())
            handler.wfile.flush()
        released.wait(10)
        handler.close_connection = True

    server.replies = [hang]
    patience = Patience(first_event_s=1.0 if begins else 0.2, idle_s=0.2)
    try:
        with pytest.raises(StepError) as failure:
            ask(server, HELLO, patience=patience)
    finally:
        released.set()

    assert failure.value.code == "E-PROVIDER-DOWN"
    assert failure.value.retryable


def test_a_cancelled_question_ends_at_once(server: Server) -> None:
    released, asked = threading.Event(), threading.Event()

    def hang(handler: Handler) -> None:
        asked.set()
        released.wait(10)
        handler.close_connection = True

    async def run() -> None:
        provider = OpenAiCompatible(server.url, "k", "small", plain_client)
        task = asyncio.create_task(provider.answer(HELLO, Hooks()))
        await asyncio.to_thread(asked.wait, 10)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asyncio.wait_for(task, 2)
        await provider.close()

    server.replies = [hang]
    try:
        asyncio.run(run())
    finally:
        released.set()


def test_an_answer_without_end_is_stopped(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("webapp.engine.providers.openai_talk.MOST_CHARACTERS", 1_000)
    server.replies = [says(*["x" * 400] * 5)]

    with pytest.raises(StepError, match="E-ANSWER-LONG"):
        ask(server, HELLO)


def test_a_server_that_is_not_there_is_down(server: Server) -> None:
    gone = OpenAiCompatible("http://127.0.0.1:9/v1", "k", "small", plain_client)

    with pytest.raises(StepError) as failure:
        asyncio.run(gone.answer(HELLO, Hooks()))

    assert failure.value.code == "E-PROVIDER-DOWN"


def test_refused_content_is_said_so(server: Server) -> None:
    server.replies = [stream(piece({"content": ""}), piece({}, "content_filter"))]

    with pytest.raises(StepError) as failure:
        ask(server, HELLO)

    assert failure.value.code == "E-ANSWER-BLOCKED"


def test_an_address_that_may_not_be_reached_keeps_its_own_error(server: Server) -> None:
    class Walled(httpx2.AsyncBaseTransport):
        async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
            raise StepError("E-HTTP-PRIVATE", "This address is private.", proven=True)

    provider = OpenAiCompatible(
        server.url, "k", "small", client_factory=lambda: httpx2.AsyncClient(transport=Walled())
    )

    with pytest.raises(StepError) as failure:
        asyncio.run(provider.answer(HELLO, Hooks()))

    assert failure.value.code == "E-HTTP-PRIVATE"


def test_nothing_is_asked_when_the_limit_is_reached(server: Server) -> None:
    with pytest.raises(StepError, match="E-COST-RUN"):
        ask(server, HELLO, Hooks(money=Till(refuses=True)))

    assert server.requests == []


def test_the_sdk_is_not_imported_before_the_first_question() -> None:
    import subprocess
    import sys

    code = (
        "import sys, webapp.engine.steps, webapp.engine.providers;"
        "sys.exit('pydantic_ai' in sys.modules or 'openai' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_the_guarded_client_lets_a_question_through_only_where_the_operator_allows(
    server: Server,
) -> None:
    from webapp.kernel.addresses import AllowList, parse_allow
    from webapp.kernel.http_for_models import guarded_client_for_models

    def asked(allow: AllowList) -> Answer:
        async def run() -> Answer:
            provider = OpenAiCompatible(
                server.url, "k", "small", lambda: guarded_client_for_models(allow)
            )
            try:
                return await provider.answer(HELLO, Hooks())
            finally:
                await provider.close()

        return asyncio.run(run())

    server.replies = [says("Hello", " Ada.")]
    port = server.server_address[1]
    assert asked(AllowList(parse_allow(f"127.0.0.1/32:{port}").rules)).text == "Hello Ada."

    with pytest.raises(StepError, match="E-PROVIDER-DOWN"):
        asked(AllowList(parse_allow("").rules))
    assert len(server.requests) == 1
