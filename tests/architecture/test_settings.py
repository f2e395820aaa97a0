"""Settings are complete, documented, and refuse what an operator would regret."""

import os
import secrets
import stat
from pathlib import Path

import pytest

from webapp.commands.reference import PAGES, ROOT
from webapp.kernel.settings import Settings, SettingsError, load_settings


def production(tmp_path: Path, **more: str) -> dict[str, str]:
    keys = {name: secrets.token_urlsafe(48) for name in ("SECRET_KEY", "MASTER_KEY", "AUDIT_KEY")}
    place = {"TRUSTED_HOSTS": "deckhand.example", "BASE_URL": "https://deckhand.example"}
    return {"APP_ENV": "production", "DATA": str(tmp_path), **keys, **place, **more}


def problems_of(env: dict[str, str]) -> list[str]:
    with pytest.raises(SettingsError) as caught:
        load_settings(env)
    return caught.value.problems


@pytest.mark.parametrize("path", PAGES)
def test_the_pages_made_from_code_are_up_to_date(path: str) -> None:
    assert (ROOT / path).read_text() == PAGES[path](), "say `make docs`"


def test_every_setting_says_what_it_is_for() -> None:
    assert [name for name, field in Settings.model_fields.items() if not field.description] == []


def test_the_first_start_makes_keys_that_only_the_owner_reads(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = load_settings({"DATA": str(tmp_path / "new")})
    second = load_settings({"DATA": str(tmp_path / "new")})

    kept = tmp_path / "new" / "secrets.env"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert first.master_key == second.master_key
    assert len({first.secret_key, first.master_key, first.audit_key}) == 3
    assert capsys.readouterr().err.count("Made new keys") == 1


def test_a_given_key_wins_over_the_kept_one(tmp_path: Path) -> None:
    load_settings({"DATA": str(tmp_path)})

    settings = load_settings({"DATA": str(tmp_path), "SECRET_KEY": "x" * 40})

    assert settings.secret_key.get_secret_value() == "x" * 40


def test_all_problems_are_said_at_once_and_no_password_is(tmp_path: Path) -> None:
    problems = problems_of(
        {
            "DATA": str(tmp_path),
            "PORT": "eighty",
            "LEASE_S": "1",
            "DATABASE_URL": "mysql://root:hunter2@db/deckhand",
            "OUTBOUND_ALLOW": "everything",
        }
    )

    assert [problem.split()[0] for problem in problems] == [
        "PORT",
        "DATABASE_URL",
        "OUTBOUND_ALLOW",
        "LEASE_S",
    ]
    assert "hunter2" not in " ".join(problems)
    assert not (tmp_path / "secrets.env").exists()


def test_production_starts_with_everything_it_asks_for(tmp_path: Path) -> None:
    settings = load_settings(production(tmp_path, HOST="0.0.0.0"))

    assert (settings.production, settings.https, settings.log_format) == (True, True, "json")
    assert not (tmp_path / "secrets.env").exists()


@pytest.mark.parametrize(
    ("change", "word"),
    [
        ({"SECRET_KEY": ""}, "SECRET_KEY is missing"),
        ({"AUDIT_KEY": "kept-short"}, "AUDIT_KEY is shorter than 32 bytes"),
        ({"MASTER_KEY": "please-change-me-please-change-me-now"}, "MASTER_KEY is a value that"),
        ({"SECRET_KEY": "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"}, "SECRET_KEY is a value that"),
        ({"FLASK_DEBUG": "1"}, "FLASK_DEBUG is on"),
        ({"TRUSTED_HOSTS": ""}, "TRUSTED_HOSTS is empty"),
        ({"TRUSTED_HOSTS": "*"}, "TRUSTED_HOSTS is “*”"),
        ({"BASE_URL": "http://deckhand.example"}, "without https"),
        ({"REDIS_URL": "redis://cache.internal:6379/0"}, "REDIS_URL has no password"),
    ],
)
def test_production_refuses(tmp_path: Path, change: dict[str, str], word: str) -> None:
    problems = problems_of(production(tmp_path, **change))

    assert len(problems) == 1
    assert word in problems[0]


def test_production_takes_plain_http_only_by_a_clear_word(tmp_path: Path) -> None:
    plain = {"BASE_URL": "http://deckhand.example", "ALLOW_HTTP": "1"}

    assert load_settings(production(tmp_path, **plain)).allow_http


def test_production_refuses_one_key_used_twice(tmp_path: Path) -> None:
    key = secrets.token_urlsafe(48)

    problems = problems_of(production(tmp_path, SECRET_KEY=key, MASTER_KEY=key))

    assert "have to differ" in problems[0]


def test_other_machines_are_served_only_in_production(tmp_path: Path) -> None:
    problems = problems_of({"DATA": str(tmp_path), "HOST": "0.0.0.0"})

    assert "other machines" in problems[0]


def test_keys_that_others_can_read_are_refused(tmp_path: Path) -> None:
    load_settings({"DATA": str(tmp_path)})
    os.chmod(tmp_path / "secrets.env", 0o644)

    problems = problems_of({"DATA": str(tmp_path)})

    assert "chmod 600" in problems[0]


def test_a_data_folder_that_cannot_be_made_is_said_in_words() -> None:
    problems = problems_of({"DATA": "/proc/deckhand"})

    assert "can't be written" in problems[0]


def test_a_postgres_address_gets_the_driver_that_is_installed(tmp_path: Path) -> None:
    settings = load_settings({"DATA": str(tmp_path), "DATABASE_URL": "postgres://u@h/deckhand"})

    assert settings.database_url == "postgresql+psycopg://u@h/deckhand"


def test_settings_never_show_their_secrets(tmp_path: Path) -> None:
    settings = load_settings(production(tmp_path, SMTP_URL="smtp://ada:hunter2@mail"))

    shown = repr(settings)

    assert "hunter2" not in shown
    assert settings.master_key.get_secret_value() not in shown
