"""`deckhand policy`: every way in, and who may use it."""

from __future__ import annotations

import json
from typing import Any

import click

from webapp.access.permissions import Permission
from webapp.commands.exits import settings_or_end

# Whoever has a shell on the machine has the data; a permission says what a command does there.
COMMANDS: dict[str, Permission | None] = {
    "db check": None,
    "db upgrade": None,
    "history export": None,
    "keys create": Permission.MANAGE_KEYS,
    "policy": None,
    "prices list": None,
    "prices set": None,
    "setup-link": None,
    "status": None,
    "up": None,
}


def declared() -> dict[str, dict[str, Any]]:
    """Return the commands as the web's own policies are written."""
    return {
        words: {"auth": "shell", "permission": permission and permission.value, "public": False}
        for words, permission in COMMANDS.items()
    }


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def policy(*, as_json: bool) -> None:
    """List every page, API route, socket event and command with who may use it."""
    from webapp.app import create_app
    from webapp.web.doors import policies

    app = create_app(settings_or_end())
    app.extensions["commands"] = declared()
    found = policies(app)
    if as_json:
        click.echo(json.dumps(found, indent=1))
        return
    for entry, shown in found.items():
        who = "everybody" if shown["public"] else shown["auth"]
        click.echo(f"{entry:60} {who:12} {shown['permission'] or ''}")
