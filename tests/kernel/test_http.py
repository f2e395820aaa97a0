"""The outbound client against real servers on loopback, which the allow-list opens."""

from __future__ import annotations

import asyncio
import gzip
import time
import tracemalloc
import zlib
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

import brotli
import pytest

from tests.kernel.outbound_server import (
    Answer,
    Names,
    Received,
    Server,
    by_path,
    every_connection,
    reply,
    says,
    serving,
)
from webapp.kernel.addresses import AllowList, parse_allow
from webapp.kernel.http import (
    Credential,
    HttpAnswer,
    HttpClient,
    OutboundError,
    OutboundRefused,
    OutboundTooLarge,
    OutboundUnreachable,
)

T = TypeVar("T")
KIB, MIB = 1024, 1024 * 1024


def ask(
    answer: Answer, talk: Callable[[HttpClient, Server], Awaitable[T]], **client: Any
) -> tuple[T, Server]:
    """Run `talk` with a client that may reach one scripted server."""

    async def run() -> tuple[T, Server]:
        async with serving(answer) as server:
            async with HttpClient(server.allow, **client) as http:
                return await talk(http, server), server

    return asyncio.run(run())


def get(path: str = "/", **options: Any) -> Callable[[HttpClient, Server], Awaitable[HttpAnswer]]:
    return lambda http, server: http.request("GET", server.url + path, **options)


def failing(
    kind: type[OutboundError], answer: Answer, **options: Any
) -> tuple[OutboundError, Server]:
    """Return the error of one request and the server that saw it, or not."""
    method, path = options.pop("method", "GET"), options.pop("path", "/")

    async def talk(http: HttpClient, server: Server) -> OutboundError:
        with pytest.raises(kind) as failed:
            await http.request(method, server.url + path, **options)
        return failed.value

    return ask(answer, talk)


# --- asking and answering ---------------------------------------------------------------------


def test_an_answer_comes_whole_whatever_its_status() -> None:
    async def talk(http: HttpClient, server: Server) -> HttpAnswer:
        return await http.request(
            "POST",
            f"{server.url}/orders?day=1",
            [("X-Day", "Grüße"), ("Accept", "text/plain")],
            b'{"a": 1}',
        )

    headers = [("X-Count", "1"), ("x-count", "2"), ("Content-Type", "text/plain")]
    answer, server = ask(says("später".encode(), 503, headers), talk)

    assert (answer.status, answer.body.decode()) == (503, "später")
    assert answer.headers["x-count"] == "1, 2"
    assert answer.headers["content-type"] == "text/plain"
    assert answer.url == f"{server.url}/orders?day=1"
    (request,) = server.requests
    assert (request.method, request.path, request.body) == ("POST", "/orders?day=1", b'{"a": 1}')
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["x-day"].encode("latin-1").decode() == "Grüße"
    assert request.headers["accept"] == "text/plain"
    assert request.headers["accept-encoding"] == "gzip, deflate, br"
    assert request.headers["user-agent"] == "Deckhand"


def test_a_dictionary_of_headers_and_an_empty_post_are_fine() -> None:
    async def talk(http: HttpClient, server: Server) -> HttpAnswer:
        return await http.request("POST", server.url, {"X-Day": "1"})

    _, server = ask(says(), talk)

    assert server.requests[0].headers["content-length"] == "0"
    assert server.requests[0].headers["x-day"] == "1"


def test_head_and_204_have_no_body_whatever_the_headers_announce() -> None:
    async def talk(http: HttpClient, server: Server) -> list[HttpAnswer]:
        head = await http.request("HEAD", server.url)
        return [head, await http.request("GET", server.url)]

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        status = b"200 OK" if request.method == "HEAD" else b"204 Empty"
        head = b"\r\nContent-Encoding: gzip\r\nContent-Length: 99999999\r\n\r\n"
        writer.write(b"HTTP/1.1 " + status + head)

    (head, empty), _ = ask(answer, talk)

    assert (head.status, head.body) == (200, b"")
    assert (empty.status, empty.body) == (204, b"")


