"""`python -m webapp.commands` is `deckhand`."""

from webapp.commands import main

main()
