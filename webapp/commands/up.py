"""`deckhand up`: web, workers, steward and, where no REDIS_URL is set, Valkey, kept alive together.

Imports little: this process stays for as long as Deckhand runs.
"""

from __future__ import annotations

import errno
import json
import os
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, NoReturn

import click

from webapp.commands import embedded_valkey, exits
from webapp.commands.child import Child, Spec
from webapp.commands.instance import Claim, Held, address
from webapp.commands.logs import Logs
from webapp.commands.supervisor import Supervisor
from webapp.commands.watch import Watch

BACKLOG = 2048
READY_TRY_S = 2.0


@click.command()
@click.option(
    "--port", type=click.IntRange(0, 65535), help="Port to listen on; 0 takes a free one."
)
@click.option("--data", type=click.Path(path_type=Path), help="Folder for everything that is kept.")
@click.option("--workers", type=click.IntRange(1, 64), help="Worker processes.")
@click.option("--reload", is_flag=True, help="Start parts again when their code changes.")
def up(port: int | None, data: Path | None, workers: int | None, *, reload: bool) -> None:
    """Serve until Ctrl-C.

    Ends with 0 when it was stopped, 2 when a setting is wrong, 3 when the port is taken, 4 when
    another one holds the data folder, 5 when the database is behind or newer.
    """
    given = {"PORT": port, "DATA": data, "WORKERS": workers}
    os.environ.update({name: str(value) for name, value in given.items() if value is not None})
    flight = Preflight()
    facts = flight.facts()
    claim = _claim(Path(facts["data"]))
    listener = _listen(facts["host"], facts["port"])
    flight.go()
    sys.exit(House(facts, claim, listener, flight).run(reload=reload))


