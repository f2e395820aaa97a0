"""HTTP request: ask or tell another system over the web."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from urllib.parse import urlencode, urlsplit

import pydantic

from webapp.engine.canonical import from_bytes, to_bytes
from webapp.engine.effects import Effect
from webapp.engine.errors import StepError
from webapp.engine.grammar import Field, SecretValue, Strict, Value
from webapp.engine.ports import HttpAnswer, Work
from webapp.engine.readings import as_text
from webapp.engine.steps.kind import StepKind
from webapp.engine.values import Scope, render, render_text

MOST_BYTES = 1024 * 1024
MOST_URL = 2_048
LONGEST_S = 30.0
TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}")
WORTH_REPEATING = {408, 409, 423, 425, 429}
"""Answers of the 4xx family that another try may change."""
KEPT_FROM_RESULT = {"set-cookie"}


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
    """Return the request as canonical JSON.

    Raises:
        StepError: an address, header or body that can't be sent.
    """
    if config.connection:
        raise _wrong("E-CONN-GONE", "The connection of this step does not exist. Choose another.")
    content, media_type = _body(config.body, scope)
    headers = _headers(config, scope)
    if media_type and "content-type" not in {name.lower() for name, _ in headers}:
        headers.append(["Content-Type", media_type])
    return to_bytes(
        {
            "method": config.method,
            "url": _url(config, scope),
            "headers": headers,
            "body": content,
            "read": config.read,
            "ok": config.ok,
        }
    )


def _url(config: Config, scope: Scope) -> str:
    url = render_text(config.url, scope).strip()
    pairs = [(pair.name, render_text(pair.value, scope)) for pair in config.query]
    if pairs:
        bare, mark, fragment = url.partition("#")
        url = f"{bare}{'&' if '?' in bare else '?'}{urlencode(pairs)}{mark}{fragment}"
    if re.search(r"[\x00-\x20\x7f\\]", url):
        raise _wrong("E-HTTP-URL", f"The address “{url[:80]}” has a space or another odd sign.")
    if len(url) > MOST_URL:
        raise _wrong("E-HTTP-URL", f"The address has {len(url):,} characters; 2,048 can be sent.")
    if not url.lower().startswith(("https://", "http://")) or not _host(url):
        raise _wrong("E-HTTP-URL", f"“{url[:80]}” is no address like https://example.com/orders.")
    return url


def _headers(config: Config, scope: Scope) -> list[list[str]]:
    headers = []
    for pair in config.headers:
        value = render_text(pair.value, scope).strip()
        if not TOKEN.fullmatch(pair.name):
            raise _wrong("E-HTTP-HEADER", f"“{pair.name[:60]}” can't be the name of a header.")
        if re.search(r"[\x00-\x08\x0a-\x1f\x7f]", value) or len(value) > 8_000:
            raise _wrong("E-HTTP-HEADER", f"The header “{pair.name}” has a line break or is long.")
        headers.append([pair.name, value])
    return headers


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
            E-HTTP-LARGE.
    """
    assert work.ports.http is not None
    frozen = from_bytes(request)
    headers = dict(frozen["headers"])
    if frozen["method"] not in ("GET", "HEAD"):
        # The same in every attempt, so that a service that knows the header acts only once.
        headers.setdefault("Idempotency-Key", work.idem_key)
    left_s = work.left_s()
    answer = await work.ports.http.request(
        frozen["method"],
        frozen["url"],
        headers,
        None if frozen["body"] is None else frozen["body"].encode(),
        LONGEST_S if left_s is None else max(min(LONGEST_S, left_s), 0.001),
        MOST_BYTES,
    )
    if not any(low <= answer.status <= high for low, high in frozen["ok"]):
        raise _refused(answer, frozen["url"])
    return await _result(answer, frozen, work)


def _refused(answer: HttpAnswer, url: str) -> StepError:
    status, host = answer.status, _host(url)
    facts = {"status": status, "host": host, "answer": answer.body[:500].decode(errors="replace")}
    if status >= 500:
        return StepError(
            "E-HTTP-5XX",
            f"{host} has a problem on its side ({status}).",
            proven=False,
            retry_after_s=_retry_after(answer),
            facts=facts,
        )
    return StepError(
        "E-HTTP-4XX",
        f"{host} answered “{status}{_words(status)}”. {_what_to_do(status)}",
        proven=status >= 400,
        retry_after_s=_retry_after(answer),
        retryable=status in WORTH_REPEATING,
        facts=facts,
    )


def _words(status: int) -> str:
    words = {400: "not understood", 401: "not signed in", 403: "not allowed", 404: "not found"}
    words |= {405: "wrong method", 409: "conflict", 410: "gone", 422: "not accepted"}
    words |= {429: "too many requests"}
    known = words.get(status) or ("moved" if 300 <= status < 400 else "")
    return f", {known}" if known else ""


def _what_to_do(status: int) -> str:
    match status:
        case 401 | 403:
            return "Check the key or the permission it needs."
        case 429:
            return "It asks to slow down."
        case 400 | 422:
            return "Check what this step sends."
    return "The address may be wrong."


def _retry_after(answer: HttpAnswer) -> float | None:
    seconds = answer.headers.get("retry-after", "").strip()
    return min(float(seconds), 86_400.0) if re.fullmatch(r"\d{1,9}", seconds) else None


async def _result(answer: HttpAnswer, frozen: dict[str, Any], work: Work) -> dict[str, Any]:
    host = _host(frozen["url"])
    if answer.truncated:
        raise StepError(
            "E-HTTP-LARGE",
            f"The answer of {host} is larger than 1 MB. Ask for less, or page by page.",
            proven=False,
            retryable=False,
            facts={"host": host},
        )
    result: dict[str, Any] = {
        "status": answer.status,
        "headers": {k: v for k, v in answer.headers.items() if k not in KEPT_FROM_RESULT},
        "body": None,
        "file": None,
    }
    text = _decoded(answer)
    if text is None:
        result["file"] = await _kept(answer, work)
    else:
        result["body"] = _read(text, answer, frozen["read"], host)
    return result


def _decoded(answer: HttpAnswer) -> str | None:
    """The answer as text; None when it is something else, such as a picture."""
    named = re.search(r"charset=\"?([\w-]+)", answer.headers.get("content-type", ""), re.I)
    for charset in (named.group(1) if named else "utf-8", "utf-8"):
        try:
            text = answer.body.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
        return None if "\x00" in text else text
    return None


async def _kept(answer: HttpAnswer, work: Work) -> dict[str, Any] | None:
    if work.ports.files is None:
        return None
    media_type = answer.headers.get("content-type", "").split(";")[0].strip()
    name = urlsplit(answer.url).path.rpartition("/")[2][:100] or "answer"
    file_id = await work.ports.files.write(
        answer.body, name, media_type or "application/octet-stream"
    )
    return {"file": file_id, "name": name}


def _read(text: str, answer: HttpAnswer, read: str, host: str) -> Any:
    is_json = "json" in answer.headers.get("content-type", "").lower()
    if read == "text" or (read == "auto" and not is_json) or (not text.strip() and read == "auto"):
        return text
    try:
        return from_bytes(text)
    except ValueError:
        if read == "auto":
            return text
    raise StepError(
        "E-HTTP-ANSWER",
        f"The answer of {host} is not JSON. Read it as text, or check the address.",
        proven=False,
        retryable=False,
        facts={"host": host, "answer": text[:500]},
    )


def _host(url: str) -> str:
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""


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
