"""What a newcomer types in the first minutes, on two machines, and what the machines say."""

import contextlib
import json
import os
import select
import shutil
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from dataclasses import dataclass
from fcntl import ioctl
from pathlib import Path
from typing import Final

from scripts.lab.ports import LOOPBACK
from scripts.lab.postgresql import USER, PostgreSql
from scripts.lab.postgresql import missing as missing_database
from scripts.lab.processes import ROOT, Process, python, sigterm_unwinds
from scripts.lab.two_hosts import TwoHosts, missing
from scripts.lab.waiting import wait_until

NEAR: Final = "branch"
FAR: Final = "hq"
COMMAND_TIMEOUT_S: Final = 60.0
INSTALL_TIMEOUT_S: Final = 300.0
GREETING: Final = "hello from hq"
EXIT_IMPOSSIBLE: Final = 2
ROWS, COLUMNS = 50, 120
"""Of the terminal."""


@dataclass(frozen=True)
class Served:
    """A service at the far machine, and how it is used at the near one."""

    key: str
    pattern: str
    """Of the keys that the far agent may offer."""
    port: int
    """The same at both."""
    use: str


DATABASE: Final = Served(
    "postgres-main",
    "postgres-*",
    5432,
    "psql -h 127.0.0.1 -p 5432 -c 'select * from greeting'",
)
SITE: Final = Served(
    "my-site", "my-*", 8000, "curl --silent --show-error --max-time 20 http://127.0.0.1:8000/"
)


class Stuck(Exception):  # noqa: N818 - what a newcomer is
    """A command did not do what it should; its output has been shown."""


def play(*, installed: bool) -> int:
    """Play it all; the exit status.

    Args:
        installed: use this interpreter's environment, and leave out the installation.
    """
    lacks = missing()
    if lacks:
        print(f"two machines on one need {lacks}", file=sys.stderr)
        return EXIT_IMPOSSIBLE
    began = time.monotonic()
    with contextlib.ExitStack() as stack:
        stack.enter_context(sigterm_unwinds())
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="mesh-first-minutes-")))
        hosts = stack.enter_context(TwoHosts(NEAR, FAR))
        newcomer = Newcomer(hosts, folder, stack)
        try:
            if not installed:
                newcomer.installs()
            newcomer.makes_a_mesh()
            newcomer.reaches_a_service()
        except Stuck as stuck:
            print(f"\n==> It did not work: {stuck}", flush=True)
            return 1
        print(f"\n==> Done in {time.monotonic() - began:.0f} s. Everything is stopped.", flush=True)
    return 0


