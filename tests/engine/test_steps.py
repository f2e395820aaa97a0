"""Each kind of step: it works, and it says what is wrong."""

from __future__ import annotations

import asyncio
import http.client
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import urlsplit

import pytest
from pydantic import ValidationError

from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.ledger import Entry
from webapp.engine.ports import Clock, HttpAnswer, Meter, Ports, Work
from webapp.engine.providers import Providers
from webapp.engine.purse import Purse
from webapp.engine.steps import KINDS
from webapp.engine.steps.wait import waits
from webapp.engine.values import Scope


class StillClock(Clock):
    def monotonic(self) -> float:
        return 100.0


class PlainHttp:
    """The Http port over a real socket, without the outbound rules."""

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        def send() -> HttpAnswer:
            parts = urlsplit(url)
            wire = http.client.HTTPConnection(parts.netloc, timeout=timeout_s)
            target = parts.path + (f"?{parts.query}" if parts.query else "")
            wire.request(method, target, body, dict(headers))
            reply = wire.getresponse()
            content = reply.read(max_bytes + 1)
            wire.close()
            names = {name.lower(): value for name, value in reply.getheaders()}
            cut = len(content) > max_bytes
            return HttpAnswer(reply.status, names, content[:max_bytes], url, truncated=cut)

        return await asyncio.to_thread(send)


@dataclass
class Shelf:
    files: dict[str, bytes] = field(default_factory=dict)

    async def read(self, file_id: str) -> bytes:
        return self.files[file_id]

    async def write(self, content: bytes, name: str, media_type: str) -> str:
        self.files[f"file_{len(self.files) + 1}"] = content
        return f"file_{len(self.files)}"


class Answering(BaseHTTPRequestHandler):
    """Answers /<status> with that status; keeps what came in."""

    server: Sink

    def handle_any(self) -> None:
        length = int(self.headers.get("Content-Length") or 0)
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.seen.append((self.command, self.path, headers, self.rfile.read(length)))
        status, media_type, content = self.server.answers.get(
            urlsplit(self.path).path, (200, "application/json", b'{"total": 12.10}')
        )
        self.send_response(status)
        self.send_header("Content-Type", media_type)
        self.send_header("Content-Length", str(len(content)))
        self.send_header("Set-Cookie", "sid=1")
        if status == 429:
            self.send_header("Retry-After", "7")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = do_PATCH = handle_any  # noqa: N815

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Sink(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Answering)
        self.seen: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: dict[str, tuple[int, str, bytes]] = {}

    def url(self, path: str = "/") -> str:
        return f"http://127.0.0.1:{self.server_address[1]}{path}"


