"""`deckhand prices`: what tokens of models cost, so that runs can be charged exactly."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

import click

from webapp.commands.exits import settings_or_end


class _Usd(click.ParamType):
    name = "usd"

    def convert(self, value: Any, param: Any, ctx: Any) -> Decimal:
        try:
            return value if isinstance(value, Decimal) else Decimal(value)
        except InvalidOperation:
            self.fail(f"{value!r} is no amount, such as 0.15", param, ctx)


@click.group()
def prices() -> None:
    """Say what tokens of models cost."""


@prices.command("set")
@click.argument("model")
@click.option(
    "--in", "usd_in", type=_Usd(), required=True, help="US dollars a million tokens read."
)
@click.option("--out", "usd_out", type=_Usd(), required=True, help="... a million tokens written.")
@click.option("--cached", "usd_cached", type=_Usd(), help="... read from its cache; else as --in.")
@click.option(
    "--from",
    "from_at",
    type=click.DateTime(["%Y-%m-%d", "%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M:%S%z"]),
    help="Day or moment (UTC) from which it holds; else from now on.",
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def set_(
    model: str,
    usd_in: Decimal,
    usd_out: Decimal,
    usd_cached: Decimal | None,
    from_at: datetime | None,
    *,
    as_json: bool,
) -> None:
    """Say what MODEL costs. A call is charged at the price that held when it began."""
    from pydantic import ValidationError

    from webapp.access.context import NOWHERE, SYSTEM, Context
    from webapp.commands.db import at_newest_or_end
    from webapp.commands.unit import unit
    from webapp.spending.schemas import NewPrice
    from webapp.spending.service import set_price

    if from_at is not None:
        from_at = from_at.replace(tzinfo=UTC) if from_at.tzinfo is None else from_at.astimezone(UTC)
    try:
        draft = NewPrice(
            model=model, usd_in=usd_in, usd_out=usd_out, usd_cached=usd_cached, from_at=from_at
        )
    except ValidationError as error:
        where = ", ".join(str(one["loc"][0]).replace("usd_", "--") for one in error.errors())
        raise click.UsageError(
            f"A price is 0 to 1,000,000 US dollars with up to 9 decimals, and a model's name has "
            f"1 to 200 letters. Wrong: {where}."
        ) from None
    settings = settings_or_end()
    at_newest_or_end(settings)
    with unit(settings) as session:
        made = set_price(Context(session, NOWHERE, SYSTEM, settings), draft)
    if as_json:
        click.echo(made.model_dump_json())
        return
    click.echo(f"{made.model} costs from {_moment(made.from_at)}: {_rates(made)}.")


@prices.command("list")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def list_(*, as_json: bool) -> None:
    """List the prices that are known, those that are over and those to come too."""
    from webapp.access.context import NOWHERE, SYSTEM, Context
    from webapp.commands.unit import snapshot
    from webapp.kernel import jsons
    from webapp.spending.service import list_prices

    settings = settings_or_end()
    with snapshot(settings) as session:
        found = list_prices(Context(session, NOWHERE, SYSTEM, settings))
    if as_json:
        click.echo(jsons.dumps({"prices": [price.model_dump(mode="json") for price in found]}))
        return
    if not found:
        click.echo("No model has a price. Set one with `deckhand prices set MODEL --in --out`.")
    for price in found:
        mark = "*" if price.valid else " "
        click.echo(f"{mark} {price.model} from {_moment(price.from_at)}: {_rates(price)}")


def _moment(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


def _rates(price: Any) -> str:
    rates = (("in", price.usd_in), ("out", price.usd_out), ("cached", price.usd_cached))
    said = ", ".join(f"{format(usd.normalize(), 'f')} {kind}" for kind, usd in rates)
    return f"{said} (USD for a million tokens)"
