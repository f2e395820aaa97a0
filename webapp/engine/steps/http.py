"""HTTP request: ask or tell another system over the web."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlencode

import pydantic

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, SecretValue, Strict, Value
from webapp.engine.ports import Work
from webapp.engine.readings import as_text
from webapp.engine.steps.http_answer import host_of, refused, result_of
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render, render_secret, render_text

MOST_BYTES = 1024 * 1024
MOST_URL = 2_048
LONGEST_S = 30.0
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
CONTROLS = r"[\x00-\x08\x0a-\x1f\x7f]"


class Pair(Strict):
    name: Annotated[str, pydantic.Field(min_length=1, max_length=200)] = pydantic.Field(
        title="Name"
    )
    value: SecretValue = pydantic.Field(title="Value")


class Body(Strict):
    form: Literal["none", "json", "form", "text"] = pydantic.Field(
        default="none", alias="as", title="Sent as"
    )
    value: Value = pydantic.Field(default=None, title="Content")


class Config(Strict):
    method: Literal["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"] = pydantic.Field(
        default="GET", title="Method", description="GET reads; the others change something."
    )
    url: Value = pydantic.Field(title="Address", description="Begins with https:// or http://.")
    query: Annotated[list[Pair], pydantic.Field(max_length=30)] = pydantic.Field(
        default=[], title="Added to the address", description="Names and values after the ?."
    )
    headers: Annotated[list[Pair], pydantic.Field(max_length=30)] = pydantic.Field(
        default=[], title="Headers"
    )
    body: Body = pydantic.Field(default=Body(), title="Content")
    connection: Annotated[str, pydantic.Field(pattern=r"^cn_[0-9a-z]{1,40}$")] | None = (
        pydantic.Field(default=None, title="Connection")
    )
    read: Literal["auto", "json", "text"] = pydantic.Field(
        default="auto", title="Read the answer as"
    )
    ok: Annotated[
        list[
            Annotated[
                list[Annotated[int, pydantic.Field(ge=100, le=599)]],
                pydantic.Field(min_length=2, max_length=2),
            ]
        ],
        pydantic.Field(min_length=1, max_length=10),
    ] = pydantic.Field(
        default=[[200, 299]],
        title="Answers that count as done",
        description="Ranges of status numbers.",
    )
    repeat_safe: bool = pydantic.Field(
        default=False,
        title="Sending it twice does no harm",
        description="Then it may be tried again after a failure.",
    )


def effect(config: Config) -> Effect:
    match config.method:
        case "GET" | "HEAD":
            return Effect.NONE
        case "PUT" | "DELETE":
            return Effect.IDEMPOTENT
    return Effect.IDEMPOTENT if config.repeat_safe else Effect.AT_MOST_ONCE


def prepare(config: Config, scope: Scope) -> bytes:
    """Return the request as canonical JSON, with secrets by their names.

    Raises:
        StepError: an address, header or body that can't be sent.
    """
    if config.connection:
        raise _wrong("E-CONN-GONE", "The connection of this step does not exist. Choose another.")
    content, media_type = _body(config.body, scope)
    headers = [[pair.name, render_secret(pair.value, scope)] for pair in config.headers]
    for name, _ in headers:
        if not TOKEN.fullmatch(str(name)):
            raise _wrong("E-HTTP-HEADER", f"“{str(name)[:60]}” can't be the name of a header.")
    if media_type and "content-type" not in {str(name).lower() for name, _ in headers}:
        headers.append(["Content-Type", media_type])
    query = [[pair.name, render_secret(pair.value, scope)] for pair in config.query]
    url = render_text(config.url, scope).strip()
    if _has_secrets(headers + query) and not url.lower().startswith("https://"):
        raise _wrong("E-HTTP-URL", "A secret is only sent to an address with https://.")
    return to_bytes(
        {
            "method": config.method,
            "url": checked_url(url),
            "query": query,
            "headers": [[name, _checked_value(str(name), value)] for name, value in headers],
            "body": content,
            "read": config.read,
            "ok": config.ok,
        }
    )


def _has_secrets(pairs: list[list[Any]]) -> bool:
    return any(isinstance(value, list) for _, value in pairs)


def checked_url(url: str) -> str:
    """Return the address, or raise E-HTTP-URL."""
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise _wrong("E-HTTP-URL", f"The address “{url[:80]}” has a space or another odd sign.")
    if len(url) > MOST_URL:
        raise _wrong("E-HTTP-URL", f"The address has {len(url):,} characters; 2,048 can be sent.")
    if not url.lower().startswith(("https://", "http://")) or not host_of(url):
        raise _wrong("E-HTTP-URL", f"“{url[:80]}” is no address like https://example.com/orders.")
    return url


def _checked_value(name: str, value: Any) -> Any:
    for piece in value if isinstance(value, list) else [value]:
        if isinstance(piece, str) and (re.search(CONTROLS, piece.strip()) or len(piece) > 8_000):
            raise _wrong("E-HTTP-HEADER", f"The header “{name}” has a line break or is too long.")
    return value


def _body(body: Body, scope: Scope) -> tuple[str | None, str | None]:
    value = render(body.value, scope)
    match body.form:
        case "json":
            return _json(value), "application/json"
        case "form":
            if not isinstance(value, dict):
                raise _wrong("E-HTTP-BODY", "A form needs names with values as its content.")
            pairs = [(name, as_text(entry)) for name, entry in value.items()]
            return urlencode(pairs), "application/x-www-form-urlencoded"
        case "text":
            return as_text(value), "text/plain; charset=utf-8"
    return None, None


def _json(value: Any) -> str:
    """A text that is a JSON record or list already goes as it is written."""
    if isinstance(value, str) and value.strip()[:1] in ("{", "["):
        try:
            from_bytes(value)
        except ValueError:
            raise _wrong("E-HTTP-BODY", "The content looks like JSON, but isn't.") from None
        return value
    return to_bytes(value).decode()


async def perform(request: bytes, work: Work) -> dict[str, Any]:
    """Send the frozen request.

    Raises:
        StepError: E-HTTP-REACH (from the port), E-HTTP-4XX, E-HTTP-5XX, E-HTTP-ANSWER,
            E-HTTP-LARGE, E-SECRET-GONE.
    """
    assert work.ports.http is not None
    frozen = from_bytes(request)
    revealed = await _revealed(frozen["headers"], work)
    headers = {name: _checked_value(name, value.strip()) for name, value in revealed}
    if frozen["method"] not in ("GET", "HEAD"):
        # The same in every attempt, so that a service that knows the header acts only once.
        headers.setdefault("Idempotency-Key", work.idem_key)
        headers.setdefault("X-Run-Id", work.run_id)
    left_s = work.left_s()
    answer = await work.ports.http.request(
        frozen["method"],
        _with_query(frozen["url"], await _revealed(frozen["query"], work)),
        headers,
        None if frozen["body"] is None else frozen["body"].encode(),
        LONGEST_S if left_s is None else max(min(LONGEST_S, left_s), 0.001),
        MOST_BYTES,
    )
    if not any(low <= answer.status <= high for low, high in frozen["ok"]):
        raise refused(answer, frozen["url"])
    return await result_of(answer, frozen, work)


async def _revealed(pairs: list[list[Any]], work: Work) -> list[tuple[str, str]]:
    """Put the secrets in; from here on nothing is written down."""
    revealed = []
    for name, value in pairs:
        pieces = value if isinstance(value, list) else [value]
        text = [piece if isinstance(piece, str) else await _secret(piece, work) for piece in pieces]
        revealed.append((name, "".join(text)))
    return revealed


async def _secret(piece: dict[str, str], work: Work) -> str:
    if work.ports.secrets is None:
        raise _wrong("E-SECRET-GONE", f"There is no secret called “{piece['secret']}”.")
    return await work.ports.secrets.reveal(piece["secret"])


def _with_query(url: str, pairs: list[tuple[str, str]]) -> str:
    if not pairs:
        return url
    bare, mark, fragment = url.partition("#")
    whole = f"{bare}{'&' if '?' in bare else '?'}{urlencode(pairs)}{mark}{fragment}"
    if len(whole) > MOST_URL:
        raise _wrong("E-HTTP-URL", f"The address has {len(whole):,} characters; 2,048 can be sent.")
    return whole


def _wrong(code: str, text: str) -> StepError:
    return StepError(code, f"{text} Nothing was sent.", proven=True, retryable=False)


def gives(config: Config) -> list[Field]:
    return [
        Field(name="status", label="Status number", type="number"),
        Field(name="headers", label="Headers", type="record"),
        Field(name="body", label="Answer", type="text" if config.read == "text" else "any"),
        Field(name="file", label="File", type="file", required=False),
    ]


KIND = StepKind(
    name="http",
    label="HTTP request",
    about="Reads from or sends to an address on the web.",
    icon="outside",
    group="Your connections",
    config=Config,
    effect=effect,
    gives=gives,
    prepare=prepare,
    perform=perform,
)
