"""Meshes of real agents: keys, certificates, configurations, processes and what their dashboards say."""

import contextlib
import http.client
import itertools
import json
import os
import signal
import socket
import time
from pathlib import Path

import yaml

from mesh.agent.files import IDENTITY_FILE, KeyUse, write_key
from mesh.agent.process import EVENT_LOOP_VARIABLE, EVENT_LOOPS
from mesh.trust.certificates import certificate_to_text, issue_certificate
from mesh.trust.identity import SEED_BYTES, Identity, display_id, encode_public_key
from tests.system.processes import LOOPBACK, ROOT, Ports, Process, python, wait_until

DAY_S = 86_400
QUIET = ("open_connections", "stream_count", "pending_opens", "unacknowledged_segments")
"""Figures of the dashboard that are zero when nobody is connected."""

UNWELCOME = ("Traceback (most recent call last)", "CRITICAL")
"""In the log of an agent that does its work."""


_event_loops = itertools.cycle(EVENT_LOOPS)
"""Agents run on each of them in turn, for what one hides the other may show; their logs say which."""


class Agent:
    """One agent: its folder, its configuration (``config`` may be changed before ``start``), its process."""

    def __init__(self, mesh, name):
        self.mesh = mesh
        self.name = name
        self.folder = mesh.folder / name
        self.folder.mkdir()
        self.config_file = self.folder / "config.yaml"
        seed = os.urandom(SEED_BYTES)
        self.identity = Identity(seed)
        write_key(self.folder / IDENTITY_FILE, KeyUse.IDENTITY, seed)
        self.http_port = mesh.ports.reserve()
        self.accept_port = None
        self.process = None
        self.event_loop = os.environ.get(EVENT_LOOP_VARIABLE) or next(_event_loops)
        self.config = {
            "agent": {"name": name, "data_dir": "."},
            "trust": {
                "authorities": [encode_public_key(mesh.authority.public_key)],
                "certificate": "agent.cert",
            },
            "forward": {"endpoints": [], "listeners": []},
            "http": {"address": f"{LOOPBACK}:{self.http_port}"},
            "logging": {"level": os.environ.get("MESH_SYSTEM_LOG_LEVEL", "info")},
        }
        self.certify()

    # -- before the start ------------------------------------------------------------------------------------

    @property
    def id(self):
        return display_id(self.identity.id)

    @property
    def log(self):
        return self.folder / "agent.log"

    def certify(
        self, authority=None, *, not_before=-DAY_S, not_after=90 * DAY_S, file="agent.cert", **grants
    ):
        """Write its certificate; times are seconds from now."""
        now = int(time.time())
        granted = {"may_register": ("*",), "may_use": ("*",), "may_relay": True, **grants}
        wire = issue_certificate(
            authority or self.mesh.authority,
            subject=self.identity.public_key,
            name=self.name,
            not_before=now + not_before,
            not_after=now + not_after,
            **granted,
        )
        (self.folder / file).write_text(certificate_to_text(wire))

    def accept(self):
        """Accept links on a port of its own."""
        if self.accept_port is None:
            self.accept_port = self.mesh.ports.reserve()
            self.config["accept"] = [{"address": f"{LOOPBACK}:{self.accept_port}"}]
        return self

    def dial(self, *others):
        for other in others:
            other.accept()
            entry = {"address": f"{LOOPBACK}:{other.accept_port}"}
            self.config.setdefault("peers", []).append(entry)
        return self

    def offer(self, key, target):
        """Add an endpoint; a target that is a number is a port on loopback."""
        target = f"{LOOPBACK}:{target}" if isinstance(target, int) else str(target)
        self.config["forward"]["endpoints"].append({"key": key, "target": target})
        return self

    def listen(self, key, address=None, max_connections=None):
        """Add a listener, on a reserved port of loopback unless an address is given; its port."""
        port = None
        if address is None:
            port = self.mesh.ports.reserve()
            address = f"{LOOPBACK}:{port}"
        entry = {"key": key, "address": address}
        if max_connections is not None:
            entry["max_connections"] = max_connections
        self.config["forward"]["listeners"].append(entry)
        return port

    # -- the process -----------------------------------------------------------------------------------------

    def start(self, *arguments, program=("-m", "mesh.agent"), wait=True):
        """Run it, by default until its dashboard answers."""
        self.config_file.write_text(yaml.safe_dump(self.config, sort_keys=False))
        command = python("-X", "faulthandler", *program, *arguments, self.config_file)
        self.process = Process(
            command, self.log, cwd=ROOT, environment={EVENT_LOOP_VARIABLE: self.event_loop}
        )
        if wait:
            wait_until(self._answers, f"{self.name}'s dashboard answers")
        return self

    def _answers(self):
        if not self.process.is_running:
            raise AssertionError(f"{self.name} ended with status {self.process.wait()}")
        return self.get("/healthz")[0] == http.HTTPStatus.OK

    def stop(self):
        """SIGTERM; the exit status."""
        return self.process.stop()

    def kill(self):
        self.process.kill()

    def pause(self):
        self.process.signal(signal.SIGSTOP)

    def resume(self):
        self.process.signal(signal.SIGCONT)

    def lines_with(self, text):
        """Lines of its log, of this run, that have ``text`` in them."""
        return [line for line in self.process.output.splitlines() if text in line]

    # -- the dashboard ---------------------------------------------------------------------------------------

    def get(self, path, timeout_s=5.0):
        """Status and body."""
        connection = http.client.HTTPConnection(LOOPBACK, self.http_port, timeout=timeout_s)
        with contextlib.closing(connection):
            try:
                connection.request("GET", path)
                response = connection.getresponse()
                return response.status, response.read()
            except http.client.HTTPException as error:
                raise ConnectionError(repr(error)) from None

    def dashboard(self):
        status, body = self.get("/api/dashboard")
        if status != http.HTTPStatus.OK:
            raise ConnectionError(f"dashboard: status {status}: {body[:200]!r}")
        return json.loads(body)

    def stats(self):
        return self.dashboard()["stats"]

    def routes(self, key, exit_agent=None):
        """Pairings of ``key`` that begin at this agent."""
        return [
            entry
            for entry in self.dashboard()["forward_routes"]
            if entry["key"] == key
            and entry["ingress_agent_id"] == self.id
            and (exit_agent is None or entry["exit_agent_id"] == exit_agent.id)
        ]

    def wait_for_route(self, key, exit_agent=None):
        """Wait for a pairing from this agent's listener; the pairing."""
        return wait_until(lambda: self.routes(key, exit_agent), f"{self.name} has a route for {key}")[0]

    def wait_for_no_route(self, key, exit_agent=None):
        wait_until(lambda: not self.routes(key, exit_agent), f"{self.name} has lost the route for {key}")

    def wait_for_peers(self, *others):
        wanted = {other.id for other in others}

        def linked():
            peers = self.dashboard()["peers"]
            return {peer["id"] for peer in peers if peer["state"] == "connected"} == wanted

        wait_until(linked, f"{self.name} is linked with {[other.name for other in others]} alone")

    def wait_until_quiet(self, baseline=None, timeout_s=15.0):
        """Wait until no connection is left, nor (where a baseline is given) an actor or descriptor of one."""

        def quiet():
            found = self.usage()
            wrong = {name: found[name] for name in QUIET if found[name]}
            for name, value in (baseline or {}).items():
                if name not in QUIET and found[name] > value:
                    wrong[name] = f"{found[name]}, expected at most {value}"
            leftovers.append(wrong)
            return not wrong

        leftovers = []
        try:
            wait_until(quiet, f"{self.name} is quiet", timeout_s)
        except AssertionError:
            raise AssertionError(
                f"{self.name} holds on to {leftovers[-1]}; {self.process.descriptors()}"
            ) from None

    def usage(self):
        """What it holds: connections, actors, descriptors of sockets, threads."""
        stats = self.stats()
        descriptors = self.process.descriptors().values()
        # The dashboard's own connections come and go with the looking.
        used = {name: stats[name] for name in (*QUIET, "actors")}
        used["descriptors"] = len(descriptors) - self._http_connections()
        used["threads"] = self.process.threads()
        return used

    def _http_connections(self):
        """Sockets that are connections to its dashboard, by the kernel's table."""
        port = f":{self.http_port:04X}"
        own = {
            link.removeprefix("socket:[").removesuffix("]")
            for link in self.process.descriptors().values()
            if link.startswith("socket:[")
        }
        count = 0
        for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
            fields = line.split()
            is_listening = fields[3] == "0A"
            count += fields[1].endswith(port) and not is_listening and fields[9] in own
        return count

    # -- its listeners ---------------------------------------------------------------------------------------

    def address(self, key):
        """Host and port of its listener, as soon as the dashboard shows them."""
        address = wait_until(lambda: self._shown_address(key), f"{self.name} shows its listener for {key}")
        host, _, port = address.rpartition(":")
        return host.strip("[]"), int(port)

    def _shown_address(self, key):
        document = self.dashboard()
        entries = [
            entry["listener_address"]
            for entry in document["forward_routes"]
            if entry["key"] == key and entry["ingress_agent_id"] == self.id
        ] + [
            entry["listener_address"]
            for entry in document["unmatched_listeners"]
            if entry["key"] == key and entry["agent_id"] == self.id
        ]
        return entries[0] if entries else None


