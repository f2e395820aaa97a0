"""`deckhand setup-link`: another link for the first person, when the one of the start is lost."""

from __future__ import annotations

import os
from pathlib import Path

import click

from webapp.commands.exits import settings_or_end


@click.command("setup-link")
@click.option("--data", type=click.Path(path_type=Path), help="Its data folder.")
def setup_link(data: Path | None) -> None:
    """Print a new link to set Deckhand up; the ones before stop working."""
    from webapp.accounts.service import is_set_up, make_setup_link
    from webapp.commands.db import at_newest_or_end
    from webapp.commands.instance import running
    from webapp.commands.unit import unit
    from webapp.organizations.service import ensure_first_organization

    if data is not None:
        os.environ["DATA"] = str(data)
    settings = settings_or_end()
    at_newest_or_end(settings)  # on a new machine there is no database yet
    # What runs may listen on another port than the settings of this shell say.
    url = str((running(settings.data) or {}).get("url") or settings.base_url)
    with unit(settings) as session:
        if is_set_up(session):
            raise click.ClickException(f"Somebody has an account here already. Sign in at {url}")
        ensure_first_organization(session)
        link = make_setup_link(session, url)
    click.echo(f"{link}\nIt works once, for 24 hours.")
