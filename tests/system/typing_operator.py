"""Types the commands of a page on the machines that it names, which are real agents on loopback."""

import contextlib
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import yaml
from click.testing import CliRunner

from mesh.agent.cli import main
from mesh.agent.files import KeyUse, write_key
from mesh.trust.identity import Identity, encode_public_key
from scripts.lab.agent_processes import AgentProcess
from scripts.lab.clients import connect
from scripts.lab.meshes import Mesh, complaints
from scripts.lab.ports import LOOPBACK
from scripts.lab.processes import Process
from scripts.lab.services import Service
from scripts.lab.waiting import wait_until
from tests.lab_meshes import MESHES
from tests.recipes import is_printed, lines_of

READING = re.compile(
    r"curl -s "
    r"|mesh (?:--at \w+ )?"
    r"(?:check|status|services|test|trace|ping|agents|authorities|connections|events|plan|audit)\b(?!.*--close)"
)
"""What changes nothing may be asked again: a person is not so fast that the mesh would not know yet."""
PATIENCE_S = 15.0
WEB_PAGE = b"HTTP/1.0 200 OK\r\nContent-Length: 6\r\n\r\nhello\n"


def web(client):
    with contextlib.suppress(OSError):
        if client.recv(4096):
            client.sendall(WEB_PAGE)


class Operator:
    """Types what the page says, on the machine that it names, and keeps what is printed."""

    def __init__(self, mesh, folder, later=()):
        self.mesh = mesh
        self.output = ""
        self.office = folder / "office"
        self.office.mkdir()
        seed = os.urandom(32)
        mesh.authority = Identity(seed)
        write_key(self.office / "authority.key", KeyUse.AUTHORITY, seed)
        (self.office / "authority.pub").write_text(encode_public_key(mesh.authority.public_key) + "\n")
        self.branch, self.relay, self.hq, self.hq2 = self.every = [
            mesh.agent(name) for name in ("branch", "relay", "hq", "hq2")
        ]
        for agent in (self.branch, self.hq, self.hq2):
            agent.dial(self.relay)
        self.branch.certify(may_manage=True)
        self.later = []
        for name in later:
            home = mesh.folder / name
            home.mkdir()
            self.later.append(AgentProcess(name, home, {}, mesh.ports.reserve()))
        self.agents = {agent.name: agent for agent in (*self.every, *self.later)}
        self.ports = {port: mesh.ports.reserve() for port in (8000, 8001, 9000, 9001, 9002)}
        self.said = {}
        """What stands for a word in capitals."""

    # -- places ----------------------------------------------------------------------------------------------

    def folder(self, place):
        return self.office if place == "office" else self.agents[place].folder

    def here(self, text, place):
        """The text with what there is on these machines in the place of the page's examples."""
        text = text.replace("relay.example.com:4433", f"{LOOPBACK}:{self.relay.accept_port}")
        for port, own in self.ports.items():
            text = re.sub(rf"\b{port}\b", str(own), text)
        if place in self.agents:
            text = re.sub(r"\b8080\b", str(self.agents[place].http_port), text)
        named = re.search(r"--name (\S+)", text)
        if named and "KEY" in text:
            key = self.public_key(self.folder(named[1]))
            text = re.sub(r"\bKEY\b", key, text)
        if re.search(r"\bID\b", text):
            rows = json.loads(self.run(place, "mesh connections --json").stdout)
            rows = rows if isinstance(rows, list) else rows["connections"]
            text = re.sub(r"\bID\b", rows[0]["id"], text)
        for name in ("AUTHORITY", "AUTHORITY2", "AUTHORITY3"):
            public = self.office / f"{name.lower()}.pub"
            if public.exists():
                text = re.sub(rf"\b{name}\b", public.read_text().strip(), text)
        for word, value in self.said.items():
            text = re.sub(rf"\b{word}\b", value, text)
        return text

    def public_key(self, folder):
        done = self.run(folder.name, "mesh identity show identity.key")
        return re.search(r"public key: (\S+)", done.stdout)[1]

    # -- doing -----------------------------------------------------------------------------------------------

    def do(self, step):
        places = tuple(agent.name for agent in self.every) if step.places == ("every",) else step.places
        for place in places or ("hq",):
            if step.kind == "yaml":
                self.edit(place, step.text)
            if step.kind == "sh":
                for line in lines_of(step.text):
                    names = [agent.name for agent in self.every] if "NAME" in line else [""]
                    for name in names:
                        self.type(place, re.sub(r"\bNAME\b", name, line))

    def edit(self, place, text):
        """Have the configuration say this, too."""
        file = self.folder(place) / "config.yaml"
        config = yaml.safe_load(file.read_text()) if file.exists() else {}
        for section, value in yaml.safe_load(self.here(text, place)).items():
            config[section] = config[section] | value if isinstance(config.get(section), dict) else value
        file.write_text(yaml.safe_dump(config, sort_keys=False))

    def type(self, place, line):
        """Run one line; what it prints is kept.

        Raises:
            AssertionError: it ended with another status than 0.
        """
        line, _, remark = line.partition("#")
        line = line.rstrip()
        if remark == " until Ctrl-C":
            self.type_and_interrupt(place, line)
            return
        if line.startswith("sudo systemctl "):
            self.manage(self.agents[place], line.split()[2])
            return
        deadline = time.monotonic() + PATIENCE_S
        while True:
            done = self.run(place, self.here(line, place))
            if not done.exit_code or not READING.match(line) or time.monotonic() > deadline:
                break
            time.sleep(0.1)
        self.output += done.stdout
        expected = (0, 1) if remark.startswith(" ends with 1") else (0,)
        assert done.exit_code in expected, (place, line, done.stdout, done.stderr)
        if line.startswith("mesh invite"):
            self.said["TOKEN"] = done.stdout.strip()
        if line.startswith("mesh token new"):
            self.said["TOKEN"] = done.stdout.splitlines()[0]
            self.said["HASH"] = re.search(r"hash: \"?([0-9a-f]{64})", done.stdout)[1]

    def run(self, place, line):
        words = shlex.split(line) if re.fullmatch(r"mesh [^|$>]*", line) else []
        if words:
            with contextlib.chdir(self.folder(place)):
                return CliRunner().invoke(main, words[1:])
        copied = re.fullmatch(r"scp (\S+) (\w+):agent/(\S*)", line)
        if copied:
            shutil.copy(self.office / copied[1], self.folder(copied[2]) / (copied[3] or copied[1]))
            line = "true"
        fetched = re.fullmatch(r"scp (\w+):agent/(\S+) (\S+)", line)
        if fetched:
            shutil.copy(self.folder(fetched[1]) / fetched[2], self.office / fetched[3])
            line = "true"
        path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
        done = subprocess.run(
            ["bash", "-o", "pipefail", "-c", line],
            check=False,
            capture_output=True,
            text=True,
            cwd=self.folder(place),
            env={**os.environ, "PATH": path},
            timeout=30,
        )
        done.exit_code = done.returncode
        return done

    def type_and_interrupt(self, place, line):
        command = [Path(sys.executable).parent / "mesh", *shlex.split(self.here(line, place))[1:]]
        running = Process(command, self.office / "held.log", cwd=self.folder(place))
        try:
            port = int(wait_until(lambda: re.search(r"^(\d+)\n", running.output), "it prints its port")[1])
            wait_until(lambda: connect(port).close() or True, "the port is open")
            running.signal(signal.SIGINT)
            assert running.wait() == 0
        finally:
            running.kill()

    def manage(self, agent, verb):
        if verb in {"restart", "disable", "stop"}:
            agent.stop()
        if verb in {"restart", "start"}:
            agent.config = yaml.safe_load(agent.config_file.read_text())
            if "http" in agent.config:  # what mesh join writes may be taken on this machine
                agent.config["http"]["address"] = f"{LOOPBACK}:{agent.http_port}"
            agent.start(wait=False)
            wait_until(lambda: "runs on" in agent.process.output, f"{agent.name} runs")


