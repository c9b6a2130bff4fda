"""Whether services that have just been added or changed have the ports that they want."""

import time
from collections.abc import Iterable, Mapping
from typing import Final

import pykka

from actors.messages import agent as agent_messages
from actors.runtime.reference import AskRef
from mesh.config.schema import AcceptSection, ListenerSection
from mesh.config.services import Service

REPORT_TIMEOUT_S: Final = 1.0
REPORT_POLL_S: Final = 0.02
"""How long, and how often, it is looked whether a new listener has its port."""


def port_troubles(
    root: AskRef[agent_messages.Inbound], running: Mapping[str, Service], names: Iterable[str]
) -> dict[str, str]:
    """What keeps those of ``names`` that listen from their ports, as soon as that is known.

    Args:
        root: of the agent.
        running: its services, by name.
        names: of some of them.
    """
    troubles: dict[str, str] = {}
    wanted = {name for name in names if isinstance(running.get(name), ListenerSection | AcceptSection)}
    deadline = time.monotonic() + REPORT_TIMEOUT_S
    while wanted and time.monotonic() < deadline:
        asked: pykka.Future[tuple[agent_messages.PartReported, ...]] = root.ask(
            agent_messages.GetParts(), block=False
        )
        try:
            parts = asked.get(timeout=REPORT_TIMEOUT_S)
        except (pykka.Timeout, pykka.ActorDeadError):
            break  # too busy, or gone: that is told elsewhere
        for part in parts:
            if part.name in wanted:
                wanted.discard(part.name)
                troubles |= {} if part.trouble is None else {part.name: part.trouble}
        if wanted:
            time.sleep(REPORT_POLL_S)
    return troubles
