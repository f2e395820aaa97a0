"""`deckhand status`: the health of each part of the instance that holds a data folder."""

from __future__ import annotations

import http.client
import json
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import click

from webapp.commands.exits import settings_or_end
from webapp.commands.instance import address, own_name, running

if TYPE_CHECKING:
    from webapp.kernel.settings import Settings

PATIENCE_S = 5


@click.command()
@click.option("--data", type=click.Path(path_type=Path), help="Its data folder.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def status(data: Path | None, *, as_json: bool) -> None:
    """Tell the health of each part. Ends with 0 when all are well, 1 otherwise."""
    facts = running(data) if data else _of_settings(settings_or_end(makes_keys=False))
    report = {"running": False} if facts is None else _report(facts)
    click.echo(json.dumps(report) if as_json else _in_words(report))
    sys.exit(0 if report.get("ok") else 1)


def _of_settings(settings: Settings) -> dict[str, Any] | None:
    """Return what holds the data folder, or where the web process of a Procfile should answer."""
    facts = running(settings.data)
    # With a Redis of its own the machine may be under another supervisor, which holds no folder.
    if facts is None and settings.redis_url:
        url, name = address(settings.host, settings.port), own_name(settings)
        facts = {"url": url, "name": name, "children": []} if _ask(url, name) else None
    return facts


def _report(facts: dict[str, Any]) -> dict[str, Any]:
    """Join what the supervisor says about processes with what the web process says about parts."""
    answer = _ask(str(facts.get("url", "")), str(facts.get("name", "localhost")))
    children = facts.get("children", [])
    up = all(child["state"] == "up" for child in children)
    well = up and answer is not None and answer.get("status") == "ok"
    return {"running": True, "ok": well, **facts, "web": answer}


def _ask(url: str, name: str) -> dict[str, Any] | None:
    parts = urlsplit(url)
    client = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=PATIENCE_S)
    try:
        client.request("GET", "/status", headers={"Accept": "application/json", "Host": name})
        answer = json.loads(client.getresponse().read())
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        client.close()
    return answer if isinstance(answer, dict) else None


def _in_words(report: dict[str, Any]) -> str:
    if not report["running"]:
        return "Deckhand doesn't run on this data folder. Start it with `deckhand up`."
    minutes = (int(time.time()) - int(report.get("started", time.time()))) // 60
    lines = [f"Deckhand at {report.get('url')}"]
    if "pid" in report:
        lines = [f"{lines[0]}, process {report['pid']}, up {minutes} min"]
    for child in report.get("children", []):
        again = f", started again {child['restarts']} times" if child["restarts"] else ""
        lines.append(f"  {child['name']:10} {child['state']}, process {child['pid']}{again}")
    if report["web"] is None:
        lines.append("  The web process doesn't answer. Its log says why.")
    else:
        lines += [
            f"  {name:10} {part.get('state')}: {part.get('text')}"
            for name, part in report["web"].get("parts", {}).items()
        ]
    return "\n".join(lines)
