"""A change that is sent twice is done once: by the form's one-time field, or by Idempotency-Key."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from flask import Response, request
from werkzeug.datastructures import FileStorage

from webapp.access import idempotency
from webapp.access.context import Context
from webapp.kernel import jsons as kernel_jsons
from webapp.kernel.errors import BadRequest, Invalid
from webapp.web import jsons
from webapp.web.database import db
from webapp.web.policy import Policy


@dataclass(frozen=True, slots=True)
class GoOn:
    """What a view returns that has not done all of its work: it is called again, after a commit.

    Attributes: so_far: what its next turn has to know, as JSON.
    """

    so_far: dict[str, Any]


def once(
    policy: Policy,
    ctx: Context,
    work: Callable[[dict[str, Any]], Response | GoOn],
    so_far: dict[str, Any],
) -> Response | GoOn:
    """Do the work once for each one-time field or Idempotency-Key; answer repeats as before.

    Args:
        so_far: how far it has come, for who brings no key; with one its row says so.
    """
    key = _key(policy)
    if key is None:
        return work(so_far)
    route = f"{request.method} {request.url_rule.rule if request.url_rule else ''}"[:120]
    try:
        answered = idempotency.claim(ctx, route, key, _digestible(policy), in_turns=policy.in_turns)
    except Invalid as error:
        if policy.once != "form":
            raise
        raise BadRequest("E-FORM-SENT") from error
    if answered is not None and answered.status == 0:
        so_far = kernel_jsons.loads(answered.body)
    elif answered is not None:
        db.session.rollback()
        headers = {**answered.headers, "Idempotency-Replayed": "true"}
        return Response(answered.body, answered.status, headers)
    response = work(so_far)
    if isinstance(response, GoOn):
        body = kernel_jsons.dumps(response.so_far).encode()
        idempotency.keep(ctx, route, key, idempotency.Answer(0, body, {}))
    elif response.status_code < 400:
        kept = {k: v for k, v in response.headers if k in _KEPT_HEADERS}
        body = b"" if response.direct_passthrough else response.get_data()
        idempotency.keep(ctx, route, key, idempotency.Answer(response.status_code, body, kept))
    return response


_KEPT_HEADERS = {"Content-Type", "Location", "HX-Redirect"}


def _key(policy: Policy) -> str | None:
    if policy.once == "form":
        given = request.form.get("once", "")
        return f"form:{given}" if 16 <= len(given) <= 64 and given.isprintable() else None
    given_key = request.headers.get("Idempotency-Key")
    if policy.once == "required" or (policy.once == "optional" and given_key is not None):
        return idempotency.check_key(given_key)
    return None


def _digestible(policy: Policy) -> bytes:
    """Return what makes two requests the same: address and content, not the form's tokens."""
    where = request.path if policy.once == "form" else request.full_path
    if request.mimetype not in _FORMS:
        return where.encode() + b"\0" + request.get_data(cache=True)
    pairs = [pair for pair in request.form.items(multi=True) if pair[0] not in _TOKENS]
    sent = request.files.items(multi=True)
    files = [(name, file.filename, _digest(file)) for name, file in sent]
    return jsons.dump([where, pairs, files]).encode()


def _digest(file: FileStorage) -> str:
    found = hashlib.sha256()
    while chunk := file.stream.read(1 << 16):
        found.update(chunk)
    file.stream.seek(0)
    return found.hexdigest()


_FORMS = {"application/x-www-form-urlencoded", "multipart/form-data"}
_TOKENS = {"csrf_token", "once"}