@pytest.mark.parametrize(
    ("method", "headers", "says_"),
    [
        ("CONNECT", [], "method"),
        ("TRACE", [], "method"),
        ("get", [], "method"),
        ("GET /x HTTP/1.1\r\nHost: a", [], "method"),
        ("GET", [("X-Day", "1\r\nHost: 127.0.0.1")], "line break"),
        ("GET", [("X-Day", "1\n")], "line break"),
        ("GET", [("X-Day", "\x00")], "line break"),
        ("GET", [("X-Day", "\ud800")], "line break"),
        ("GET", [("X-Day", " 1")], "space"),
        ("GET", [("X Day", "1")], "name"),
        ("GET", [("X-Day:", "1")], "name"),
        ("GET", [("", "1")], "name"),
        ("GET", [("X-Däy", "1")], "name"),
        ("GET", [("Host", "127.0.0.1")], "set by Deckhand"),
        ("GET", [("content-length", "3")], "set by Deckhand"),
        ("GET", [("Transfer-Encoding", "chunked")], "set by Deckhand"),
        ("GET", [("Connection", "upgrade")], "set by Deckhand"),
        ("GET", [("Upgrade", "websocket")], "set by Deckhand"),
        ("GET", [("X-Day", "x" * 65_537)], "64 kB"),
    ],
)
def test_what_can_not_be_sent_is_refused(
    method: str, headers: list[tuple[str, str]], says_: str
) -> None:
    failed, server = failing(OutboundRefused, says(), method=method, headers=headers)

    assert says_ in failed.reason
    assert not failed.sent
    assert server.connections == 0


# --- where a request may go -------------------------------------------------------------------


def test_nothing_private_is_reached_without_the_operators_word() -> None:
    async def run() -> int:
        async with serving(says()) as server, HttpClient(AllowList()) as http:
            with pytest.raises(OutboundRefused, match="Port"):
                await http.request("GET", server.url)
            other = parse_allow(f"127.0.0.2/32:{server.port}")
            async with HttpClient(other) as http:
                with pytest.raises(OutboundRefused, match="private network"):
                    await http.request("GET", server.url)
            return server.connections

    assert asyncio.run(run()) == 0


def test_a_name_is_looked_up_once_and_the_checked_address_is_used() -> None:
    # The second answer is what a rebinding name server would give.
    names = Names(shop_example=[["127.0.0.1"], ["10.0.0.1"]])

    async def talk(http: HttpClient, server: Server) -> list[Any]:
        with every_connection() as tried:
            await http.request("GET", f"http://shop.example:{server.port}/")
        return tried

    tried, server = ask(says(), talk, resolve=names)

    assert names.asked == ["shop.example"]
    assert [event for event in tried if event[0] == "socket.connect"] == [
        ("socket.connect", (("127.0.0.1", server.port),))
    ]
    assert not [event for event in tried if event[0] == "socket.getaddrinfo"]
    assert server.requests[0].headers["host"] == f"shop.example:{server.port}"


def test_a_name_that_turns_private_later_is_refused_then() -> None:
    names = Names(shop_example=[["127.0.0.1"], ["10.0.0.1"]])

    async def talk(http: HttpClient, server: Server) -> OutboundError:
        url = f"http://shop.example:{server.port}/"
        await http.request("GET", url)
        await http.aclose()
        with pytest.raises(OutboundRefused) as failed:
            await http.request("GET", url)
        return failed.value

    failed, server = ask(says(), talk, resolve=names)

    assert not failed.sent
    assert names.asked == ["shop.example", "shop.example"]
    assert server.connections == 1


def test_an_address_that_does_not_answer_is_followed_by_the_next() -> None:
    async def run() -> HttpAnswer:
        async with serving(says()) as server:
            allow = parse_allow(f"127.0.0.0/8:{server.port}")
            names = Names(shop_example=["127.0.0.9", "127.0.0.1"])
            async with HttpClient(allow, resolve=names) as http:
                return await http.request("GET", f"http://shop.example:{server.port}/")

    assert asyncio.run(run()).body == b"ok"


