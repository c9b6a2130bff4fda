"""Which certificate of each agent an issuer has seen last: it renews none that is older.

What an authority takes away it takes by a new certificate, and the old one stays valid until it ends. Whoever
has kept it, with the key, could have it renewed for ever. So an issuer remembers since when the newest is
valid that each agent has shown to the mesh, also when it is started anew.
"""

import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

import msgspec

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment.asking import routes_of
from mesh.agent.enrolment.kept_json import read_kept
from mesh.agent.events import Events, Job
from mesh.agent.files import PRIVATE_MODE, replace_file
from mesh.trust.certificates import Certificate
from mesh.trust.identity import display_id

NAME: Final = "newest-certificates.json"
"""In the issuer's data directory."""

MAX_AGENTS: Final = 4096
"""Several times a large mesh; the one whose certificate is the oldest is forgotten first."""

_WITHOUT: Final = "until agents have been seen again, an older certificate of theirs can be renewed"
"""What it means that a damaged file is taken away."""

LOOK_S: Final = 60.0
"""How often an issuer looks what others show: whoever has an old certificate comes later."""


class NewestCertificates:
    """Those that one issuer knows of.

    Args:
        data_dir: where the file is, or will be.

    Raises:
        AgentFileError: the file cannot be read, or is not what was written.
    """

    def __init__(self, data_dir: Path) -> None:
        self._path = data_dir / NAME
        self._begins = read_kept(self._path, dict[str, int], without=_WITHOUT)
        self._is_written = True

    def note(self, shown: Iterable[Certificate]) -> None:
        """Agents show these now; on return it is on the disk.

        Raises:
            AgentFileError: it cannot be written; it is remembered until the agent ends, and tried again.
        """
        for each in shown:
            agent_id = display_id(each.agent_id)
            if each.not_before > self._begins.get(agent_id, -1):
                self._begins[agent_id] = each.not_before
                self._is_written = False
        if len(self._begins) > MAX_AGENTS:
            newest = sorted(self._begins, key=self._begins.__getitem__)[-MAX_AGENTS:]
            self._begins = {agent_id: self._begins[agent_id] for agent_id in newest}
        if not self._is_written:
            replace_file(self._path, f"{msgspec.json.encode(self._begins).decode()}\n", PRIVATE_MODE)
            self._is_written = True

    def newer_than(self, certificate: Certificate) -> int:
        """Unix seconds since when a newer certificate of its agent is valid; 0 if none is known."""
        begins = self._begins.get(display_id(certificate.agent_id), 0)
        return begins if begins > certificate.not_before else 0


class CertificateWatch:
    """Has an issuer look, from time to time, which certificates agents show. Only the main thread calls.

    Args:
        events: brings what was seen to the main thread.
        is_issuer: whether this agent is one at present.
        look: what is shown now; called on a thread of its own.
        saw: is told of it.
    """

    def __init__(
        self,
        events: Events,
        *,
        is_issuer: Callable[[], bool],
        look: Callable[[], Iterable[Certificate]],
        saw: Callable[[Iterable[Certificate]], None],
    ) -> None:
        self._events, self._is_issuer, self._look, self._saw = events, is_issuer, look, saw
        self._next_look_at = 0.0

    def wait_s(self, now_unix_s: float) -> float:
        """Seconds until the next look; a clock that was set back delays none for longer than usual."""
        return min(LOOK_S, max(0.0, self._next_look_at - now_unix_s))

    def due(self, now_unix_s: float) -> tuple[int, str] | None:
        """Begin to look, if it is time. There is nothing to log."""
        if now_unix_s < self._next_look_at <= now_unix_s + LOOK_S:
            return None
        self._next_look_at = now_unix_s + LOOK_S
        if self._is_issuer():
            threading.Thread(target=self._see, name="certificates", daemon=True).start()
        return None

    def _see(self) -> None:
        """On a thread of its own."""
        try:
            shown = tuple(self._look())
        except StatusUnavailable:
            return  # the next look finds them
        self._events.put(Job(lambda: self._saw(shown)))


def shown_certificates(root: AskRef[agent_messages.Inbound]) -> tuple[Certificate, ...]:
    """By which all agents that are known have been admitted.

    Raises:
        StatusUnavailable: the actors are busy, or being started anew.
    """
    return tuple(record.certificate for record in routes_of(root).records.values())