@pytest.fixture
def sink() -> Iterator[Sink]:
    sink = Sink()
    thread = threading.Thread(target=sink.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield sink
    sink.shutdown()
    sink.server_close()
    thread.join()


SCOPE = Scope(
    {"start": {"who": "Ada & Ben", "rows": [{"n": 1}, {"n": 2}], "bad": "a\r\nX: 1", "gone": None}},
    facts={"zone": "Europe/Berlin"},
)


def at(*ref: str | int) -> list[dict[str, Any]]:
    return [{"value": list(ref)}]


class Books:
    """Has every entry at once."""

    def __init__(self) -> None:
        self.unpriced: set[str] = set()

    def next_call(self, path: str, attempt: int) -> int:
        return 1

    async def commit_entry(self, entry: Entry) -> None:
        pass

    def leave_entry(self, entry: Entry) -> None:
        pass


def work(shelf: Shelf | None = None, said: list[str] | None = None) -> Work:
    async def call(tool: str, effect: str, request: bytes, perform: Any) -> Any:
        return await perform(request, work())

    ports = Ports(
        clock=StillClock(),
        http=PlainHttp(),
        models=Providers(),
        files=shelf or Shelf(),
        emit=lambda path, attempt, offset, text: (said if said is not None else []).append(text),
    )
    made = Work("run_1", "s_1", 1, "dh-key", 130.0, ports, Meter(), {}, call)
    made.purse = Purse(Books(), made)
    return made


def run(kind: str, settings: dict[str, Any], its_work: Work | None = None) -> dict[str, Any]:
    step = KINDS[kind]
    config = step.config.model_validate(settings)
    if step.compute:
        return step.compute(config, SCOPE)
    assert step.prepare
    assert step.perform
    return asyncio.run(step.perform(step.prepare(config, SCOPE), its_work or work()))


def failure(kind: str, settings: dict[str, Any], its_work: Work | None = None) -> StepError:
    with pytest.raises(StepError) as caught:
        run(kind, settings, its_work)
    return caught.value


# Text, set, list, stop, wait


def test_text_joins_words_and_values() -> None:
    assert run("text", {"text": [{"text": "Hi "}, *at("start", "who")]}) == {"text": "Hi Ada & Ben"}


def test_text_that_is_far_too_long_is_refused() -> None:
    value = [{"value": ["start", "who"]}] * 500
    scope = Scope({"start": {"who": "x" * 10_000}})
    step = KINDS["text"]
    assert step.compute

    with pytest.raises(StepError, match="E-TEXT-LONG"):
        step.compute(step.config.model_validate({"text": value}), scope)


def test_set_names_and_computes_values_in_their_types() -> None:
    fields = [
        {"name": "total", "op": "sum", "of": [[{"value": ["start", "rows"], "adjust": [
            {"do": "field", "name": "n"}]}]]},
        {"name": "share", "type": "number", "op": "divide", "of": [1, 3], "digits": 2},
        {"name": "count", "type": "text", "value": 5},
    ]  # fmt: skip

    assert run("set", {"fields": fields}) == {"total": 3, "share": Decimal("0.33"), "count": "5"}


def test_list_gives_items_count_and_what_it_left_out() -> None:
    row = {"value": at("item", "n"), "is": "more", "to": 1}
    result = run("list", {"from": at("start", "rows"), "do": [
        {"do": "filter", "where": {"all": [row]}}]})  # fmt: skip

    assert result == {
        "items": [{"n": 2}], "count": 1,
        "removed": [{"item": {"n": 1}, "reason": "Does not match the filter."}],
    }  # fmt: skip


def test_list_notes_what_could_not_be_compared() -> None:
    row = {"value": at("item", "gone"), "is": "more", "to": 1}
    result = run("list", {"from": at("start", "rows"), "do": [
        {"do": "filter", "where": {"all": [row]}}]})  # fmt: skip

    assert result["notes"] == ["An empty value is no number, so the comparison is not true."] * 2


def test_list_says_that_it_needs_a_list() -> None:
    assert failure("list", {"from": at("start", "who")}).code == "E-LIST-TYPE"


def test_stop_says_how_the_run_ends() -> None:
    assert run("stop", {"as": "failed", "message": at("start", "who")}) == {
        "as": "failed", "message": "Ada & Ben",
    }  # fmt: skip


def test_wait_knows_spans_and_moments() -> None:
    config = KINDS["wait"].config

    assert waits(config.model_validate({"for_s": 90}), SCOPE).due_s == 90
    until = waits(config.model_validate({"until": "2026-07-01"}), SCOPE).due_at
    assert until == datetime(2026, 6, 30, 22, tzinfo=UTC), "a day begins in the organization's zone"


@pytest.mark.parametrize(
    "settings", [{"for_s": "soon"}, {"for_s": -1}, {"for_s": 40_000_000}, {"until": "tomorrow"},
                 {"until": at("start", "gone")}]
)  # fmt: skip
def test_wait_says_what_it_cannot_wait_for(settings: dict[str, Any]) -> None:
    with pytest.raises(StepError, match="E-WAIT"):
        waits(KINDS["wait"].config.model_validate(settings), SCOPE)


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("wait", {}),
        ("wait", {"for_s": 1, "until": "2026-01-01"}),
        ("agent", {"message": "x"}),
        ("agent", {"message": "x", "agent": "ag_1", "inline": {}}),
        ("http", {"url": "x", "verb": "GET"}),
        ("http", {"url": "x", "ok": [[200]]}),
        ("parallel", {"lanes": [{"id": "a"}]}),
        ("each", {"list": [], "at_once": 21}),
        ("set", {"fields": []}),
        ("tool", {"tool": "Not A Tool"}),
    ],
)
def test_settings_outside_the_format_are_refused(kind: str, settings: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        KINDS[kind].config.model_validate(settings)


# HTTP


def test_http_reads_json_exactly(sink: Sink) -> None:
    result = run("http", {"url": sink.url("/orders"), "query": [
        {"name": "who", "value": at("start", "who")}]})  # fmt: skip

    assert result["body"] == {"total": Decimal("12.10")}
    assert result["status"] == 200
    assert "set-cookie" not in result["headers"]
    assert sink.seen[0][:2] == ("GET", "/orders?who=Ada+%26+Ben")
    assert "idempotency-key" not in sink.seen[0][2]


def test_http_sends_json_form_and_text_with_the_key_of_the_step(sink: Sink) -> None:
    record = {"record": {"who": at("start", "who"), "n": Decimal("1.50")}}
    for form in ("json", "form", "text"):
        value = record if form != "text" else at("start", "who")
        run("http", {"method": "POST", "url": sink.url(), "body": {"as": form, "value": value}})

    assert [body for *_, body in sink.seen] == [
        b'{"n":1.50,"who":"Ada & Ben"}', b"who=Ada+%26+Ben&n=1.50", b"Ada & Ben",
    ]  # fmt: skip
    assert [headers["content-type"].split(";")[0] for _, _, headers, _ in sink.seen] == [
        "application/json", "application/x-www-form-urlencoded", "text/plain",
    ]  # fmt: skip
    assert {headers["idempotency-key"] for _, _, headers, _ in sink.seen} == {"dh-key"}


def test_http_sends_json_text_as_it_is_written(sink: Sink) -> None:
    value = [{"text": '{"b": 1, "who": "'}, *at("start", "who"), {"text": '"}'}]
    run("http", {"method": "PUT", "url": sink.url(), "body": {"as": "json", "value": value}})

    assert json.loads(sink.seen[0][3]) == {"b": 1, "who": "Ada & Ben"}


def test_http_freezes_the_same_bytes_for_the_same_values() -> None:
    step = KINDS["http"]
    config = step.config.model_validate({"url": "https://a.example", "method": "POST"})
    assert step.prepare

    assert step.prepare(config, SCOPE) == step.prepare(config, SCOPE)


@pytest.mark.parametrize(
    ("settings", "effect"),
    [
        ({"method": "GET"}, Effect.NONE),
        ({"method": "PUT"}, Effect.IDEMPOTENT),
        ({"method": "DELETE"}, Effect.IDEMPOTENT),
        ({"method": "POST"}, Effect.AT_MOST_ONCE),
        ({"method": "PATCH", "repeat_safe": True}, Effect.IDEMPOTENT),
    ],
)
def test_http_has_the_effect_of_its_method(settings: dict[str, Any], effect: Effect) -> None:
    config = KINDS["http"].config.model_validate({"url": "https://a.example", **settings})

    assert KINDS["http"].effect(config) is effect


@pytest.mark.parametrize(
    ("status", "code", "proven", "retryable"),
    [
        (404, "E-HTTP-4XX", True, False),
        (422, "E-HTTP-4XX", True, False),
        (429, "E-HTTP-4XX", True, True),
        (303, "E-HTTP-4XX", False, False),
        (500, "E-HTTP-5XX", False, True),
        (503, "E-HTTP-5XX", False, True),
    ],
)
def test_http_says_what_the_other_side_refused(
    sink: Sink, status: int, code: str, proven: bool, retryable: bool
) -> None:
    sink.answers["/x"] = (status, "text/plain", b"no")

    error = failure("http", {"method": "POST", "url": sink.url("/x")})

    assert (error.code, error.proven, error.retryable) == (code, proven, retryable)
    assert "127.0.0.1" in error.text
    assert error.retry_after_s == (7 if status == 429 else None)
    assert error.facts["answer"] == "no"


def test_http_may_count_other_answers_as_done(sink: Sink) -> None:
    sink.answers["/x"] = (404, "application/json", b"{}")

    assert run("http", {"url": sink.url("/x"), "ok": [[200, 299], [404, 404]]})["status"] == 404


def test_http_reads_text_and_broken_json_as_text_unless_json_is_wanted(sink: Sink) -> None:
    sink.answers["/x"] = (200, "application/json; charset=latin-1", "ä{".encode("latin-1"))

    assert run("http", {"url": sink.url("/x")})["body"] == "ä{"
    assert failure("http", {"url": sink.url("/x"), "read": "json"}).code == "E-HTTP-ANSWER"


@pytest.mark.parametrize("charset", ["punycode", "idna", "unicode_escape", "utf-7", "undefined"])
def test_http_reads_only_what_the_web_is_written_in(sink: Sink, charset: str) -> None:
    body = b"-" + b"a" * 900_000  # minutes of work for Python's punycode
    sink.answers["/x"] = (200, f"text/plain; charset={charset}", body)

    assert run("http", {"url": sink.url("/x")})["body"] == body.decode()


@pytest.mark.parametrize("charset", ["ISO-8859-15", "windows-1252", "Shift_JIS", "UTF-16LE"])
def test_http_reads_other_charsets_of_the_web(sink: Sink, charset: str) -> None:
    sink.answers["/x"] = (200, f'text/plain; charset="{charset}"', "Gr".encode(charset))

    assert run("http", {"url": sink.url("/x")})["body"].startswith("Gr")


def test_http_keeps_what_is_no_text_as_a_file(sink: Sink) -> None:
    sink.answers["/a/pic.png"] = (200, "image/png", b"\x89PNG\x00\xff")
    shelf = Shelf()

    result = run("http", {"url": sink.url("/a/pic.png")}, work(shelf))

    assert result["file"] == {"file": "file_1", "name": "pic.png"}
    assert result["body"] is None
    assert shelf.files["file_1"] == b"\x89PNG\x00\xff"


def test_http_refuses_an_answer_that_is_too_large(sink: Sink) -> None:
    sink.answers["/big"] = (200, "text/plain", b"x" * (1024 * 1024 + 1))

    assert failure("http", {"url": sink.url("/big")}).code == "E-HTTP-LARGE"


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"url": "ftp://a.example"}, "E-HTTP-URL"),
        ({"url": "https://"}, "E-HTTP-URL"),
        ({"url": "https://a.example/a b"}, "E-HTTP-URL"),
        ({"url": [{"text": "https://a.example/"}, *at("start", "bad")]}, "E-HTTP-URL"),
        ({"url": "https://a.example/" + "x" * 3_000}, "E-HTTP-URL"),
        ({"headers": [{"name": "A B", "value": "x"}]}, "E-HTTP-HEADER"),
        ({"headers": [{"name": "A", "value": at("start", "bad")}]}, "E-HTTP-HEADER"),
        ({"body": {"as": "form", "value": "x"}}, "E-HTTP-BODY"),
        ({"body": {"as": "json", "value": '{"a": '}}, "E-HTTP-BODY"),
        ({"connection": "cn_1"}, "E-CONN-GONE"),
    ],
)
def test_http_sends_nothing_when_something_is_wrong(settings: dict[str, Any], code: str) -> None:
    error = failure("http", {"method": "POST", "url": "https://a.example", **settings})

    assert (error.code, error.proven, error.retryable) == (code, True, False)
    assert error.text.endswith("Nothing was sent.")