def test_the_environment_has_no_say(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login ada password lovelace\n")
    netrc.chmod(0o600)
    monkeypatch.setenv("NETRC", str(netrc))
    for name in ("http_proxy", "https_proxy", "all_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9/")
    monkeypatch.delenv("no_proxy", raising=False)

    answer, server = ask(says(headers=[("Set-Cookie", "a=b; Path=/")]), get())

    async def twice(http: HttpClient, server: Server) -> HttpAnswer:
        await http.request("GET", server.url)
        return await http.request("GET", server.url)

    _, again = ask(says(headers=[("Set-Cookie", "a=b; Path=/")]), twice)
    assert answer.body == b"ok"
    for request in server.requests + again.requests:
        assert not {"authorization", "cookie", "proxy-authorization"} & set(request.headers)


def test_a_kept_connection_serves_its_own_origin_only() -> None:
    names = Names(one_example=["127.0.0.1"], two_example=["127.0.0.1"])

    async def talk(http: HttpClient, server: Server) -> None:
        for name in ("one.example", "one.example", "two.example", "one.example"):
            await http.request("GET", f"http://{name}:{server.port}/")

    _, server = ask(says(), talk, resolve=names)

    by_host = [(request.headers["host"][:3], request.connection) for request in server.requests]
    assert by_host == [("one", 1), ("one", 1), ("two", 2), ("one", 1)]
    assert names.asked == ["one.example", "two.example"]


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_is_an_answer_unless_following_is_asked_for(status: int) -> None:
    moved = reply(b"moved", status, [("Location", "/new")])

    answer, server = ask(by_path({"/": moved}), get())

    assert (answer.status, answer.body) == (status, b"moved")
    assert answer.headers["location"] == "/new"
    assert len(server.requests) == 1


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_a_redirect_into_a_private_network_is_refused_after_the_first_hop(status: int) -> None:
    places = [
        *("http://169.254.169.254/latest/", "http://127.0.0.1:22/", "http://[::1]/", "http://0/"),
        *("//10.0.0.1/", "http://2130706433/", "file:///etc/passwd", "http://a@public.example/"),
        *("http://[::ffff:127.0.0.1]/", "http://localhost/", "http://127.0.0.1\\@a.example/", ""),
        *("http://127.0.0.1:6379/", "gopher://127.0.0.1/", "http://１２７.0.0.1/", "http:/\t/0/"),
    ]
    names = Names(localhost=["127.0.0.1"])

    for place in places:

        async def talk(http: HttpClient, server: Server) -> OutboundError:
            with pytest.raises(OutboundRefused) as failed:
                await http.request("GET", server.url, redirects=3)
            return failed.value

        moved = reply(b"", status, [("Location", place)])
        failed, server = ask(by_path({"/": moved}), talk, resolve=names)
        assert failed.sent, place
        assert server.connections == 1


def test_each_hop_is_looked_up_and_checked_again() -> None:
    names = Names(shop_example=[["127.0.0.1"], ["10.0.0.1"]], other_example=["127.0.0.1"])

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        port = request.headers["host"].partition(":")[2]
        there = "other" if request.headers["host"].startswith("shop") else "shop"
        head = [("Location", f"http://{there}.example:{port}/"), ("Connection", "close")]
        writer.write(reply(b"", 302, head))
        writer.close()

    async def talk(http: HttpClient, server: Server) -> None:
        with pytest.raises(OutboundRefused, match="private network"):
            await http.request("GET", f"http://shop.example:{server.port}/", redirects=3)

    _, server = ask(answer, talk, resolve=names)

    assert names.asked == ["shop.example", "other.example", "shop.example"]
    assert server.connections == 2


def test_three_redirects_are_followed_and_a_fourth_is_refused() -> None:
    steps = {f"/{n}": reply(b"", 302, [("Location", f"{n - 1}")]) for n in range(1, 21)}
    steps["/0"] = reply(b"there")

    answer, server = ask(by_path(steps), get("/3", redirects=3))
    failed, many = failing(OutboundRefused, by_path(steps), path="/20", redirects=20)

    assert (answer.body, answer.url) == (b"there", f"{server.url}/0")
    assert failed.sent
    assert [request.path for request in many.requests] == ["/20", "/19", "/18", "/17"]


@pytest.mark.parametrize(
    ("status", "method", "becomes"),
    [
        *((301, "POST", "GET"), (302, "POST", "GET"), (303, "POST", "GET"), (303, "PUT", "GET")),
        *((303, "HEAD", "HEAD"), (301, "PUT", "PUT"), (302, "DELETE", "DELETE")),
        *((307, "POST", "POST"), (308, "POST", "POST"), (307, "GET", "GET")),
    ],
)
def test_a_redirect_keeps_or_changes_the_method_like_browsers(
    status: int, method: str, becomes: str
) -> None:
    content = None if method in {"GET", "HEAD", "DELETE"} else b"content"

    async def talk(http: HttpClient, server: Server) -> HttpAnswer:
        headers = [("Content-Type", "text/plain"), ("Authorization", "Bearer x")]
        return await http.request(method, server.url + "/a", headers, content, redirects=1)

    steps = {"/a": reply(b"", status, [("Location", "/b")]), "/b": reply(b"")}
    _, server = ask(by_path(steps), talk)

    second = server.requests[1]
    assert second.method == becomes
    assert second.body == (content or b"" if becomes == method else b"")
    assert ("content-type" in second.headers) == (becomes == method)
    assert second.headers["authorization"] == "Bearer x"


def elsewhere(status: int) -> Answer:
    """Redirects one.example to two.example, and everything there back to one.example."""

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        name, _, port = request.headers["host"].partition(":")
        there = {"/": f"http://two.example:{port}/2", "/2": f"http://one.example:{port}/3"}
        place = there.get(request.path)
        writer.write(reply(b"", status, [("Location", place)]) if place else reply(name.encode()))

    return answer


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_another_origin_gets_no_credential_and_none_comes_back(status: int) -> None:
    names = Names(one_example=["127.0.0.1"], two_example=["127.0.0.1"])
    headers = [
        *(("Authorization", "Bearer a"), ("Cookie", "b=c"), ("X-Api-Key", "d"), ("X-Custom", "e")),
        ("Accept", "text/plain"),
    ]

    async def talk(http: HttpClient, server: Server) -> HttpAnswer:
        secret = Credential("X-Shop-Token", "f", (f"one.example:{server.port}",))
        return await http.request(
            "GET",
            f"http://one.example:{server.port}/",
            headers,
            credentials=[secret],
            redirects=3,
        )

    answer, server = ask(elsewhere(status), talk, resolve=names)

    assert answer.body == b"one.example"
    secrets = {"authorization", "cookie", "x-api-key", "x-custom", "x-shop-token"}
    first, second, third = server.requests
    assert secrets <= set(first.headers)
    assert not secrets & (set(second.headers) | set(third.headers))
    assert second.headers["accept"] == "text/plain"


def test_content_is_not_carried_to_another_origin() -> None:
    names = Names(one_example=["127.0.0.1"], two_example=["127.0.0.1"])

    async def talk(http: HttpClient, server: Server) -> OutboundError:
        url = f"http://one.example:{server.port}/"
        with pytest.raises(OutboundRefused, match=r"another site, two\.example") as failed:
            await http.request("POST", url, body=b"content", redirects=3)
        return failed.value

    failed, server = ask(elsewhere(307), talk, resolve=names)

    assert failed.sent
    assert len(server.requests) == 1


# --- credentials ------------------------------------------------------------------------------


def test_a_credential_goes_to_its_own_hosts_only() -> None:
    names = Names(shop_example=["127.0.0.1"], other_example=["127.0.0.1"])

    async def talk(http: HttpClient, server: Server) -> None:
        secret = Credential("Authorization", "Bearer x", (f"Shop.example:{server.port}",))
        await http.request("GET", f"http://shop.example:{server.port}/", credentials=[secret])
        for place in (f"other.example:{server.port}", "shop.example", "a.shop.example:80"):
            with pytest.raises(OutboundRefused, match="key is not for"):
                await http.request("GET", f"http://{place}/", credentials=[secret])

    _, server = ask(says(), talk, resolve=names)

    (request,) = server.requests
    assert request.headers["authorization"] == "Bearer x"
    assert names.asked == ["shop.example"]
    assert "Bearer" not in repr(Credential("Authorization", "Bearer x"))


@pytest.mark.parametrize("header", ["Authorization", "Cookie", "X-API-Key", "X-Access-Token"])
def test_a_key_is_not_sent_over_http_to_a_public_address(header: str) -> None:
    async def run() -> list[Any]:
        names = Names(public_example=["93.184.215.14"])
        async with HttpClient(AllowList(), resolve=names) as http:
            with every_connection() as tried:
                with pytest.raises(OutboundRefused, match="only sent over https"):
                    await http.request("GET", "http://public.example/", {header: "x"})
            return tried

    assert asyncio.run(run()) == []


def test_a_kept_plain_connection_is_not_reused_for_a_key() -> None:
    names = Names(shop_example=[["127.0.0.1"], ["93.184.215.14"]])

    async def talk(http: HttpClient, server: Server) -> None:
        url = f"http://shop.example:{server.port}/"
        await http.request("GET", url)
        with pytest.raises(OutboundRefused):
            await http.request("GET", url, {"Authorization": "Bearer x"})

    _, server = ask(says(), talk, resolve=names)

    assert len(server.requests) == 1


# --- limits of answers ------------------------------------------------------------------------


def packed(body: bytes, coding: str) -> bytes:
    match coding:
        case "gzip" | "x-gzip":
            return gzip.compress(body)
        case "deflate":
            return zlib.compress(body)
        case "br":
            return bytes(brotli.compress(body, quality=4))
    bare = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return bare.compress(body) + bare.flush()


@pytest.mark.parametrize("coding", ["gzip", "x-gzip", "deflate", "bare deflate", "br"])
@pytest.mark.parametrize("size", [0, 1, 65_536, 1_000_000])
def test_a_packed_answer_is_unpacked(coding: str, size: int) -> None:
    body = (b"The quick brown fox %d. " * 50_000)[:size]
    sent = reply(packed(body, coding), headers=[("Content-Encoding", coding.removeprefix("bare "))])

    answer, _ = ask(by_path({"/": sent}), get())

    assert answer.body == body


def test_gzip_members_follow_each_other() -> None:
    sent = gzip.compress(b"one ") + gzip.compress(b"") + gzip.compress(b"two")

    answer, _ = ask(says(sent, headers=[("Content-Encoding", "gzip")]), get())

    assert answer.body == b"one two"


def test_packed_bytes_may_come_one_by_one() -> None:
    for coding in ("gzip", "deflate", "bare deflate", "br"):
        sent = packed(b"slowly", coding)

        async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
            head = f"Content-Encoding: {coding.removeprefix('bare ')}\r\nTransfer-Encoding: chunked"  # noqa: B023
            writer.write(f"HTTP/1.1 200 OK\r\n{head}\r\n\r\n".encode())
            for byte in sent:  # noqa: B023
                writer.write(b"1\r\n%c\r\n" % byte)
                await writer.drain()
            writer.write(b"0\r\n\r\n")

        assert ask(answer, get())[0].body == b"slowly"


@pytest.mark.parametrize("coding", ["gzip", "deflate", "br"])
def test_a_bomb_stops_at_the_limit_and_needs_little_memory(coding: str) -> None:
    bomb = packed(b"\0" * (300 * MIB if coding == "br" else 64 * MIB), coding)
    assert len(bomb) < MIB

    tracemalloc.start()
    try:
        failed, server = failing(
            OutboundTooLarge, says(bomb, headers=[("Content-Encoding", coding)])
        )
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()

    assert failed.sent
    assert "1,048,576 bytes" in failed.reason
    assert peak < 8 * MIB
    assert len(server.requests) == 1


def test_an_endless_body_is_cut_at_the_limit() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"10000\r\n" + b"x" * 65_536 + b"\r\n")
            await writer.drain()

    failed, _ = failing(OutboundTooLarge, answer, max_bytes=100_000)

    assert "100,000 bytes" in failed.reason


