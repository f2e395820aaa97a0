"""Row L6 of SECURITY.md 3.2: what is too large or too many is refused, soon and without memory."""

from __future__ import annotations

import gzip
import itertools
import json
import re
import urllib.request
from collections import Counter, defaultdict
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from tests.chaos import plans
from tests.chaos.people import sign_in
from tests.chaos.places import Place
from tests.chaos.stack import Stack
from tests.chaos.usage import begin_peak, peak
from tests.chaos.wire import Asked, ask
from webapp.access.permissions import Role
from webapp.organizations.service import FIRST_SLUG

Figures = dict[str, Any]
SOON_S: Final = 1.0
MOST_MIB: Final = 64.0
MIB: Final = 1024 * 1024
CHANGES: Final = {"POST", "PUT", "PATCH", "DELETE"}
API_FILES: Final = "/api/v1/files"
RUN_FORM: Final = "/o/<org>/workflows/<workflow>/run"
"""Both take files of 20 MB: to these 12 MB is not too large, 22 MB is."""
TOO_LARGE: Final = {400, 413}
MADE: Final = {201, 202}
JSON: Final = "application/json"
URLENCODED: Final = "application/x-www-form-urlencoded"
EDGE: Final = "deckhand-edge"
MULTIPART: Final = f"multipart/form-data; boundary={EDGE}"


@dataclass(frozen=True, slots=True)
class Body:
    """What is sent, and as what.

    Attributes:
        in_chunks: it does not say beforehand how long it is.
        short: no more than a door may take, so one that has no use for it need not read it.
    """

    name: str
    kind: str
    content: bytes
    encoding: str = ""
    in_chunks: bool = False
    short: bool = False

    def is_well(self, status: int) -> bool:
        """Whether a door may answer so."""
        return status in TOO_LARGE or (self.short and 0 < status < 500 and status not in MADE)


def bounds(place: Place, times: int) -> Figures:
    """L6: each body goes to each door that changes something, of the API and of forms."""
    with place.stack(lease_s=15) as (stack, sink):
        yard = Yard(stack, sink.url)
        yard.take_files()
        for (method, rule), _ in itertools.product(yard.doors, range(times)):
            for body in yard.bodies(rule):
                yard.look(body, method, rule)
        verdict = place.verdict(stack, sink)
        verdict["broken"] = yard.broken + verdict["broken"]
        return yard.figures() | verdict


class Yard:
    """A stack with something behind its doors, and what the doors have said."""

    def __init__(self, stack: Stack, url: str) -> None:
        self.stack = stack
        self.workflow = stack.live("Sizes", _with_a_file(plans.chain(url, 1)))
        self.run = stack.start(self.workflow, "key-sizes", name="sizes")
        self.serving = stack.serving().pid
        self.cookie = f"sid={sign_in(stack, Role.OWNER)}"
        self.token = self._token()
        found = json.loads(stack.command("policy", "--json"))
        entries = [entry.partition(" ")[::2] for entry in found]
        changes = [(method, rule) for method, rule in entries if method in CHANGES]
        self.doors = sorted(changes, key=lambda door: _ends_it(*door))
        self.broken: list[str] = []
        self.said: dict[str, Counter[int]] = defaultdict(Counter)
        self.slowest: dict[str, float] = defaultdict(float)
        self.most_mib = 0.0

    def _token(self) -> str:
        """Return what a form has to bring along."""
        address = f"{self.stack.url}/o/{FIRST_SLUG}/workflows/import"
        request = urllib.request.Request(address, headers={"Cookie": self.cookie})
        with urllib.request.urlopen(request, timeout=30) as answer:
            page = answer.read().decode()
        return re.findall(r'name="csrf_token"[^>]*value="([^"]+)"', page)[0]

    def bodies(self, rule: str) -> Iterator[Body]:
        large = (22 if rule in {API_FILES, RUN_FORM} else 12) * MIB
        return _of_programs(large) if rule.startswith("/api/") else _of_forms(large, self.token)

    def take_files(self) -> None:
        """Send a file as large as may be to the two doors that take one."""
        file = b"x" * (20 * MIB)
        for rule, name, wanted in ((API_FILES, "file", 201), (RUN_FORM, "q-file", 303)):
            fields = {"csrf_token": self.token, "once": "o" * 24, "q-name": "large"}
            parts = _parts({} if rule == API_FILES else fields, {name: file})
            answer, extra = self._ask(Body("20 MB file", MULTIPART, parts), "POST", rule)
            if answer.status != wanted or extra > MOST_MIB:
                self.broken.append(f"{rule}: a file of 20 MB: {answer.status}, {extra:.0f} MiB")

    def look(self, body: Body, method: str, rule: str) -> None:
        """Send a body to a door and hold what came of it against what is promised."""
        answer, extra = self._ask(body, method, rule)
        self.broken += [
            f"{method} {rule}, {body.name}: {why}" for why in _wrong(body, answer, extra)
        ]

    def _ask(self, body: Body, method: str, rule: str) -> tuple[Asked, float]:
        """Return how it was answered, and the memory that took in MiB."""
        path = rule.replace("<org>", FIRST_SLUG)
        path = path.replace("<workflow>", self.workflow).replace("<run>", self.run)
        path = re.sub(r"<(int:)?[a-z]+>|<path:[a-z]+>", "1", path)
        before = begin_peak(self.serving)
        answer = ask(self.stack.port, method, path, self._head(body), body.content, body.in_chunks)
        extra = peak(self.serving) - before
        self.said[body.name][answer.status] += 1
        self.slowest[body.name] = max(self.slowest[body.name], answer.took_s)
        self.most_mib = max(self.most_mib, extra)
        return answer, extra

    def _head(self, body: Body) -> dict[str, str]:
        head = {"Content-Type": body.kind, "X-API-Key": self.stack.key, "Cookie": self.cookie}
        if body.encoding:
            head["Content-Encoding"] = body.encoding
        return head

    def figures(self) -> Figures:
        return {
            "doors": len(self.doors),
            "asked": sum(said.total() for said in self.said.values()),
            "said": {name: dict(sorted(said.items())) for name, said in self.said.items()},
            "slowest_s": {name: round(took_s, 2) for name, took_s in self.slowest.items()},
            "most_extra_mib": round(self.most_mib, 1),
        }


