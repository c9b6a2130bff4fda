"""A relay that works while it is attacked, and is watched."""

import contextlib
import os
import socket
import threading
from pathlib import Path

from scripts.lab.clients import connect, read_exactly
from scripts.lab.services import Service, Task, echo
from scripts.lab.waiting import wait_until

MIB = 1024 * 1024
GROWTH_BYTES = 100 * MIB
"""What an attack may add to the relay's resident memory: 64 MiB may wait for one peer to read, and freed
memory does not all go back."""

TOLD_S = 5.0
"""What an attack causes is seen so soon; also the time in which the relay must be itself again."""


class Carrying:
    """A connection through the relay that carries checked bytes all the while."""

    PIECE_BYTES = 32 * 1024

    def __init__(self, chain):
        self.pieces = 0
        self._stop = threading.Event()
        self._service = Service(echo, port=chain.target_port)
        self._task = Task(self._carry, chain.port)

    def _carry(self, port):
        with connect(port) as client:
            while not self._stop.is_set():
                data = os.urandom(self.PIECE_BYTES)
                client.sendall(data)
                assert read_exactly(client, len(data)) == data
                self.pieces += 1
            client.shutdown(socket.SHUT_WR)
            assert client.recv(1) == b""

    def goes_on(self):
        """Wait for more of it."""
        seen = self.pieces
        wait_until(lambda: self._task.is_done or self.pieces > seen + 2, "the transfer goes on", 10)

    def finish(self):
        self.goes_on()
        self._stop.set()
        self._task.result()
        self._service.close()


def resident_bytes(agent):
    status = Path(f"/proc/{agent.process.pid}/status").read_text()
    (line,) = [line for line in status.splitlines() if line.startswith("VmRSS:")]
    return int(line.split()[1]) * 1024


@contextlib.contextmanager
def besieged(chain):
    """The relay of the chain, under load: its links with its peers stay, and its memory is bounded."""
    relay = chain.relay
    instances = {agent.name: agent.dashboard()["agent"]["instance"] for agent in chain.agents}
    carrying = Carrying(chain)
    carrying.goes_on()
    memory = resident_bytes(relay)
    lost = [agent.stats()["links_lost_total"] for agent in (chain.branch, chain.hq)]
    yield relay
    carrying.finish()
    assert resident_bytes(relay) - memory < GROWTH_BYTES
    assert [agent.stats()["links_lost_total"] for agent in (chain.branch, chain.hq)] == lost
    for agent in chain.agents:
        document = wait_until(agent.dashboard, f"{agent.name} answers", TOLD_S)
        assert document["agent"]["instance"] == instances[agent.name]
    relay.wait_for_peers(chain.branch, chain.hq)
