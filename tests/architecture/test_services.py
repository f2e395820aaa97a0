"""The rules of the house that no linter knows."""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import jobs
import webapp
from webapp.access.context import Context
from webapp.live.bell import POKE

ROOT = Path(webapp.__file__).parent
RAW_SQL = {
    # Where statements may be written as text, each with its reason.
    "access/idempotency.py",  # lock_timeout, a setting of PostgreSQL
    "access/tenancy.py",  # tells PostgreSQL the organization
    "commands/boot_checks.py",  # asks the database how it runs, and no table
    "commands/preflight.py",  # the revision of the schema, before SQLAlchemy is loaded
}


def service_functions() -> Iterator[tuple[str, object]]:
    """Yield every public function of a feature that takes a context first."""
    for found in pkgutil.walk_packages([str(ROOT)], "webapp."):
        if found.name.split(".")[1] in {"engine", "kernel", "web", "commands", "wsgi", "app"}:
            continue
        module: ModuleType = importlib.import_module(found.name)
        parts = found.name.split(".")
        if {"pages", "api", "topics"} & set(parts) or parts[-1].endswith(("queries", "_api")):
            continue
        for name, function in inspect.getmembers(module, inspect.isfunction):
            if name.startswith("_") or function.__module__ != found.name:
                continue
            first = next(iter(inspect.signature(function).parameters.values()), None)
            if first is not None and first.annotation in {Context, "Context"}:
                yield f"{found.name}.{name}", function


def test_every_service_function_says_which_permission_it_needs() -> None:
    silent = [
        name
        for name, function in service_functions()
        if not hasattr(function, "permission") and name not in INSIDE
    ]

    assert silent == []


INSIDE = {
    # Steps of other service functions: called by them only, inside their permission.
    "webapp.access.idempotency.claim",
    "webapp.access.idempotency.keep",
    "webapp.audit.service.record",
    "webapp.files.service.shelf",
    "webapp.runs.approvals.tell_run",
    "webapp.runs.locking.lock_families",
    "webapp.runs.looking.plan_of_run",
    "webapp.runs.pausing.back_in_line",
    "webapp.runs.pausing.rest_with_parent",
    "webapp.runs.seeing.labels_in",
    "webapp.runs.service.add_event",
    "webapp.runs.service.children_of",
    "webapp.runs.service.close_cancelled",
    "webapp.runs.service.close_run",
    "webapp.runs.service.deliver",
    "webapp.runs.service.lock_lease",
    "webapp.runs.service.runs_room",
    "webapp.runs.service.wake",
    "webapp.runs.signals.send",
    "webapp.runs.starting.accept",
    "webapp.spending.service.interrupt_calls",
    "webapp.workflows.history.change",
    "webapp.workflows.pace.gate_to_change",
}


def test_every_name_on_the_list_of_inner_functions_still_exists() -> None:
    assert INSIDE - {name for name, _ in service_functions()} == set()


def test_sql_is_written_as_text_in_few_places_only() -> None:
    found = set()
    for path in sorted(ROOT.rglob("*.py")):
        inside = path.relative_to(ROOT).as_posix()
        tree = ast.parse(path.read_text())
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and _is_execution_of_text(node):
                found.add(inside)

    assert found - RAW_SQL == set()


def _is_execution_of_text(call: ast.Call) -> bool:
    """Whether `session.execute(text("…"))` or `execute("…")` stands here."""
    if not (isinstance(call.func, ast.Attribute) and call.func.attr in {"execute", "scalar"}):
        return False
    first = call.args[0] if call.args else None
    if isinstance(first, ast.Constant) and isinstance(first.value, str):
        # A driver's own connection, as the dialect uses it, has no organization to forget.
        return not (isinstance(call.func.value, ast.Name) and "connection" in call.func.value.id)
    return (
        isinstance(first, ast.Call) and isinstance(first.func, ast.Name) and first.func.id == "text"
    )


def test_no_code_is_made_from_data() -> None:
    forbidden = {"eval", "exec", "compile", "__import__"}
    modules = {"pickle", "marshal", "shelve"}
    found = []
    for path in [*ROOT.rglob("*.py"), *Path(jobs.__file__).parent.rglob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text())):
            match node:
                case ast.Call(func=ast.Name(id=name)) if name in forbidden:
                    found.append(f"{path.name}:{node.lineno} {name}")
                case ast.Import(names=names) if {n.name for n in names} & modules:
                    found.append(f"{path.name}:{node.lineno} import")
                case ast.keyword(arg="shell", value=ast.Constant(value=True)):
                    found.append(f"{path.name} shell=True")

    assert found == []


def test_only_owners_of_a_transaction_commit() -> None:
    owners = {
        "web/doors.py",
        "web/database.py",
        "runs/execution/outside.py",
        "runs/execution/children.py",
        "commands/unit.py",
    }
    found = set()
    for path in ROOT.rglob("*.py"):
        inside = path.relative_to(ROOT).as_posix()
        for node in ast.walk(ast.parse(path.read_text())):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and node.func.attr == "commit"
                and isinstance(node.func.value, ast.Name | ast.Attribute)
                and "session" in ast.unparse(node.func.value)
            ):
                found.add(inside)

    assert found - owners == set()


def test_the_job_that_rings_workers_exists_under_its_name() -> None:
    module, _, function = POKE.rpartition(".")

    assert callable(getattr(importlib.import_module(module), function))


def test_every_module_with_tables_is_loaded_by_processes_outside_the_web() -> None:
    from webapp.tables import MODULES

    declared = {
        "webapp." + path.relative_to(ROOT).with_suffix("").as_posix().replace("/", ".")
        for path in ROOT.rglob("*.py")
        if "__tablename__" in path.read_text()
    }

    assert declared == set(MODULES)
