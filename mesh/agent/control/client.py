"""Ask a running agent by its control socket."""

import http.client
import socket
from pathlib import Path
from typing import Final, TypeVar
from urllib.parse import quote

import msgspec

from mesh.agent.control.requests import AGENTS, BESIDE, PREFIX
from mesh.agent.control.unix_sockets import connect_to
from mesh.escaping import escaped

T = TypeVar("T")

START: Final = "mesh agent config.yaml"
"""How an agent is started, in its folder."""

TIMEOUT_S: Final = 60.0
"""For an answer: a reload may wait for services that take their time to go."""


MAX_LIST_BYTES: Final = 64 * 1024 * 1024
"""Of all pages of one list together: several times the longest of a mesh of a thousand agents."""


class NotRunning(Exception):  # noqa: N818 - what is the case, not an error of anybody
    """No agent answers at the socket."""


class NotUnderstood(Exception):  # noqa: N818 - as above
    """The agent's answer is none that this program knows."""


class Refused(Exception):  # noqa: N818 - the agent's answer
    """The agent says no.

    Args:
        status: of HTTP.
        detail: why, for people.
        problems: more of the same, a line each.
    """

    def __init__(self, status: int, detail: str, problems: tuple[str, ...] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.problems = problems

    def text(self) -> str:
        """All of it for people, a line each; escaped, as another agent may have chosen it."""
        return "\n".join(map(escaped, (*self.problems, str(self))))


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout_s: float) -> None:
        super().__init__("localhost", timeout=timeout_s)
        self._path = path
        self._timeout_s = timeout_s

    def connect(self) -> None:
        self.sock: socket.socket = connect_to(self._path, self._timeout_s)


class AgentClient:
    """Asks the agent whose control socket is at ``path``, or another by way of it.

    Args:
        path: of the control socket.
        timeout_s: for an answer.
        at: the name or ID of another agent.
        list_bytes: which the longest list has that is taken.
    """

    def __init__(
        self,
        path: Path,
        timeout_s: float = TIMEOUT_S,
        *,
        at: str | None = None,
        list_bytes: int = MAX_LIST_BYTES,
    ) -> None:
        self._path = path
        self._timeout_s = timeout_s
        self._at = at
        self.list_bytes = list_bytes

    @property
    def asks_another(self) -> bool:
        """Whether it asks another agent than the one with the socket."""
        return self._at is not None

    def asking(self, at: str, *, list_bytes: int) -> "AgentClient":
        """The same for another agent of the mesh."""
        return AgentClient(self._path, self._timeout_s, at=at, list_bytes=list_bytes)

    def get(self, place: str, kind: type[T]) -> T:
        """The JSON document at ``place``."""
        return self.understood(self._ask("GET", place, b""), kind)

    def post(self, place: str, kind: type[T], body: object = None) -> T:
        """The answer to a change."""
        return self.understood(self._ask("POST", place, msgspec.json.encode(body or {})), kind)

    def understood(self, data: bytes | msgspec.Raw, kind: type[T]) -> T:
        """An answer, or a part of one.

        Raises:
            NotUnderstood: it is another one, of another version perhaps.
        """
        try:
            return msgspec.json.decode(data, type=kind)
        except (msgspec.DecodeError, UnicodeDecodeError) as error:
            raise NotUnderstood(
                f"the agent at {self._path} answers what this version of mesh does not understand "
                f"({error}): does it run another version? If so, start it anew"
            ) from None

    def put(self, place: str, body: object) -> None:
        """Change what is there."""
        self._ask("PUT", place, msgspec.json.encode(body))

    def delete(self, place: str) -> None:
        """Take away what is there."""
        self._ask("DELETE", place, b"")

    def _ask(self, method: str, place: str, body: bytes) -> bytes:
        """Ask.

        Raises:
            NotRunning: nobody answers, or no way leads to the other agent.
            Refused: the agent does not do it.
        """
        connection = _UnixConnection(self._path, self._timeout_s)
        try:
            headers = {"Content-Type": "application/json"} if body else {}
            connection.request(method, self._way_to(place), body, headers)
            response = connection.getresponse()
            data, status = response.read(), response.status
        except (OSError, http.client.HTTPException) as error:
            raise NotRunning(f"no agent answers at {self._path}: {_why_not(error)}") from None
        finally:
            connection.close()
        if self._at is not None and status == http.client.BAD_GATEWAY:
            raise NotRunning(str(_refused(status, data)))
        if status >= http.client.BAD_REQUEST:
            raise _refused(status, data)
        return data

    def _way_to(self, place: str) -> str:
        """Where the agent with the socket has what the agent that is asked has at ``place``."""
        if self._at is None:
            return place
        return f"{AGENTS}/{quote(self._at, safe='')}/{place.removeprefix(PREFIX).removeprefix(BESIDE)}"


class _Problem(msgspec.Struct, frozen=True):
    """A problem document, or the dashboard's ``error``."""

    detail: str = ""
    error: str = ""
    problems: tuple[str, ...] = ()


def _why_not(error: Exception) -> str:
    """Why nobody answers at a control socket, and what to do, for people."""
    reason = getattr(error, "strerror", None) or str(error) or type(error).__name__
    remedies: dict[type[Exception], str] = {
        FileNotFoundError: f"; does it run? Start it with: {START}",
        ConnectionRefusedError: f"; it has ended, and not in order. Start it with: {START}",
        PermissionError: "; ask as the user that the agent runs as, or as root",
        TimeoutError: "; it is too busy, or stuck: kill -USR1 has it print what it does",
    }
    return f"{reason.lower()}{remedies.get(type(error), '')}"


def _refused(status: int, data: bytes) -> Refused:
    try:
        problem = msgspec.json.decode(data, type=_Problem)
    except (msgspec.DecodeError, UnicodeDecodeError):
        problem = _Problem()
    return Refused(status, problem.detail or problem.error or f"HTTP status {status}", problem.problems)
