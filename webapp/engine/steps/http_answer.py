"""What an HTTP answer means for the step: a result, or the reason why there is none."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import urlsplit

from webapp.engine.canonical import from_bytes
from webapp.engine.errors import StepError
from webapp.engine.ports import HttpAnswer, Work

WORTH_REPEATING = {408, 409, 423, 425, 429}
"""Answers of the 4xx family that another try may change."""
LEFT_OUT = {"set-cookie"}
CHARSETS = {"utf8", "ascii", "utf16", "utf16le", "utf16be", "big5", "gbk", "gb2312", "gb18030"}
CHARSETS |= {"shiftjis", "sjis", "eucjp", "euckr", "iso2022jp", "koi8r", "koi8u", "macintosh"}
"""What text on the web is written in, beside ISO 8859 and Windows code pages. Python knows more,
and takes minutes for a megabyte of punycode."""
_CODE_PAGE = re.compile(r"(?:usascii|latin\d{1,2}|iso8859\d{1,2}|(?:windows|cp)\d{3,4})")


def refused(answer: HttpAnswer, url: str) -> StepError:
    """Make the error for a status that doesn't count as done.

    A 4xx proves that nothing happened there; a 5xx or a redirect doesn't.
    """
    status, host = answer.status, host_of(url)
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


async def result_of(answer: HttpAnswer, frozen: dict[str, Any], work: Work) -> dict[str, Any]:
    """Return what the step gives.

    Raises:
        StepError: E-HTTP-LARGE, E-HTTP-ANSWER.
    """
    host = host_of(frozen["url"])
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
        "headers": {k: v for k, v in answer.headers.items() if k not in LEFT_OUT},
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
    for charset in (_known(named.group(1)) if named else "utf-8", "utf-8"):
        try:
            text = answer.body.decode(charset)
        except (UnicodeDecodeError, LookupError):
            continue
        return None if "\x00" in text else text
    return None


def _known(charset: str) -> str:
    bare = re.sub(r"[^a-z0-9]", "", charset.lower())
    return charset if bare in CHARSETS or _CODE_PAGE.fullmatch(bare) else "utf-8"


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


def host_of(url: str) -> str:
    """Return the host, or "" where there is none."""
    try:
        return urlsplit(url).hostname or ""
    except ValueError:
        return ""