def _with_a_file(plan: dict[str, Any]) -> dict[str, Any]:
    plan["inputs"].append({"name": "file", "label": "File", "type": "file", "required": False})
    return plan


def _ends_it(method: str, rule: str) -> bool:
    """Whether what stands behind the other doors is gone when this one was entered."""
    return method == "DELETE" or rule.endswith(("/bin", "signout"))


def _wrong(body: Body, answer: Asked, extra_mib: float) -> Iterator[str]:
    if not body.is_well(answer.status):
        yield f"answered {answer.status}"
    if answer.took_s > SOON_S:
        yield f"answered after {answer.took_s:.1f} s"
    if extra_mib > MOST_MIB:
        yield f"took {extra_mib:.0f} MiB"


def _of_programs(large: int) -> Iterator[Body]:
    text = b'{"name":"' + b"x" * large + b'"}'
    yield Body("large", JSON, text)
    yield Body("large, in chunks", JSON, text, in_chunks=True)
    yield Body("large, as a form", MULTIPART, _parts({}, {"file": b"x" * large}))
    yield Body("2,000 files", MULTIPART, _parts({}, _many(2_000)))
    yield Body("50 MB gzip", JSON, gzip.compress(b" " * 50 * MIB), encoding="gzip", short=True)
    fields = {f"f{number}": number for number in range(5_000)}
    yield Body("5,000 fields", JSON, json.dumps(fields).encode(), short=True)
    yield Body("5,000 inputs", JSON, json.dumps({"inputs": fields}).encode(), short=True)
    digits = b"1" * 200_000
    yield Body("200,000 digits", JSON, b'{"name":' + digits + b"}", short=True)
    yield Body("200,000 digits behind a point", JSON, b'{"name":1.' + digits + b"}", short=True)
    yield Body("200,000 digits as YAML", "application/yaml", b"name: " + digits, short=True)


def _of_forms(large: int, token: str) -> Iterator[Body]:
    signed = {"csrf_token": token}
    text = urlencode(signed).encode() + b"&name=" + b"x" * large
    yield Body("large form", URLENCODED, text)
    yield Body("large form, in chunks", URLENCODED, text, in_chunks=True)
    yield Body("large form in parts", MULTIPART, _parts(signed | {"name": "x" * large}, {}))
    yield Body("large file", MULTIPART, _parts(signed, {"file": b"x" * large}))
    yield Body("2,000 files of a form", MULTIPART, _parts(signed, _many(2_000)))
    fields = signed | {f"f{number}": str(number) for number in range(5_000)}
    yield Body("5,000 fields of a form", URLENCODED, urlencode(fields).encode())
    yield Body("5,000 fields in parts", MULTIPART, _parts(fields, {}))
    packed = gzip.compress(b" " * 50 * MIB)
    yield Body("50 MB gzip form", URLENCODED, packed, encoding="gzip", short=True)
    digits = signed | dict.fromkeys(("name", "q-name", "rev", "limit"), "1" * 200_000)
    yield Body("200,000 digits in a form", URLENCODED, urlencode(digits).encode(), short=True)


def _many(count: int) -> dict[str, bytes]:
    return {f"f{number}": b"x" for number in range(count)}


def _parts(fields: dict[str, str], files: dict[str, bytes]) -> bytes:
    """Return a form with files as browsers send it."""
    parts = [_part(name, value.encode()) for name, value in fields.items()]
    parts += [_part(name, value, f'; filename="{name}.csv"') for name, value in files.items()]
    return b"\r\n".join([*parts, f"--{EDGE}--\r\n".encode()])


def _part(name: str, value: bytes, more: str = "") -> bytes:
    head = f'--{EDGE}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + value