def test_an_endless_packed_body_without_content_is_cut_too() -> None:
    empty = gzip.compress(b"") * 100

    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\n\r\n")
        while not writer.is_closing():
            writer.write(empty)
            await writer.drain()

    failing(OutboundTooLarge, answer, max_bytes=10_000)


def test_an_announced_size_is_believed_before_reading() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 1048577\r\n\r\n")

    began = time.monotonic()
    failing(OutboundTooLarge, answer)

    assert time.monotonic() - began < 1


def test_the_limit_itself_is_allowed() -> None:
    assert len(ask(says(b"x" * 1000), get(max_bytes=1000))[0].body) == 1000
    failing(OutboundTooLarge, says(b"x" * 1001), max_bytes=1000)


@pytest.mark.parametrize(
    "head",
    [
        b"X-Large: " + b"x" * 70_000 + b"\r\n\r\n",
        b"".join(b"X-%d: %s\r\n" % (n, b"x" * 1000) for n in range(70)) + b"\r\n",
        b"X-Endless: " + b"x" * 300_000,
    ],
    ids=["one", "many", "without an end"],
)
def test_large_headers_are_refused(head: bytes) -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n" + head)

    failed, _ = failing(OutboundError, answer, timeout_s=5)

    assert failed.sent
    assert isinstance(failed, OutboundTooLarge | OutboundUnreachable)


