"""Who may enter which door, and what goes in and comes out: said at the door, read everywhere.

The doors keep to it, `deckhand policy` lists it, and the description of the API is made from it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from flask import Flask
from pydantic import BaseModel

from webapp.access.permissions import Permission
from webapp.web import jsons

Auth = Literal["session", "api_key", "none"]


@dataclass(frozen=True, slots=True)
class Policy:
    """Who may enter a door; the view carries it as `view.policy`.

    Attributes:
        auth: how callers prove who they are.
        permission: what their role must hold; None where no organization is involved.
        once: whether a form's one-time field, or an Idempotency-Key, is honored ("required" asks
            for it).
        body: schema of the JSON body; yaml: it may be YAML as well; query: of what stands behind
            "?"; answer: of what comes back.
        status: of success; also: other answers by status; errors: refusals beyond the usual ones.
        in_turns: the work takes several transactions: the view gets `so_far` and returns `GoOn`
            until it is done.
        waited: schema of the answer to callers who `Prefer: wait=10`.
        upload: the multipart field that holds a file.
    """

    auth: Auth
    permission: Permission | None = None
    once: Literal["", "form", "optional", "required"] = ""
    most_bytes: int = jsons.MOST_BYTES
    body: type[BaseModel] | None = None
    yaml: bool = False
    query: type[BaseModel] | None = None
    answer: Any = None
    status: int = 200
    also: Mapping[int, Any] = field(default_factory=dict)
    errors: tuple[int, ...] = ()
    in_turns: bool = False
    waited: type[BaseModel] | None = None
    upload: str = ""

    @property
    def public(self) -> bool:
        return self.auth == "none"

    def shown(self) -> dict[str, Any]:
        permission = self.permission.value if self.permission else None
        return {"auth": self.auth, "permission": permission, "public": self.public}


class UndeclaredDoor(RuntimeError):
    """A route was added beside `Doors`, so nobody said who may enter."""


def declare(app: Flask, endpoint: str, policy: Policy) -> None:
    """Say who may enter a route that some library or blueprint added."""
    setattr(app.view_functions[endpoint], "policy", policy)  # noqa: B010  (functions take it)


def policy_of(app: Flask, endpoint: str | None) -> Policy | None:
    found: Policy | None = getattr(app.view_functions.get(endpoint or ""), "policy", None)
    return found


def policies(app: Flask) -> dict[str, dict[str, Any]]:
    """Return every way in as {"METHOD rule": {"auth", "permission", "public"}}.

    Socket events stand there as "SOCKET name", commands as "CLI words". An undeclared route has
    None, which a test refuses.
    """
    found: dict[str, Any] = {}
    for rule in app.url_map.iter_rules():
        policy = policy_of(app, rule.endpoint)
        for method in sorted((rule.methods or set()) - {"HEAD", "OPTIONS"}):
            found[f"{method} {rule.rule}"] = policy.shown() if policy else None
    for kind, name in (("SOCKET", "events"), ("CLI", "commands")):
        for words, entry in app.extensions[name].items():
            found[f"{kind} {words}"] = entry
    return dict(sorted(found.items(), key=lambda item: item[0].split(" ", 1)[::-1]))
