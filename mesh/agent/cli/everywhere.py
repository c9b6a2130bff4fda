"""``--at all``: a command at every agent of the mesh, some at a time."""

import http.client
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

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


def ask_all(client: AgentClient, command: Callable[[Agent], None], *, as_json: bool) -> int:
    """Run a command at each agent that is known, and print a section of each; the exit status.

    Raises:
        NotRunning: there is no agent that could ask the others.
    """
    found = wanted_rows(client, AGENTS, AgentRow)

    def ask(row: AgentRow) -> tuple[_Told, str, int]:
        agent = _Listening(client.asking(row.id))
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

    with ThreadPoolExecutor(AT_ONCE) as threads:
        told = list(threads.map(ask, sorted(found, key=lambda row: (row.name, row.id))))
    if as_json:
        say(json_text(msgspec.json.format(msgspec.json.encode([each for each, _, _ in told]), indent=2)))
    else:
        sections = (f"== {escaped(each.agent)} {each.id}\n{text}" for each, text, _ in told)
        say("\n\n".join(sections))
    statuses = {status for _, _, status in told} - {0}
    return EXIT_FAILED if EXIT_FAILED in statuses else max(statuses, default=0)
