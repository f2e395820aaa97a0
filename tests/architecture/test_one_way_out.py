"""There is one way out: webapp/kernel/outbound*.py and the two clients over it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

WAYS_OUT = {
    *("requests", "urllib.request", "urllib3", "http.client", "xmlrpc.client", "socketserver"),
    *("httpx", "httpx2", "httpcore", "httpcore2", "aiohttp", "pycurl", "h11", "h2"),
    *("smtplib", "ftplib", "poplib", "imaplib", "nntplib", "telnetlib", "aiosmtplib", "paramiko"),
    *("websocket", "websockets", "wsproto", "dns", "anyio", "rq.webhook", "rq.Webhook"),
}
# What reads or makes no connection, or only a local one.
HARMLESS = {
    "socket": {"gethostname", "socketpair", "AF_INET", "AF_INET6", "AF_UNIX", "SOCK_STREAM"}
    | {"SOL_SOCKET", "SO_REUSEADDR", "SO_REUSEPORT", "IPPROTO_TCP", "TCP_NODELAY", "timeout"},
}
CONNECTING_CALLS = {
    *("open_connection", "create_connection", "create_datagram_endpoint", "sock_connect"),
    *("getaddrinfo", "gethostbyname", "gethostbyname_ex", "getnameinfo", "connect_tcp"),
    *("urlopen", "urlretrieve", "open_unix_connection", "create_unix_connection"),
}

# Read by a person. Each is one file and what it may use, with the reason.
ALLOWED = {
    "webapp/kernel/outbound.py": {"socket", "httpcore2", "getaddrinfo", "connect_tcp"},  # the way
    "webapp/kernel/outbound_pools.py": {"httpcore2", "anyio"},  # its pools, with its connector
    "webapp/kernel/http.py": {"httpcore2"},  # reads the answers of those pools
    "webapp/kernel/http_for_models.py": {"httpcore2", "httpx2"},  # a transport over those pools
    # Hands mails to the server that the operator names in SMTP_URL.
    "webapp/kernel/mails.py": {"smtplib"},
    # `deckhand up` opens the port people come to, and knocks on it until it answers.
    "webapp/commands/up.py": {"socket", "create_connection"},
    # `deckhand status` asks the server of this very set-up, at the operator's terminal.
    "webapp/commands/status.py": {"http.client"},
    # Knocks on the socket file of the Valkey it started.
    "webapp/commands/embedded_valkey.py": {"socket"},
}


def ways_out(source: str) -> Iterator[tuple[int, str]]:
    """Yield line and name of each use that could connect to another system."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        for name in _names(node):
            yield node.lineno, name  # type: ignore[attr-defined]


def _names(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.Import(names=names):
            for name in names:
                yield from _module(name.name)
                if name.asname and name.name in HARMLESS:
                    yield name.name  # under another name its uses could not be told apart
        case ast.ImportFrom(module=str(module), names=names):
            yield from _module(module)
            for name in names:
                yield from _module(f"{module}.{name.name}")
                yield from _use(module, name.name)
        case ast.Attribute(value=owner, attr=attribute):
            yield from _use(owner.id if isinstance(owner, ast.Name) else "", attribute)
        case ast.Call():
            yield from _call(node)


def _use(module: str, attribute: str) -> Iterator[str]:
    if module in HARMLESS and attribute not in HARMLESS[module]:
        yield module
    if attribute in CONNECTING_CALLS:
        yield attribute


def _call(call: ast.Call) -> Iterator[str]:
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    keywords = {keyword.arg for keyword in call.keywords}
    if name in {"import_module", "__import__"} and call.args:
        module = getattr(call.args[0], "value", "")
        yield from _module(str(module))
        yield from {module} & set(HARMLESS)
    if name in {"AsyncOpenAI", "OpenAI"} and "http_client" not in keywords:
        yield "OpenAI without http_client"
    if "webhooks" in keywords:
        yield "RQ webhooks"


def _module(name: str) -> Iterator[str]:
    parts = name.split(".")
    for size in range(1, len(parts) + 1):
        if ".".join(parts[:size]) in WAYS_OUT:
            yield ".".join(parts[:size])
            return


def test_nothing_else_connects_to_other_systems() -> None:
    found = []
    for path in sorted([*ROOT.glob("webapp/**/*.py"), *ROOT.glob("jobs/**/*.py")]):
        place = path.relative_to(ROOT).as_posix()
        for line, name in ways_out(path.read_text()):
            if name not in ALLOWED.get(place, set()):
                found.append(f"{place}:{line} uses {name}")

    assert found == [], "use webapp.kernel.http or http_for_models"


def test_every_exception_is_still_needed() -> None:
    for place, names in ALLOWED.items():
        used = {name for _, name in ways_out((ROOT / place).read_text())}
        assert names == used & names, f"{place} no longer uses all of {sorted(names)}"


@pytest.mark.parametrize(
    "source",
    [
        "import requests",
        "import urllib.request",
        "from urllib import request",
        "from urllib.request import urlopen",
        "import httpx as web",
        "def f():\n    from httpx2 import AsyncClient",
        "import http.client",
        "from http import client",
        "import smtplib",
        "import socket\nsocket.socket().connect(('10.0.0.1', 80))",
        "import socket\nsocket.create_connection(('10.0.0.1', 80))",
        "import socket as s",
        "from socket import socket",
        "from socket import getaddrinfo",
        "import asyncio\nasyncio.open_connection('10.0.0.1', 80)",
        "loop.create_connection(None, '10.0.0.1', 80)",
        "asyncio.get_running_loop().getaddrinfo('a', 1)",
        "import importlib\nimportlib.import_module('requests')",
        "__import__('socket')",
        "import anyio",
        "from rq import Webhook",
        "queue.enqueue(run, webhooks=[hook])",
        "from openai import AsyncOpenAI\nAsyncOpenAI(api_key='x')",
    ],
)
def test_a_second_way_out_would_be_found(source: str) -> None:
    assert list(ways_out(source))


@pytest.mark.parametrize(
    "source",
    [
        "from urllib.parse import urlsplit",
        "import socket\nsocket.gethostname()",
        "from http import HTTPStatus",
        "from socketio import Client",
        "from openai import AsyncOpenAI\nAsyncOpenAI(api_key='x', http_client=guarded)",
        "server.connect('signal')",
    ],
)
def test_what_leads_nowhere_is_left_alone(source: str) -> None:
    assert list(ways_out(source)) == []
