"""The app and the people who use it. Read from top to bottom: app, rows, browsers, programs."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest
from flask import Flask
from flask.testing import FlaskClient
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Dialect, Engine
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.orm import Session
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule
from werkzeug.test import TestResponse

from webapp.access.context import Actor, Context
from webapp.access.permissions import Role
from webapp.accounts import service as accounts
from webapp.accounts.models import User
from webapp.accounts.passwords import hash_password
from webapp.api_keys import service as api_keys
from webapp.api_keys.schemas import NewKey
from webapp.app import create_app
from webapp.kernel import logs
from webapp.kernel.db import writing
from webapp.kernel.hints import Ring, Tell
from webapp.kernel.settings import Settings
from webapp.organizations import service as organizations
from webapp.organizations.models import Organization
from webapp.web.database import db

PASSWORD = "seven blue boats at noon"
PASSWORD_HASH = hash_password(PASSWORD)


class HeardBell:
    """Keeps what was sent, in order, and wakes the worker that a test has, if any."""

    def __init__(self) -> None:
        self.heard: list[Ring | Tell] = []
        self.on_ring: Callable[[], None] = lambda: None

    def send(self, hints: list[Ring | Tell]) -> None:
        self.heard += hints
        if any(isinstance(hint, Ring) for hint in hints):
            self.on_ring()


@pytest.fixture
def bell() -> HeardBell:
    return HeardBell()


class Compiled(BytecodeCache):
    """Templates compiled once for all tests: it took half of their time."""

    def __init__(self) -> None:
        self.codes: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if bucket.key in self.codes:
            bucket.bytecode_from_string(self.codes[bucket.key])

    def dump_bytecode(self, bucket: Bucket) -> None:
        self.codes[bucket.key] = bucket.bytecode_to_string()


COMPILED = Compiled()


def _remember_routes() -> None:
    """Compile what builds the address of a route once for all applications of a session.

    It depends on the route alone, and took a fifth of the tests' time.
    """
    compiled: dict[Any, Any] = {}
    compile_builder = Rule._compile_builder

    def remembered(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, repr(rule.defaults), append_unknown, tuple(rule._trace))
        if key not in compiled:
            compiled[key] = compile_builder(rule, append_unknown)
        return compiled[key]

    Rule._compile_builder = remembered  # type: ignore[method-assign]


_remember_routes()


def _remember_statements() -> None:
    """Compile each statement once for all databases of a session: it took a quarter of the time.

    SQLAlchemy keeps them by engine and by dialect, and each test has new ones.
    """
    compiled: dict[type[Dialect], LRUCache[Any, Any]] = defaultdict(lambda: LRUCache(5_000))
    of_all = property(lambda engine: compiled[type(engine.dialect)], lambda engine, own: None)
    Engine._compiled_cache = of_all  # type: ignore[assignment]
    DefaultDialect.__eq__ = lambda one, other: type(one) is type(other)  # type: ignore[method-assign]
    DefaultDialect.__hash__ = lambda one: hash(type(one))  # type: ignore[method-assign]


_remember_statements()


@pytest.fixture
def app(settings: Settings, bell: HeardBell) -> Iterator[Flask]:
    """The whole application on a database of this test's own, counting in this process."""
    logs.configure("text", "warning")
    app = create_app(settings, bell=bell)
    app.jinja_env.bytecode_cache = COMPILED
    yield app
    with app.app_context():
        db.engine.dispose()


@pytest.fixture
def writer(app: Flask) -> Iterator[Session]:
    """A session for rows that a test begins with; commit what others must see."""
    with app.app_context(), writing(), Session(db.engine, expire_on_commit=False) as session:
        yield session


@dataclass(frozen=True, slots=True)
class House:
    """An organization with one person of each role, all with the same password."""

    organization_id: UUID
    slug: str
    people: dict[Role, UUID]

    def email(self, role: Role) -> str:
        return f"{role.value}@{self.slug}.example"


MakeHouse = Callable[[str], House]


@pytest.fixture
def make_house(app: Flask) -> MakeHouse:
    """Return a function that makes an organization with an owner, admin, member and viewer."""

    def make(slug: str) -> House:
        with app.app_context(), writing(), Session(db.engine) as session:
            organization = Organization(slug=slug, name=slug.capitalize())
            session.add(organization)
            session.flush()
            people = {}
            for role in Role:
                person = User(
                    name=f"{role.value.capitalize()} of {slug}",
                    email=f"{role.value}@{slug}.example",
                    email_folded=f"{role.value}@{slug}.example",
                    password_hash=PASSWORD_HASH,
                    staff=role is Role.OWNER and slug == "acme",
                )
                session.add(person)
                session.flush()
                organizations.add_member(session, organization.id, person.id, role)
                people[role] = person.id
            session.commit()
            return House(organization.id, slug, people)

    return make


