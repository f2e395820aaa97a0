"""A supervisor with small real children, as a process: python -m tests.supervisor.small_house DATA."""

import os
import sys
from pathlib import Path

from webapp.commands import embedded_valkey
from webapp.commands.child import Spec
from webapp.commands.instance import Claim
from webapp.commands.logs import Logs
from webapp.commands.supervisor import Supervisor

BEATS = "import time; from webapp.kernel.heartbeat import beat; beat(); time.sleep(600)"


def main(data: Path) -> int:
    claim = Claim(data)

    def tell(children: list) -> None:
        parts = [{"name": c.spec.name, "pid": c.pid, "state": c.state} for c in children]
        claim.tell({"pid": os.getpid(), "url": "", "children": parts})

    supervisor = Supervisor(Logs(data / "logs"), tell)
    supervisor.listen()
    valkey, _ = embedded_valkey.spec(data)
    supervisor.add([valkey, *(Spec(n, [sys.executable, "-c", BEATS]) for n in ("one", "two"))])
    supervisor.ready = supervisor.run_until(
        lambda: all(child.state == "up" for child in supervisor.children)
    )
    print("Ready", flush=True)
    supervisor.run_until(lambda: False)
    supervisor.stop()
    claim.release()
    return 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
