"""What `deckhand up` does once it is ready: the set-up link, as long as nobody is set up."""

from __future__ import annotations

from webapp.accounts.service import is_set_up, make_setup_link
from webapp.commands.exits import settings_or_end
from webapp.commands.unit import unit
from webapp.kernel.settings import Settings
from webapp.organizations.service import ensure_first_organization


def first_start(settings: Settings) -> None:
    """Greet whoever looks at the terminal, until somebody has an account."""
    with unit(settings) as session:
        if is_set_up(session):
            return
        ensure_first_organization(session)
        link = make_setup_link(session, settings.base_url)
    print(f"Set Deckhand up (this link works once, for 24 hours): {link}", flush=True)


if __name__ == "__main__":
    first_start(settings_or_end())
