"""What the command line says and how it ends."""

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import click
import pytest
from flask import Flask
from sqlalchemy.orm import Session

from tests.conftest import KEYS
from tests.fixtures import Browser
from webapp.api_keys.service import find_key
from webapp.commands.exits import DATABASE, SETTINGS
from webapp.commands.group import deckhand as command_line
from webapp.commands.policy import COMMANDS
from webapp.kernel.db import make_engine, reading
from webapp.kernel.settings import Settings


def env_of(settings: Settings) -> dict[str, str]:
    place = {"APP_ENV": "testing", "DATA": str(settings.data), "REDIS_URL": settings.redis_url}
    return {**KEYS, **place, "DATABASE_URL": settings.database_url}


def deckhand(*words: str, env: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "webapp.commands", *words],
        env={"PATH": "/usr/bin:/bin", **env},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


def words_of(group: click.Group, *before: str) -> list[str]:
    found = []
    for name in group.list_commands(click.Context(group)):
        command = group.get_command(click.Context(group), name)
        if isinstance(command, click.Group):
            found += words_of(command, *before, name)
        else:
            found.append(" ".join([*before, name]))
    return found


def test_every_command_is_declared() -> None:
    assert sorted(words_of(command_line)) == sorted(COMMANDS)


def test_a_key_can_be_made_before_set_up(settings: Settings) -> None:
    done = deckhand("keys", "create", "--name", "Import", "--json", env=env_of(settings))

    made: dict[str, Any] = json.loads(done.stdout)
    assert set(made) == {"id", "name", "key", "prefix", "organization_id", "role"}
    assert (made["name"], made["role"]) == ("Import", "admin")
    assert made["key"].startswith("dh_live_")


def test_a_key_can_be_made_on_a_machine_that_never_ran(
    settings: Settings, empty_database: Any
) -> None:
    env = {**env_of(settings), "DATABASE_URL": empty_database()}

    done = deckhand("keys", "create", "--name", "First", "--json", env=env)

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["name"] == "First"


def test_a_key_of_the_command_line_outlives_the_upgrade_that_marks_it_as_one(
    settings: Settings, empty_database: Any
) -> None:
    env = {**env_of(settings), "DATABASE_URL": empty_database()}
    made = json.loads(deckhand("keys", "create", "--name", "Old", "--json", env=env).stdout)
    back = (
        "import flask_migrate; from webapp.commands.db import migrating\n"
        "with migrating().app_context(): flask_migrate.downgrade(revision='0002')"
    )
    subprocess.run([sys.executable, "-c", back], env=env, check=True, capture_output=True)

    assert deckhand("db", "upgrade", env=env).returncode == 0

    engine = make_engine(env["DATABASE_URL"])
    with reading(), Session(engine) as session:
        assert find_key(session, settings.master_key, made["key"]) is not None
    engine.dispose()


def test_a_key_is_made_while_the_web_runs_and_opens_it_at_once(app: Flask) -> None:
    env = env_of(app.extensions["settings"])
    program = app.test_client(use_cookies=False)
    assert program.get("/api/v1/workflows").status_code == 401

    done = deckhand("keys", "create", "--name", "Later", "--role", "viewer", "--json", env=env)

    made = json.loads(done.stdout)
    head = {"X-API-Key": made["key"]}
    assert program.get("/api/v1/workflows", headers=head).status_code == 200
    denied = program.post("/api/v1/workflows", json={"name": "A"}, headers=head)
    assert denied.status_code == 403
    assert made["key"].startswith(made["prefix"])
    assert made["organization_id"].startswith("org_")


def test_a_key_for_people_to_read_is_alone_on_its_line(settings: Settings) -> None:
    done = deckhand("keys", "create", "--name", "Import", env=env_of(settings))

    assert re.fullmatch(r"dh_live_[0-9A-Za-z]{38}", done.stdout.splitlines()[0])


def test_a_lost_set_up_link_is_printed_again_until_somebody_has_an_account(
    app: Flask, guest: Browser, settings: Settings
) -> None:
    first, second = (deckhand("setup-link", env=env_of(settings)).stdout for _ in range(2))
    codes = [re.search(r"/setup\?code=(\S+)", told)[1] for told in (first, second)]  # type: ignore[index]

    assert "Your name" not in guest.get(f"/setup?code={codes[0]}").text
    assert "Your name" in guest.get(f"/setup?code={codes[1]}").text
    answer = guest.submit(
        "/setup", code=codes[1], name="Olga", email="o@box.local", password="seven blue boats"
    )
    assert answer.status_code == 303, answer.text
    refused = deckhand("setup-link", env=env_of(settings))
    assert refused.returncode == 1
    assert "Sign in at http" in refused.stderr