@pytest.fixture
def acme(make_house: MakeHouse) -> House:
    return make_house("acme")


@pytest.fixture
def other(make_house: MakeHouse) -> House:
    """Another organization on the same machine."""
    return make_house("other")


class Browser(FlaskClient):
    """A browser: keeps cookies and sends the token that stands in the forms."""

    token: str = ""

    def open(self, *args: object, **kwargs: object) -> TestResponse:
        answer: TestResponse = super().open(*args, **kwargs)  # type: ignore[arg-type]
        found = re.search(rb'name="csrf_token" value="([^"]+)"', answer.get_data())
        if found:
            self.token = found[1].decode()
        return answer

    def submit(self, url: str, htmx: bool = False, **fields: object) -> TestResponse:
        """Post a form with its token, by script or plainly."""
        headers = {"HX-Request": "true"} if htmx else {}
        return self.post(url, data={"csrf_token": self.token, **fields}, headers=headers)


@pytest.fixture
def guest(app: Flask) -> Browser:
    """A browser in which nobody is signed in."""
    app.test_client_class = Browser
    made = app.test_client()
    assert isinstance(made, Browser)
    return made


SignedIn = Callable[[House, Role], Browser]


@pytest.fixture
def signed_in(app: Flask) -> SignedIn:
    """Return a function that gives a browser in which someone is signed in."""

    def sign_in(house: House, role: Role) -> Browser:
        app.test_client_class = Browser
        made = app.test_client()
        assert isinstance(made, Browser)
        with app.app_context(), writing(), Session(db.engine) as session:
            token, _ = accounts.begin_session(session, house.people[role], "127.0.0.1", "Test")
            session.commit()
        made.set_cookie("sid", token)
        made.get("/me")
        return made

    return sign_in


@pytest.fixture
def owner(acme: House, signed_in: SignedIn) -> Browser:
    return signed_in(acme, Role.OWNER)


@pytest.fixture
def member(acme: House, signed_in: SignedIn) -> Browser:
    return signed_in(acme, Role.MEMBER)


@pytest.fixture
def viewer(acme: House, signed_in: SignedIn) -> Browser:
    """May look, not change."""
    return signed_in(acme, Role.VIEWER)


@pytest.fixture
def stranger(other: House, signed_in: SignedIn) -> Browser:
    """An owner, but of another organization."""
    return signed_in(other, Role.OWNER)


def context(session: Session, house: House, settings: Settings, role: Role = Role.OWNER) -> Context:
    actor = Actor("person", house.people[role], role.value.capitalize(), role)
    return Context(session, house.organization_id, actor, settings)


@pytest.fixture
def ctx(writer: Session, acme: House, settings: Settings) -> Context:
    """The owner of Acme at work, inside one transaction."""
    return context(writer, acme, settings)


MakeKey = Callable[..., str]


@pytest.fixture
def make_key(app: Flask, settings: Settings) -> MakeKey:
    """Return a function that makes an API key and returns its text."""

    def make(house: House, role: Role = Role.ADMIN) -> str:
        with app.app_context(), writing(), Session(db.engine) as session:
            made = api_keys.create_key(
                context(session, house, settings), NewKey(name="Test", role=role)
            )
            session.commit()
        return made.key

    return make


class Program(FlaskClient):
    """A program with an API key."""

    key: str = ""

    def open(self, *args: object, **kwargs: object) -> TestResponse:
        headers = {"X-API-Key": self.key, **dict(kwargs.pop("headers", None) or {})}  # type: ignore[call-overload]
        return super().open(*args, headers=headers, **kwargs)  # type: ignore[arg-type]


@pytest.fixture
def program(app: Flask, acme: House, make_key: MakeKey) -> Program:
    """A program with an admin's key of Acme."""
    client = Program(app, app.response_class, use_cookies=False)
    client.key = make_key(acme)
    return client


def body(answer: TestResponse) -> dict[str, Any]:
    """Return the JSON object of an answer."""
    found = answer.get_json()
    assert isinstance(found, dict), answer.text
    return found
