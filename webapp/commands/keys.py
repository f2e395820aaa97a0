"""`deckhand keys`: API keys from the machine's own command line, before and after set-up."""

from __future__ import annotations

import click

from webapp.commands.exits import settings_or_end


@click.group()
def keys() -> None:
    """Let programs use the API."""


@keys.command()
@click.option("--name", required=True, help="What the key is for, such as “Nightly import”.")
@click.option("--org", help="The organization's short name or id; needed where there are several.")
@click.option("--role", type=click.Choice(["admin", "member", "viewer"]), default="admin")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def create(name: str, org: str | None, role: str, *, as_json: bool) -> None:
    """Make a key. It is shown this once and kept nowhere."""
    from pydantic import ValidationError

    from webapp.access.context import Actor, Context
    from webapp.access.permissions import Role
    from webapp.api_keys.schemas import NewKey
    from webapp.api_keys.service import create_key
    from webapp.commands.db import at_newest_or_end
    from webapp.commands.unit import unit
    from webapp.kernel.errors import NotFound
    from webapp.organizations.service import ensure_first_organization, find_organization

    try:
        draft = NewKey(name=name, role=Role(role))
    except ValidationError:
        raise click.UsageError("A key's name has 1 to 80 letters on one line.") from None
    settings = settings_or_end()
    at_newest_or_end(settings)  # on a new machine there is no database yet
    with unit(settings) as session:
        ensure_first_organization(session)  # before set-up it may not be there yet
        try:
            organization = find_organization(session, org)
        except NotFound:
            raise click.ClickException(f"There is no organization “{org}” here.") from None
        actor = Actor("system", None, "Command line", Role.ADMIN)
        made = create_key(Context(session, organization.id, actor, settings), draft)
    if as_json:
        click.echo(made.model_dump_json())
        return
    click.echo(f"{made.key}\nSend it as X-API-Key. It is shown this once and kept nowhere.")