TOKEN = {"name": "Authorization", "value": [{"text": "Bearer "}, {"value": ["secret", "shop"]}]}


class SecretsAtHand:
    async def reveal(self, name: str) -> str:
        return f"<{name}>"


class RecordingHttp:
    """Keeps what reaches the socket."""

    def __init__(self) -> None:
        self.sent: list[tuple[str, Mapping[str, str]]] = []

    async def request(
        self,
        method: str,
        url: str,
        headers: Mapping[str, str],
        body: bytes | None,
        timeout_s: float,
        max_bytes: int,
    ) -> HttpAnswer:
        self.sent.append((url, headers))
        return HttpAnswer(200, {}, b"")


def test_http_puts_secrets_in_at_the_socket_and_never_into_the_frozen_bytes() -> None:
    step, http_port = KINDS["http"], RecordingHttp()
    assert step.prepare
    assert step.perform
    config = step.config.model_validate({"url": "https://a.example", "headers": [TOKEN], "query": [
        {"name": "key", "value": [{"value": ["secret", "shop"]}]}]})  # fmt: skip
    its_work = work()
    its_work.ports = Ports(clock=StillClock(), http=http_port, secrets=SecretsAtHand())

    request = step.prepare(config, SCOPE)
    asyncio.run(step.perform(request, its_work))

    assert b"<shop>" not in request
    assert http_port.sent == [
        ("https://a.example?key=%3Cshop%3E", {"Authorization": "Bearer <shop>"})
    ]