@pytest.mark.parametrize(
    ("coding", "body"),
    [
        ("gzip", b"not packed"),
        ("gzip", gzip.compress(b"cut off" * 100)[:-9]),
        ("gzip", gzip.compress(b"then") + b"rubbish"),
        ("deflate", b"\x78"),
        ("deflate", zlib.compress(b"cut off" * 100)[:-5]),
        ("br", b"not packed"),
        ("br", bytes(brotli.compress(b"cut off" * 100))[:-3]),
        ("zstd", b"anything"),
        ("gzip, gzip", gzip.compress(gzip.compress(b"twice"))),
        ("compress", b""),
    ],
)
def test_an_answer_packed_wrongly_says_so(coding: str, body: bytes) -> None:
    failed, _ = failing(OutboundUnreachable, says(body, headers=[("Content-Encoding", coding)]))

    assert failed.sent
    assert "packed" in failed.reason


# --- what goes wrong, and whether anything was sent -------------------------------------------


def test_a_closed_port_means_that_nothing_was_sent() -> None:
    async def run() -> OutboundError:
        async with serving(says()) as server:
            pass
        async with HttpClient(server.allow) as http:
            with pytest.raises(OutboundUnreachable, match="does not accept") as failed:
                await http.request("POST", server.url, body=b"x")
            return failed.value

    assert not asyncio.run(run()).sent


