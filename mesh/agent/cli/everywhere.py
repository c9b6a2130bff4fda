"""``--at all``: a command at every agent of the mesh, some at a time."""

import http.client
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from textwrap import indent
from typing import Final, TypeAlias

import msgspec

from mesh.agent.cli.asking import EXIT_FAILED, EXIT_FORBIDDEN, Agent
from mesh.agent.cli.standard_streams import json_text, say
from mesh.agent.cli.whole import wanted_rows
from mesh.agent.control.client import AgentClient, NotRunning, NotUnderstood, Refused
from mesh.agent.control.mesh_rows import AgentRow
from mesh.agent.control.requests import AGENTS
from mesh.escaping import escaped

AT_ONCE: Final = 4
"""Agents that are asked at one time; as many as an agent asks for others."""

KEPT_AT_ONCE: Final = 16
"""Answers that are kept, or awaited, at one time: those behind one that takes long are printed after it."""

MOST_BYTES: Final = 8 * 1024 * 1024
"""Of a list of one of many agents, each of which may be anybody's: those that are kept take 128 MiB."""


class _Told(msgspec.Struct, frozen=True, omit_defaults=True):
    """What came of a command at one of many agents."""

    agent: str
    id: str
    answer: object = None
    error: str = ""


class _Listening(Agent):
    """Keeps what a command tells."""

    def __init__(self, client: AgentClient) -> None:
        super().__init__(client, as_json=False)
        self.document: object = None
        self.text = ""

    def tell(self, document: object, text: Callable[[], str]) -> None:
        """Keep it."""
        self.document, self.text = document, text()


_Outcome: TypeAlias = tuple[_Told, str, int]
"""That, the same for people, and an exit status."""


def ask_all(client: AgentClient, command: Callable[[Agent], None], *, as_json: bool) -> int:
    """Run a command at each agent that is known, and print a section of each; the exit status.

    Raises:
        NotRunning: there is no agent that could ask the others.
    """
    found = wanted_rows(client, AGENTS, AgentRow)

    def ask(row: AgentRow) -> _Outcome:
        agent = _Listening(client.asking(row.id, list_bytes=MOST_BYTES))
        error, status = "", 0
        try:
            command(agent)
        except Refused as refused:
            error = refused.text()
            status = EXIT_FORBIDDEN if refused.status == http.client.FORBIDDEN else EXIT_FAILED
        except (NotRunning, NotUnderstood) as failure:
            error, status = escaped(str(failure)), EXIT_FAILED
        except SystemExit:  # the text says it
            error, status = agent.text, EXIT_FAILED
        return _Told(row.name, row.id, agent.document, error), agent.text or error, status

    rows = sorted(found, key=lambda row: (row.name, row.id))
    statuses = set()
    with ThreadPoolExecutor(AT_ONCE) as threads:
        printed = _Elements() if as_json else _Sections()
        for told, text, status in _in_turn(threads, ask, rows):
            printed.add(told, text)
            statuses.add(status)
        printed.end()
    statuses.discard(0)
    return EXIT_FAILED if EXIT_FAILED in statuses else max(statuses, default=0)


def _in_turn(
    threads: ThreadPoolExecutor, ask: Callable[[AgentRow], _Outcome], rows: Sequence[AgentRow]
) -> Iterator[_Outcome]:
    """What each of them answers, in their order; few are kept at one time."""
    waiting: deque[Future[_Outcome]] = deque()
    for row in rows:
        waiting.append(threads.submit(ask, row))
        if len(waiting) >= KEPT_AT_ONCE:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


class _Sections:
    """Prints what agents answer for people, as it comes."""

    def __init__(self) -> None:
        self._between = ""

    def add(self, told: _Told, text: str) -> None:
        """Print one."""
        say(f"{self._between}== {escaped(told.agent)} {told.id}\n{text}")
        self._between = "\n"

    def end(self) -> None:
        """That was all."""


class _Elements:
    """Prints what agents answer for programs: one array, as it comes."""

    def __init__(self) -> None:
        self._before = "["

    def add(self, told: _Told, text: str) -> None:
        """Print one; ``text`` is for people."""
        del text
        document = json_text(msgspec.json.format(msgspec.json.encode(told), indent=2))
        say(self._before + "\n" + indent(document, "  "), end="")
        self._before = ","

    def end(self) -> None:
        """That was all."""
        say("[]" if self._before == "[" else "\n]")