class Newcomer:
    """A person with a terminal on each machine.

    Args:
        hosts: the machines.
        folder: has the homes.
        stack: ends what is started.
    """

    def __init__(self, hosts: TwoHosts, folder: Path, stack: contextlib.ExitStack) -> None:
        self._hosts = hosts
        self._stack = stack
        self._homes = {name: folder / name for name in (NEAR, FAR)}
        for home in self._homes.values():
            home.mkdir()
        self._programs = Path(sys.executable).parent
        self._service = SITE if missing_database() else DATABASE

    def installs(self) -> None:
        """From a clone, as README.md says; the machines share their programs, and have no internet."""
        clone = self._homes[NEAR] / "mesh-agent"
        self._says(NEAR, f"git clone --quiet {ROOT} mesh-agent", shown="git clone mesh-agent")
        self._says(NEAR, "python3 -m venv ~/mesh && . ~/mesh/bin/activate", is_online=True)
        self._programs = self._homes[NEAR] / "mesh" / "bin"
        pip = "pip install --quiet --disable-pip-version-check"
        self._says(NEAR, f"{pip} .", where=clone, is_online=True, timeout_s=INSTALL_TIMEOUT_S)
        print(f"\n    (and the same at {FAR})", flush=True)

    def makes_a_mesh(self) -> None:
        """Keys, certificates and configurations; then the agents."""
        near, far = self._homes[NEAR], self._homes[FAR]
        rights = f"{NEAR}:use=*,{FAR}:relay:register={self._service.pattern}"
        relay = f"{FAR}={self._hosts.addresses[FAR]}:4433"
        self._says(NEAR, f"mesh init ~/my-mesh --agents '{rights}' --relay {relay}")
        self._says(NEAR, f"cp -r my-mesh/{FAR} {far}/agent", shown=f"scp -r my-mesh/{FAR} {FAR}:agent")
        self._says(NEAR, f"cp -r my-mesh/{NEAR} agent")
        for name, home in ((FAR, far), (NEAR, near)):
            print(f"\n{name}:~/agent$ mesh agent config.yaml &", flush=True)
            command = [*self._hosts.on(name), self._programs / "mesh", "agent", "config.yaml"]
            agent = Process(command, home / "agent.log", cwd=home / "agent")
            self._stack.callback(agent.kill)
            self._waits(name, agent)
            print(agent.output, end="", flush=True)

    def reaches_a_service(self) -> None:
        """At one machine it is offered, at the other it is used."""
        service = self._service
        if service is DATABASE:
            self._starts_a_database()
        else:
            self._starts_a_site()
        key, port = service.key, service.port
        self._says(FAR, f"mesh expose {key} localhost:{port} --save", where=self._homes[FAR] / "agent")
        agent = self._homes[NEAR] / "agent"
        self._says(NEAR, f"mesh listen {key} 127.0.0.1:{port} --save", where=agent)
        self._waits_until_open()
        if GREETING not in self._says(NEAR, service.use):
            raise Stuck("the greeting is not there")
        for command in ("status", "test", "services"):
            self._says(NEAR, f"mesh {command}", where=agent)

    def _starts_a_database(self) -> None:
        database = PostgreSql(DATABASE.port)
        self._hosts.call(FAR, lambda: self._stack.enter_context(database))
        make = f"create table greeting as select '{GREETING}' as text"
        self._says(FAR, f'psql -q -h {LOOPBACK} -c "{make}"')

    def _starts_a_site(self) -> None:
        home, port = self._homes[FAR], SITE.port
        (home / "index.html").write_text(f"{GREETING}\n")
        command = [
            *self._hosts.on(FAR),
            *python("-m", "http.server", port, "--bind", LOOPBACK, "--directory", home),
        ]
        site = Process(command, home / "site.log")
        self._stack.callback(site.kill)
        print(f"\n{FAR}:~$ python3 -m http.server {port} &", flush=True)

    def _waits(self, name: str, agent: Process) -> None:
        def is_there() -> bool:
            if not agent.is_running:
                print(agent.output, flush=True)
                raise Stuck(f"the agent {name} has ended with {agent.status}")
            return "runs on" in agent.output

        wait_until(is_there, f"{name} runs")

    def _waits_until_open(self) -> None:
        """A person is not so fast that it would not be."""
        command = [*self._hosts.on(NEAR), self._programs / "mesh", "status", "--json"]
        agent = self._homes[NEAR] / "agent"

        def is_open() -> bool:
            done = subprocess.run(
                list(map(str, command)), cwd=agent, check=False, capture_output=True, timeout=20
            )
            listeners = json.loads(done.stdout)["listeners"]
            return all(each["state"] == "open" for each in listeners)

        wait_until(is_open, "the listener is open")

    def _says(
        self,
        name: str,
        command: str,
        *,
        where: Path | None = None,
        shown: str = "",
        is_online: bool = False,
        timeout_s: float = COMMAND_TIMEOUT_S,
    ) -> str:
        """Type a command on a machine; what came.

        Args:
            name: of the machine.
            command: for a shell.
            where: the folder; the home unless one is given.
            shown: what it would be on two real machines.
            is_online: it needs the internet, and so it runs beside the machines.
            timeout_s: it is stuck if it takes longer.

        Raises:
            Stuck: it failed.
        """
        home = self._homes[name]
        place = "~" if where is None else f"~/{where.relative_to(home)}"
        print(f"\n{name}:{place}$ {shown or command}", flush=True)
        environment = {
            **os.environ,
            "HOME": str(home),
            "PATH": f"{self._programs}{os.pathsep}{os.environ.get('PATH', os.defpath)}",
            "TERM": "dumb",
            "NO_COLOR": "1",
            "PGCONNECT_TIMEOUT": "20",
            "PGUSER": USER,
            "PGDATABASE": "postgres",
        }
        before = () if is_online else self._hosts.on(name)
        output, status = _run_at_terminal(
            [*before, shutil.which("bash") or "bash", "-c", command], where or home, environment, timeout_s
        )
        if status:
            raise Stuck(f"{command!r} ended with status {status}")
        return output


def _run_at_terminal(
    command: Sequence[object], where: Path, environment: dict[str, str], timeout_s: float
) -> tuple[str, int]:
    """What a command printed at a terminal of its own, which is printed here too; and its exit status.

    Raises:
        Stuck: it did not end in time.
    """
    ours, its = os.openpty()
    ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    process = subprocess.Popen(
        list(map(str, command)),
        cwd=where,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=its,
        stderr=its,
        start_new_session=True,
    )
    os.close(its)
    deadline, output = time.monotonic() + timeout_s, b""
    try:
        while True:
            if not select.select([ours], [], [], max(0.0, deadline - time.monotonic()))[0]:
                raise Stuck(f"no end within {timeout_s:g} s")
            try:
                data = os.read(ours, 65_536)
            except OSError:  # how a terminal says that nobody writes to it any more
                break
            if not data:
                break
            output += data
            sys.stdout.write(data.decode(errors="replace").replace("\r\n", "\n"))
            sys.stdout.flush()
        return output.decode(errors="replace"), process.wait(max(1.0, deadline - time.monotonic()))
    except subprocess.TimeoutExpired:
        raise Stuck(f"no end within {timeout_s:g} s") from None
    finally:
        process.kill()
        process.wait()
        os.close(ours)
