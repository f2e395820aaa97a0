"""What `deckhand up` does once it is ready: the example, once, and the set-up link until used."""

from __future__ import annotations

from webapp.accounts.service import is_set_up, make_setup_link
from webapp.commands import example
from webapp.commands.exits import settings_or_end
from webapp.commands.unit import unit
from webapp.kernel.settings import Settings
from webapp.organizations.service import ensure_first_organization


def first_start(settings: Settings) -> None:
    """Greet whoever looks at the terminal, until somebody has an account."""
    with unit(settings) as session:
        if is_set_up(session):
            return
        organization = ensure_first_organization(session)
        slug = organization.slug
        begun = example.begin(settings, session, organization.id)
    if begun.fresh:
        example.follow(settings, begun, _say)
    with unit(settings) as session:
        link = make_setup_link(session, settings.base_url)
    _say(
        "\nSee the run and make Deckhand yours (this link works once, for 24 hours):\n"
        f"  {link}&next=/o/{slug}/runs/{begun.public}"
    )


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    first_start(settings_or_end())
