"""A PostgreSQL server of one's own, from the programs of the distribution."""

import contextlib
import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path
from typing import Any, Final, Self

from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import Process
from scripts.lab.waiting import wait_until

HOMES: Final = Path("/usr/lib/postgresql")
SYSTEM_USER: Final = "postgres"
USER: Final = "tester"
PROGRAM_TIMEOUT_S: Final = 60
SCALE: Final = 4
"""Of the tables of pgbench, so that as many clients seldom wait for each other."""


def find(name: str, *folders: Path) -> str | None:
    """The path of a program, or ``None``."""
    search = os.pathsep.join([*map(str, folders), os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])
    return shutil.which(name, path=search)


def find_server(name: str) -> str | None:
    """The path of a program of the server, newest version first, or ``None``."""
    return find(name, *sorted(HOMES.glob("*/bin"), reverse=True))


def missing() -> str:
    """The programs that are not there, for people; empty if all are."""
    absent = [name for name in ("initdb", "postgres") if find_server(name) is None]
    absent += [name for name in ("psql", "pgbench") if find(name) is None]
    return ", ".join(absent)


class PostgreSql:
    """A server at ``port`` while the block runs."""

    def __init__(self, port: int) -> None:
        self.environment = {**os.environ, "PGCONNECT_TIMEOUT": "10"}
        self.port = port
        self._stack = contextlib.ExitStack()

    def __enter__(self) -> Self:
        with contextlib.ExitStack() as stack:
            # Not below pytest's own folder, which other users cannot enter.
            folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-postgresql-")))
            self._start(folder, stack)
            self._stack = stack.pop_all()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stack.close()

    def _start(self, folder: Path, stack: contextlib.ExitStack) -> None:
        initdb = Path(find_server("initdb") or "initdb").resolve()
        # The server refuses to run as the superuser. Signals pass through setpriv, not runuser.
        user = (f"--reuid={SYSTEM_USER}", f"--regid={SYSTEM_USER}", "--init-groups")
        as_user = (find("setpriv"), *user, "--") if os.geteuid() == 0 else ()
        if as_user:
            shutil.chown(folder, SYSTEM_USER)
        data = folder / "data"
        making = ("--auth=trust", f"--username={USER}", "--no-sync", "--locale=C")
        run(*as_user, initdb, "-D", data, *making, cwd=folder)
        settings = {
            "port": self.port,
            "listen_addresses": LOOPBACK,
            "unix_socket_directories": "",
            "fsync": "off",
        }
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        command = (*as_user, initdb.with_name("postgres"), "-D", data, *options)
        with tempfile.NamedTemporaryFile(prefix="mesh-postgresql-", suffix=".log", delete=False) as log:
            stack.callback(Path(log.name).unlink)
        server = Process(command, log.name, cwd=folder)
        stack.callback(_stop, server)
        query = (find("psql"), *self.options(self.port), "-d", "postgres", "-c", "select 1")

        def answers() -> bool:
            if not server.is_running:
                raise AssertionError(server.output)
            return subprocess.run(list(map(str, query)), capture_output=True, check=False).returncode == 0

        wait_until(answers, "the database answers")

    def prepare(self) -> None:
        """Make the tables of pgbench."""
        run(find("pgbench"), *self.options(self.port), "-i", "-q", "-s", SCALE, "postgres")

    def pgbench(self, port: int, clients: int, seconds: float) -> list[str]:
        """The command of a load through ``port`` that logs each transaction into its folder."""
        load = ("-n", "-c", str(clients), "-j", "2", "-T", str(round(seconds)), "--log")
        return [find("pgbench") or "pgbench", *self.options(port), *load, "postgres"]

    @staticmethod
    def options(port: int) -> tuple[str, ...]:
        """Of clients that reach it through ``port``."""
        return ("-h", LOOPBACK, "-p", str(port), "-U", USER)


def _stop(server: Process) -> None:
    if server.is_running:
        server.signal(signal.SIGINT)  # SIGTERM would wait until the last client has gone
    with contextlib.suppress(subprocess.TimeoutExpired):
        server.wait()
    server.kill()


def run(*command: object, **options: Any) -> Any:
    """Run a client to its end; what it writes to standard output. ``options`` are for ``subprocess.run``.

    Raises:
        AssertionError: it ended with another status than 0.
        subprocess.TimeoutExpired: it ran for longer than ``PROGRAM_TIMEOUT_S``.
    """
    ended: subprocess.CompletedProcess[Any] = subprocess.run(
        list(map(str, command)), capture_output=True, timeout=PROGRAM_TIMEOUT_S, check=False, **options
    )
    if ended.returncode:
        raise AssertionError((command, ended.stdout[-2000:], ended.stderr[-2000:]))
    return ended.stdout
