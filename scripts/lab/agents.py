"""Agents that are made one by one: key, certificate, configuration, and what their dashboards say."""

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, Self

from actors.runtime.real.resolver import RESOLVER_THREADS
from mesh.agent.control.mesh_door import THREADS as DOOR_THREADS
from mesh.agent.dashboard.server import THREADS as HTTP_THREADS
from mesh.agent.files import IDENTITY_FILE, KeyUse, write_key
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import issue_certificate
from mesh.trust.identity import SEED_BYTES, Identity, display_id, encode_public_key
from scripts.lab.agent_processes import QUIET, AgentProcess
from scripts.lab.ports import LOOPBACK, Ports
from scripts.lab.waiting import wait_until

DAY_S: Final = 86_400

THREADS_ON_DEMAND: Final = RESOLVER_THREADS + DOOR_THREADS + HTTP_THREADS
"""Of an agent, at most: each starts when a name or a request finds all others of its kind busy, and stays."""


class Agent(AgentProcess):
    """One agent, in a folder of its own.

    Args:
        folder: is made, for its key, certificate, configuration and log.
        ports: where it reserves those that it listens on.
        authority: signs its certificate.
    """

    def __init__(self, name: str, folder: Path, ports: Ports, authority: Identity) -> None:
        folder.mkdir()
        self.ports = ports
        self.authority = authority
        seed = os.urandom(SEED_BYTES)
        self.identity = Identity(seed)
        write_key(folder / IDENTITY_FILE, KeyUse.IDENTITY, seed)
        self.accept_port: int | None = None
        http_port = ports.reserve()
        config = {
            "agent": {"name": name, "data_dir": "."},
            "trust": {
                "authorities": [encode_public_key(authority.public_key)],
                "certificate": "agent.cert",
            },
            "forward": {"endpoints": [], "listeners": []},
            "http": {"address": f"{LOOPBACK}:{http_port}"},
            "logging": {"level": os.environ.get("MESH_SYSTEM_LOG_LEVEL", "info")},
        }
        super().__init__(name, folder, config, http_port)
        self.certify()

    # -- before the start ------------------------------------------------------------------------------------

    @property
    def id(self) -> str:
        """As dashboards and logs show it."""
        return display_id(self.identity.id)

    @property
    def short_id(self) -> str:
        """The first eight digits of it, as the dashboard's routes have it."""
        return self.id[:8]

    def certify(
        self,
        authority: Identity | None = None,
        *,
        not_before: int = -DAY_S,
        not_after: int = 90 * DAY_S,
        file: str = "agent.cert",
        **grants: Any,
    ) -> None:
        """Write its certificate; times are seconds from now."""
        now = int(time.time())
        granted: dict[str, Any] = {"may_register": ("*",), "may_use": ("*",), "may_relay": True, **grants}
        wire = issue_certificate(
            authority or self.authority,
            subject=self.identity.public_key,
            name=self.name,
            not_before=now + not_before,
            not_after=now + not_after,
            **granted,
        )
        (self.folder / file).write_text(certificate_to_text(wire))

    def accept(self) -> Self:
        """Accept links on a port of its own."""
        if self.accept_port is None:
            self.accept_port = self.ports.reserve()
            self.config["accept"] = [{"address": f"{LOOPBACK}:{self.accept_port}"}]
        return self

    def dial(self, *others: "Agent") -> Self:
        """Dial others, which accept links from now on."""
        for other in others:
            other.accept()
            entry = {"address": f"{LOOPBACK}:{other.accept_port}"}
            self.config.setdefault("peers", []).append(entry)
        return self

    def offer(self, key: str, target: int | str | Path) -> Self:
        """Add an endpoint; a target that is a number is a port on loopback."""
        target = f"{LOOPBACK}:{target}" if isinstance(target, int) else str(target)
        self.config["forward"]["endpoints"].append({"key": key, "target": target})
        return self

    def listen(self, key: str, address: str | None = None, max_connections: int | None = None) -> int | None:
        """Add a listener, on a reserved port of loopback unless an address is given; that port."""
        port = None
        if address is None:
            port = self.ports.reserve()
            address = f"{LOOPBACK}:{port}"
        entry: dict[str, Any] = {"key": key, "address": address}
        if max_connections is not None:
            entry["max_connections"] = max_connections
        self.config["forward"]["listeners"].append(entry)
        return port

    # -- the dashboard ---------------------------------------------------------------------------------------

    def stats(self) -> dict[str, Any]:
        """The figures of its dashboard."""
        stats: dict[str, Any] = self.dashboard()["stats"]
        return stats

    def routes(self, key: str, exit_agent: "Agent | None" = None) -> list[dict[str, Any]]:
        """Pairings of ``key`` that begin at this agent."""
        return [
            entry
            for entry in self.dashboard()["forward_routes"]
            if entry["key"] == key
            and entry["ingress_agent_id"] == self.short_id
            and (exit_agent is None or entry["exit_agent_id"] == exit_agent.short_id)
        ]

    def wait_for_route(self, key: str, exit_agent: "Agent | None" = None) -> dict[str, Any]:
        """Wait for a pairing from this agent's listener; the pairing."""
        return wait_until(lambda: self.routes(key, exit_agent), f"{self.name} has a route for {key}")[0]

    def wait_for_no_route(self, key: str, exit_agent: "Agent | None" = None) -> None:
        """Wait until no pairing from this agent's listener is left."""
        wait_until(lambda: not self.routes(key, exit_agent), f"{self.name} has lost the route for {key}")

    def wait_for_peers(self, *others: "Agent") -> None:
        """Wait until it is linked with these alone."""
        wanted = {other.id for other in others}

        def linked() -> bool:
            peers = self.dashboard()["peers"]
            return {peer["id"] for peer in peers if peer["state"] == "connected"} == wanted

        wait_until(linked, f"{self.name} is linked with {[other.name for other in others]} alone")

    def wait_until_quiet(self, baseline: Mapping[str, int] | None = None, timeout_s: float = 15.0) -> None:
        """Wait until no connection is left, nor (if a baseline is given) an actor or descriptor of one."""
        leftovers: list[dict[str, Any]] = []

        def quiet() -> bool:
            found = self.usage()
            wrong: dict[str, Any] = {name: found[name] for name in QUIET if found[name]}
            for name, value in (baseline or {}).items():
                most = value + THREADS_ON_DEMAND if name == "threads" else value
                if name not in QUIET and found[name] > most:
                    wrong[name] = f"{found[name]}, expected at most {most}"
            leftovers.append(wrong)
            return not wrong

        try:
            wait_until(quiet, f"{self.name} is quiet", timeout_s)
        except AssertionError:
            raise AssertionError(
                f"{self.name} holds on to {leftovers[-1]}; {self.process.descriptors()}"
            ) from None

    def usage(self) -> dict[str, int]:
        """What it holds: connections, actors, descriptors of sockets, threads."""
        stats = self.stats()
        descriptors = self.process.descriptors().values()
        # The dashboard's own connections come and go with the looking.
        used: dict[str, int] = {name: stats[name] for name in (*QUIET, "actors")}
        used["descriptors"] = len(descriptors) - self._http_connections()
        used["threads"] = self.process.threads()
        return used

    def _http_connections(self) -> int:
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

    def address(self, key: str) -> tuple[str, int]:
        """Host and port of its listener, as soon as the dashboard shows them."""
        address = wait_until(
            lambda: self._shown_address(key) or "", f"{self.name} shows its listener for {key}"
        )
        host, _, port = address.rpartition(":")
        return host.strip("[]"), int(port)

    def _shown_address(self, key: str) -> str | None:
        document = self.dashboard()
        entries: list[str] = [
            entry["listener_address"]
            for entry in document["forward_routes"]
            if entry["key"] == key and entry["ingress_agent_id"] == self.short_id
        ] + [
            entry["listener_address"]
            for entry in document["unmatched_listeners"]
            if entry["key"] == key and entry["agent_id"] == self.id
        ]
        return entries[0] if entries else None