@pytest.mark.parametrize("name", ["", "   ", "x" * 81])
def test_a_key_needs_a_name_of_fitting_length(settings: Settings, name: str) -> None:
    done = deckhand("keys", "create", "--name", name, "--json", env=env_of(settings))

    assert (done.returncode, done.stdout) == (2, "")
    assert "1 to 80 letters" in done.stderr


def test_a_key_for_an_unknown_organization_is_refused_in_words(settings: Settings) -> None:
    done = deckhand("keys", "create", "--name", "A", "--org", "nowhere", env=env_of(settings))

    assert done.returncode == 1
    assert done.stderr == "Error: There is no organization “nowhere” here.\n"
    assert done.stdout == ""


@pytest.mark.usefixtures("acme", "other")
def test_a_key_asks_for_the_organization_where_there_are_several(settings: Settings) -> None:
    done = deckhand("keys", "create", "--name", "A", env=env_of(settings))

    assert done.returncode == 1
    assert "There are several organizations. Name one: acme, " in done.stderr


def test_the_policy_lists_commands_too(settings: Settings) -> None:
    done = deckhand("policy", "--json", env=env_of(settings))

    found = json.loads(done.stdout)
    assert found["CLI keys create"] == {
        "auth": "shell",
        "permission": "keys.manage",
        "public": False,
    }
    assert None not in found.values()
    assert found["POST /api/v1/workflows/<workflow>/run"] == {
        "auth": "api_key",
        "permission": "runs.start",
        "public": False,
    }
    assert all(set(one) == {"auth", "permission", "public"} for one in found.values())
    assert {entry.split(" ")[0] for entry in found} >= {"GET", "POST", "SOCKET", "CLI"}


def test_a_database_at_the_newest_schema_is_said_to_be(settings: Settings) -> None:
    done = deckhand("db", "check", env=env_of(settings))

    assert (done.returncode, "newest" in done.stdout) == (0, True)


def test_an_empty_database_is_behind_until_it_is_upgraded(
    settings: Settings, empty_database: Any
) -> None:
    env = {**env_of(settings), "DATABASE_URL": empty_database()}

    before = deckhand("db", "check", env=env)
    upgrade = deckhand("db", "upgrade", env=env)
    after = deckhand("db", "check", env=env)

    assert (before.returncode, upgrade.returncode, after.returncode) == (DATABASE, 0, 0)
    assert "db upgrade" in before.stderr


def test_two_upgrades_at_once_take_turns(settings: Settings, empty_database: Any) -> None:
    env = {**env_of(settings), "DATABASE_URL": empty_database()}

    with ThreadPoolExecutor(3) as pool:
        three = list(pool.map(lambda _: deckhand("db", "upgrade", env=env), range(3)))

    assert [(one.returncode, one.stderr) for one in three] == [(0, "")] * 3


def test_a_database_of_a_newer_version_is_refused(settings: Settings) -> None:
    from sqlalchemy import text

    from webapp.kernel.db import make_engine, writing

    engine = make_engine(settings.database_url)
    with writing(), engine.begin() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = 'from_the_future'"))
    engine.dispose()

    check = deckhand("db", "check", env=env_of(settings))
    upgrade = deckhand("db", "upgrade", env=env_of(settings))

    assert (check.returncode, upgrade.returncode) == (DATABASE, DATABASE)
    assert "newer version" in check.stderr


@pytest.mark.parametrize("words", [("up",), ("db", "check"), ("status",), ("policy",)])
def test_wrong_settings_are_told_together(settings: Settings, words: tuple[str, ...]) -> None:
    done = deckhand(*words, env={**env_of(settings), "LEASE_S": "0", "PORT": "high"})

    assert done.returncode == SETTINGS
    assert "LEASE_S" in done.stderr
    assert "PORT" in done.stderr
    assert "Traceback" not in done.stderr


def test_status_makes_nothing_where_nothing_was_started(tmp_path: Path) -> None:
    done = deckhand("status", env={"DATA": str(tmp_path / "data")})

    assert (done.returncode, done.stderr) == (1, "")
    assert "Start it with `deckhand up`" in done.stdout
    assert not (tmp_path / "data").exists()


def test_status_says_when_nothing_runs(settings: Settings) -> None:
    done = deckhand("status", "--json", env=env_of(settings))

    assert (done.returncode, json.loads(done.stdout)) == (1, {"running": False})
