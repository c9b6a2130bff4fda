"""Meshes of real agents that are attacked, and what an honest client of them sees."""

import contextlib
import math
import threading
import time

from scripts.lab.clients import connect, read_exactly
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo_until_reset

KEY = "svc"
SAYING = b"said by an honest client, and said back to it"


class Chain:
    """Branch - relay - hq, which offers an echo as ``svc``.

    Args:
        mesh: empty.
        relays: how many stand between the two.
    """

    def __init__(self, mesh, *, relays=1):
        self.mesh = mesh
        names = ("branch", *(f"relay{number or ''}" for number in range(relays)), "hq")
        self.agents = mesh.chain(*names)
        self.branch, self.relay, self.hq = self.agents[0], self.agents[1], self.agents[-1]
        self.authority = mesh.authority
        self.service = Service(echo_until_reset)
        self.hq.offer(KEY, self.service.port)
        self.port = self.branch.listen(KEY)

    def start(self):
        self.mesh.start()
        self.branch.wait_for_route(KEY)
        assert self.answers() is not None
        return self

    def answers(self, timeout_s=10.0, port=None):
        """Seconds until a new connection has opened and been answered, or nothing if it was not."""
        start = time.monotonic()
        with (
            contextlib.suppress(OSError, EOFError),
            connect(port or self.port, timeout_s=timeout_s) as client,
        ):
            client.sendall(SAYING)
            if read_exactly(client, len(SAYING)) == SAYING:
                return time.monotonic() - start
        return None

    def newcomers(self, count=5, timeout_s=3.0, *, pause_s=0.1):
        """Seconds that each of some new connections took, one by one, up to the first that failed."""
        took = []
        for _ in range(count):
            took.append(self.answers(timeout_s))
            if took[-1] is None:
                break
            time.sleep(pause_s)
        return took

    def slowest_newcomer(self, count, good_s=1.0, *, rounds=3):
        """Seconds that the slowest of some new connections took, in the best of a few rounds; none may fail.

        A machine that stalls spoils a round, what delays others spoils all of them. A good round is the last.
        """
        best = math.inf
        for _ in range(rounds):
            took = self.newcomers(count)
            assert None not in took
            best = min(best, max(took))
            if best < good_s:
                break
        return best

    def close(self):
        self.mesh.close()
        self.service.stop_listening()


class Held:
    """A connection that is open all the while, and says something whenever it is asked to."""

    def __init__(self, port, timeout_s=10.0):
        self._client = connect(port, timeout_s=timeout_s)
        self._lock = threading.Lock()
        self.says()

    def says(self, saying=SAYING):
        """Seconds until the echo has come; raises if the connection is broken or it does not."""
        with self._lock:
            start = time.monotonic()
            self._client.sendall(saying)
            assert read_exactly(self._client, len(saying)) == saying
            return time.monotonic() - start

    def soonest_answer(self, good_s=1.0, *, rounds=3):
        """Seconds until an echo has come, in the best of a few rounds; a good one is the last."""
        best = math.inf
        for _ in range(rounds):
            best = min(best, self.says())
            if best < good_s:
                break
        return best

    def slowest_answer(self, seconds, good_s=0.5, *, rounds=3):
        """The longest that an echo took in so many seconds, in the best of a few rounds."""
        best = math.inf
        for _ in range(rounds):
            end, slowest = time.monotonic() + seconds, 0.0
            while time.monotonic() < end:
                slowest = max(slowest, self.says())
            best = min(best, slowest)
            if best < good_s:
                break
        return best

    def __enter__(self):
        return self

    def __exit__(self, *exception):
        self._client.close()


def dial_at(agent, port):
    """Let an agent dial a port of loopback, and no other."""
    agent.config["peers"] = [{"address": f"{LOOPBACK}:{port}"}]
