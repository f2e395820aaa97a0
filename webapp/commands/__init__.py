"""The `deckhand` command line and the supervisor behind `deckhand up`."""


def main() -> None:
    """Run the command that was typed. Imports late: every part of Deckhand loads this package."""
    from webapp.commands.group import deckhand

    deckhand()