class Visitors:
    """Fetch the page through a port of ``branch``, one after the other, while the block runs."""

    def __init__(self, port):
        self.port, self.count, self.failures = port, 0, []
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._visit, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._end.set()
        self._thread.join(30)

    def _visit(self):
        while not self._end.wait(0.04):
            self.count += 1
            try:
                with connect(self.port) as client:
                    client.sendall(b"GET / HTTP/1.0\r\n\r\n")
                    if client.recv(4096) != WEB_PAGE:
                        self.failures.append("another answer")
            except OSError as error:
                self.failures.append(repr(error))


@contextlib.contextmanager
def working(request, folder, later=()):
    """An operator, and what there is to be operated; not started yet."""
    (folder / "mesh").mkdir()
    mesh = Mesh(folder / "mesh")
    request.node.stash.setdefault(MESHES, []).append(mesh)
    made = Operator(mesh, folder, later)
    try:
        with Service(web, port=made.ports[8000]), Service(web, port=made.ports[8001]):
            yield made
        assert complaints(mesh) == []
    finally:
        for agent in made.later:
            if agent.was_started:
                agent.kill()
        mesh.close()


@contextlib.contextmanager
def noted(step):
    """Say in what goes wrong in which recipe that was."""
    try:
        yield
    except Exception as error:
        error.add_note(f"in the recipe: {step.recipe}, at {', '.join(step.places)}:\n{step.text}")
        raise


def see(operator, step, before):
    """What is to be printed was, or is as soon as the mesh knows."""
    places = step.places if step.places != ("every",) else ("branch",)
    for place in places[:1]:
        wanted = operator.here(step.text, place).splitlines()
        reading = [line for line in lines_of(before.text) if READING.match(line)]

        def missing(wanted=wanted):
            return [line for line in wanted if not is_printed(line, operator.output)]

        deadline = time.monotonic() + PATIENCE_S
        while missing() and reading and time.monotonic() < deadline:
            for line in reading:
                operator.type(place, line)
        assert missing() == [], operator.output