def test_http_sends_no_secret_in_the_clear_and_none_that_is_missing() -> None:
    assert failure("http", {"url": "http://a.example", "headers": [TOKEN]}).code == "E-HTTP-URL"
    missing = failure("http", {"url": "https://a.example", "headers": [TOKEN]})
    assert (missing.code, missing.proven) == ("E-SECRET-GONE", True)


# Tool and agent


def test_tool_gets_rendered_arguments() -> None:
    args = {"expression": "a * 2", "values": {"record": {"a": at("start", "rows", 1, "n")}}}

    assert run("tool", {"tool": "calculator", "args": args}) == {"answer": 4}


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"tool": "gone.tool"}, "E-TOOL-UNKNOWN"),
        ({"tool": "calculator"}, "E-TOOL-INPUT"),
        ({"tool": "calculator", "args": {"expression": "1/0"}}, "E-TOOL-INPUT"),
    ],
)
def test_tool_says_what_is_wrong(settings: dict[str, Any], code: str) -> None:
    error = failure("tool", settings)

    assert (error.code, error.proven) == (code, True)


def test_an_unknown_tool_may_have_any_effect() -> None:
    config = KINDS["tool"].config.model_validate({"tool": "gone.tool"})

    assert KINDS["tool"].effect(config) is Effect.AT_MOST_ONCE