class Mesh:
    """Agents of one authority, in one folder; ``close`` ends them all, whatever happened."""

    def __init__(self, folder):
        self.folder = folder
        self.ports = Ports()
        self.authority = Identity(os.urandom(SEED_BYTES))
        self.agents = []

    def agent(self, name):
        agent = Agent(self, name)
        self.agents.append(agent)
        return agent

    def chain(self, *names):
        """Agents in a row; each but the second dials towards the middle, as sites dial a relay."""
        agents = [self.agent(name) for name in names]
        for position, (one, other) in enumerate(itertools.pairwise(agents)):
            if position == 0:
                one.dial(other)
            else:
                other.dial(one)
        return agents

    def start(self):
        """Start those that do not run yet, all at once."""
        waiting = [agent for agent in self.agents if agent.process is None]
        for agent in waiting:
            agent.start(wait=False)
        for agent in waiting:
            wait_until(agent._answers, f"{agent.name}'s dashboard answers")

    def close(self):
        for agent in self.agents:
            if agent.process is not None:
                agent.process.kill()
        self.ports.close()

    def logs(self):
        """Name and log of each agent that ever ran."""
        return [(agent.name, agent.log) for agent in self.agents if agent.log.exists()]


def complaints(mesh):
    """Lines of logs that tell of a crash."""
    return [
        f"{name}: {line}"
        for name, log in mesh.logs()
        for line in log.read_text(errors="replace").splitlines()
        if any(text in line for text in UNWELCOME)
    ]


def connect(port, host=LOOPBACK, timeout_s=20.0):
    """A client of a listener; waits while the listener refuses, for routes take milliseconds to arrive."""

    def attempt():
        return socket.create_connection((host, port), timeout=timeout_s)

    # Not a reset: that is an answer, and to ask again would count twice.
    return wait_until(attempt, f"{host}:{port} accepts", not_yet=ConnectionRefusedError)


def refuses(port, host=LOOPBACK):
    """Whether a connection is refused."""
    try:
        socket.create_connection((host, port), timeout=5).close()
    except ConnectionRefusedError:
        return True
    except ConnectionResetError:
        return False  # accepted, and reset before ``connect`` returned
    return False