class Preflight:
    """The short-lived process that knows settings and database; see preflight.py."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "webapp.commands.preflight"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )

    def facts(self) -> dict[str, Any]:
        """Return the settings that the supervisor needs, or end with what is wrong with them."""
        assert self.process.stdout
        line = self.process.stdout.readline()
        if not line:
            sys.exit(self.process.wait())
        facts = json.loads(line)
        assert isinstance(facts, dict)
        return facts

    def go(self) -> None:
        """Let it look at the database: the folder is ours."""
        assert self.process.stdin
        self.process.stdin.write(b"go\n")
        self.process.stdin.close()

    def over(self) -> bool:
        return self.process.poll() is not None


class House:
    """One running Deckhand."""

    def __init__(
        self, facts: dict[str, Any], claim: Claim, listener: socket.socket, flight: Preflight
    ) -> None:
        self.facts, self.claim, self.listener, self.flight = facts, claim, listener, flight
        self.data = Path(facts["data"])
        self.port = listener.getsockname()[1]
        self.url = address(facts["host"], self.port)
        self.started = int(time.time())
        self.supervisor = Supervisor(Logs(self.data / "logs"), self._tell)

    def run(self, *, reload: bool) -> int:
        """Start everything, keep it alive until a signal, end it; return the exit code."""
        self.supervisor.listen()
        try:
            code = self._run(reload=reload)
        finally:
            if self.supervisor.signals == 1:
                self.supervisor.logs.say("stopping: running steps get 10 s to finish or hand back")
            self.flight.process.kill()
            self.supervisor.stop()
            self.claim.release()
        return code

    def _run(self, *, reload: bool) -> int:
        supervisor = self.supervisor
        redis = {} if not self.facts["own_redis"] else self._bring_valkey()
        if supervisor.run_until(self.flight.over) and self.flight.process.returncode:
            return self.flight.process.returncode
        web, worker, *rest = self._parts(redis)
        supervisor.add([web, worker])  # whoever waits for the first page has the processors
        if supervisor.run_until(self._answers):
            supervisor.ready = True
            supervisor.add(rest)
            supervisor.logs.announce(f"Ready at {self.url}")
            supervisor.add(
                [self._python("first-start", "webapp.commands.first_start", redis, once=True)]
            )
            if reload:
                supervisor.on_tick.append(Watch(supervisor).look)
            supervisor.run_until(lambda: False)
        if supervisor.failed:
            return self._explain(*supervisor.failed)
        return 0

    def _bring_valkey(self) -> dict[str, str]:
        spec, url = embedded_valkey.spec(self.data)
        self.supervisor.add([spec])
        self.supervisor.run_until(lambda: self.supervisor.children[0].state == "up")
        return {"REDIS_URL": url}

    def _parts(self, redis: dict[str, str]) -> list[Spec]:
        fd = self.listener.fileno()
        web = self._env(redis)
        web |= {"DECKHAND_LISTENER_FD": str(fd), "WEB_THREADS": str(self.facts["web_threads"])}
        gunicorn = [sys.executable, "-m", "gunicorn", "-c", "python:webapp.commands.serving"]
        workers = range(1, self.facts["workers"] + 1)
        return [
            Spec("web", [*gunicorn, "webapp.wsgi:app"], web, fds=(fd,)),
            *(self._python(f"worker-{number}", "jobs.worker", redis) for number in workers),
            self._python("steward", "jobs.steward", redis),
        ]

    def _python(self, name: str, module: str, redis: dict[str, str], *, once: bool = False) -> Spec:
        return Spec(name, [sys.executable, "-m", module], self._env(redis), once=once)

    def _env(self, redis: dict[str, str]) -> dict[str, str]:
        own = {"DATA": str(self.data), "PORT": str(self.port), "PYTHONUNBUFFERED": "1"}
        return own | redis

    def _answers(self) -> bool:
        web = next(child for child in self.supervisor.children if child.spec.name == "web")
        if web.state != "up":
            return False
        try:
            with socket.create_connection(self.listener.getsockname()[:2], READY_TRY_S) as client:
                lines = ("GET /health HTTP/1.1", f"Host: {self.facts['name']}", "Connection: close")
                client.sendall("\r\n".join([*lines, "", ""]).encode())
                return client.recv(64).startswith(b"HTTP/1.1 200")
        except OSError:
            return False

    def _explain(self, child: Child, code: int) -> int:
        name = child.spec.name
        print(f"{name} can't start. Why stands in {self.data}/logs/{name}.log", file=sys.stderr)
        return code if code in (exits.SETTINGS, exits.DATABASE) else 1

    def _tell(self, children: list[Child]) -> None:
        parts = [
            {"name": c.spec.name, "pid": c.pid, "state": c.state, "restarts": c.restarts}
            for c in children
            if not c.spec.once
        ]
        own = {"pid": os.getpid(), "url": self.url, "port": self.port, "started": self.started}
        own["name"] = self.facts["name"]
        self.claim.tell({**own, "children": parts})


def _claim(data: Path) -> Claim:
    try:
        return Claim(data)
    except Held as held:
        by = (
            f"process {held.holder['pid']}, at {held.holder['url']}"
            if held.holder
            else "another one"
        )
        _end(
            exits.FOLDER_HELD,
            f"Deckhand already runs on {data}: {by}. "
            "Stop it first, or choose another folder with --data.",
        )
    except OSError as error:
        _end(
            exits.SETTINGS,
            f"The data folder {data} can't be written ({error.strerror}). "
            "Choose another one with --data.",
        )


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(BACKLOG)
    except OSError as error:
        reason = {errno.EADDRINUSE: "another program has it", errno.EACCES: "you may not use it"}
        why = reason.get(error.errno or 0, error.strerror)
        _end(
            exits.PORT_TAKEN,
            f"Port {port} on {host} can't be used: {why}. "
            f"Choose another one, as in --port {port + 1}.",
        )
    return listener


def _end(code: int, sentence: str) -> NoReturn:
    print(sentence, file=sys.stderr)
    sys.exit(code)
