"""The `deckhand` command line; each command loads when it is called."""

from importlib import import_module

import click

COMMANDS = {
    "up": "webapp.commands.up",
    "status": "webapp.commands.status",
    "setup-link": "webapp.commands.setup_link",
    "policy": "webapp.commands.policy",
    "keys": "webapp.commands.keys",
    "db": "webapp.commands.db",
    "history": "webapp.commands.history",
    "prices": "webapp.commands.prices",
}


class _Lazy(click.Group):
    def list_commands(self, ctx: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command = getattr(import_module(COMMANDS[cmd_name]), cmd_name.replace("-", "_"))
        assert isinstance(command, click.Command)
        return command


@click.group(name="deckhand", cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="deckhand", prog_name="deckhand")
def deckhand() -> None:
    """Build AI workflows from forms, run them durably, see what they did and what it cost."""