def test_an_unknown_name_means_that_nothing_was_sent() -> None:
    async def run(answers: Names) -> OutboundError:
        async with HttpClient(AllowList(), resolve=answers) as http:
            with pytest.raises(OutboundUnreachable, match="was not found") as failed:
                await http.request("POST", "https://nowhere.example/", body=b"x")
            return failed.value

    assert not asyncio.run(run(Names())).sent
    assert not asyncio.run(run(Names(nowhere_example=[]))).sent


def test_a_name_server_that_hangs_means_that_nothing_was_sent() -> None:
    async def hang(_: str) -> list[str]:
        await asyncio.sleep(60)
        return []

    async def run() -> OutboundError:
        async with HttpClient(AllowList(), resolve=hang) as http:
            with pytest.raises(OutboundUnreachable) as failed:
                await http.request("POST", "https://slow.example/", body=b"x", timeout_s=0.1)
            return failed.value

    assert not asyncio.run(run()).sent


def test_a_handshake_that_is_not_tls_means_that_nothing_was_sent() -> None:
    async def run() -> OutboundError:
        async def rubbish(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            writer.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
            writer.close()

        listener = await asyncio.start_server(rubbish, "127.0.0.1", 0)
        port = listener.sockets[0].getsockname()[1]
        async with listener, HttpClient(parse_allow(f"127.0.0.1/32:{port}")) as http:
            with pytest.raises(OutboundUnreachable, match="No secure connection") as failed:
                await http.request("POST", f"https://127.0.0.1:{port}/", body=b"x")
            return failed.value

    assert not asyncio.run(run()).sent


def test_silence_after_the_request_means_that_it_may_have_been_done() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    failed, server = failing(OutboundUnreachable, answer, method="POST", body=b"x", timeout_s=0.1)

    assert failed.sent
    assert failed.reason == "No complete answer came within 0.1 seconds."
    assert len(server.requests) == 1


def test_a_body_that_drips_is_stopped_by_the_total_time() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b"x")
            await asyncio.sleep(0.01)

    began = time.monotonic()
    failed, _ = failing(OutboundUnreachable, answer, timeout_s=0.2)

    assert failed.sent
    assert time.monotonic() - began < 2