def test_agent_answers_with_a_text_and_streams_it() -> None:
    said: list[str] = []
    inline = {"instructions": "Summarize.", "model": "practice"}
    its_work = work(said=said)

    result = run("agent", {"inline": inline, "message": "All is well."}, its_work)

    assert result["text"].startswith("All is well.")
    assert "".join(said) == result["text"]
    assert result["talk"]["model"] == "practice"
    assert its_work.tokens_in > 0


def test_agent_answers_with_fields_and_uses_tools_and_files() -> None:
    shelf = Shelf({"f": b"Amount: 12.50\n"})
    settings = {
        "inline": {"model": "practice"},
        "message": "See the file.",
        "files": [{"record": {"file": "f", "name": "bill.txt"}}],
        "gives": [{"name": "amount", "type": "number"}],
    }

    assert run("agent", settings, work(shelf))["amount"] == Decimal("12.50")

    sums = {"inline": {"model": "practice", "tools": ["calculator"]}, "message": "What is 2*21?"}
    assert "2*21 = 42" in run("agent", sums)["text"]


@pytest.mark.parametrize(
    ("settings", "code"),
    [
        ({"agent": "ag_1"}, "E-AGENT-GONE"),
        ({"inline": {"model": "gpt-5"}}, "E-PROVIDER-NONE"),
        ({"inline": {"tools": ["gone"]}}, "E-TOOL-UNKNOWN"),
        ({"inline": {}, "files": [{"record": {"file": "pic"}}]}, "E-FILE"),
    ],
)
def test_agent_says_what_is_wrong(settings: dict[str, Any], code: str) -> None:
    its_work = work(Shelf({"pic": b"\x89PNG\x00"}))

    assert failure("agent", {"message": "Hi.", **settings}, its_work).code == code


def test_agent_asks_nothing_when_the_money_is_used_up() -> None:
    its_work = work()
    its_work.meter.limit_nano = 5
    its_work.meter.spent_nano = 5

    error = failure("agent", {"inline": {"model": "practice"}, "message": "Hi."}, its_work)

    assert error.code == "E-COST-RUN"


# All kinds


def test_every_kind_is_labeled_for_the_builder() -> None:
    for name, kind in KINDS.items():
        assert kind.name == name
        assert kind.label
        assert kind.about.endswith(".")
        fields = kind.config.model_fields.items()
        unlabeled = [key for key, field in fields if key != "steps" and not field.title]
        assert not unlabeled, name
        assert kind.container or kind.compute or kind.waits or (kind.prepare and kind.perform)