def test_endless_interim_answers_are_stopped_by_the_total_time() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 100 Continue\r\n\r\n")
            await asyncio.sleep(0.001)

    failed, _ = failing(OutboundUnreachable, answer, timeout_s=0.2)

    assert failed.sent


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"HTTP/1.1 200 OK\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nfive!",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
        b"HTTP/1.1 200 OK\r\nBad Header\r\n\r\n",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"\x00\x01\x02\x03\r\n\r\n",
    ],
    ids=ascii,
)
def test_an_answer_that_breaks_off_or_is_not_http_may_have_been_done(answer: bytes) -> None:
    async def break_off(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(answer)
        await writer.drain()
        writer.close()

    failed, server = failing(OutboundUnreachable, break_off, method="POST", body=b"x")

    assert failed.sent
    assert len(server.requests) == 1


def hangs_up_on_the_second() -> Answer:
    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        if request.path == "/2" and request.connection == 1:
            writer.close()
        else:
            writer.write(reply())

    return answer


def test_a_kept_connection_that_died_is_replaced_for_a_get() -> None:
    async def talk(http: HttpClient, server: Server) -> HttpAnswer:
        await http.request("GET", server.url + "/1")
        return await http.request("GET", server.url + "/2")

    answer, server = ask(hangs_up_on_the_second(), talk)

    assert answer.body == b"ok"
    assert server.connections == 2


def test_a_kept_connection_that_died_under_a_post_is_not_tried_twice() -> None:
    async def talk(http: HttpClient, server: Server) -> OutboundError:
        await http.request("GET", server.url + "/1")
        with pytest.raises(OutboundUnreachable) as failed:
            await http.request("POST", server.url + "/2", body=b"pay")
        return failed.value

    failed, server = ask(hangs_up_on_the_second(), talk)

    assert failed.sent
    assert [request.path for request in server.requests] == ["/1", "/2"]


def test_cancelling_leaves_no_connection_behind() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async def talk(http: HttpClient, server: Server) -> int:
        asking = asyncio.create_task(http.request("GET", server.url))
        while not server.requests:
            await asyncio.sleep(0.001)
        asking.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asking
        return len(http._pools._open["http", False].connections)

    assert ask(answer, talk)[0] == 0


def test_many_at_once_share_one_client() -> None:
    async def talk(http: HttpClient, server: Server) -> list[HttpAnswer]:
        urls = [f"{server.url}/{n}" for n in range(60)]
        return await asyncio.gather(*(http.request("GET", url) for url in urls))

    async def answer(request: Received, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(0.01)
        writer.write(reply(request.path.encode()))

    answers, _ = ask(answer, talk)

    assert [answer.body for answer in answers] == [b"/%d" % n for n in range(60)]


def test_no_reason_repeats_a_secret_or_an_exception() -> None:
    async def answer(_: Received, writer: asyncio.StreamWriter) -> None:
        writer.write(b"rubbish")
        writer.close()

    failed, _ = failing(
        OutboundUnreachable, answer, headers={"X-Api-Key": "sk-secret"}, path="/?key=sk-secret"
    )

    assert "sk-secret" not in repr(failed)
    assert failed.reason.endswith(".")
