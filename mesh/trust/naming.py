"""How logs, people and lists in a configuration name an agent."""

import re
from collections.abc import Collection, Iterable
from functools import lru_cache
from typing import Final

from mesh.escaping import escaped
from mesh.trust.identity import AgentId, display_id, short_id

MAX_REMEMBERED: Final = 1_024
"""Agents whose names as logs show them are made once: each connection needs two of these."""

GROUP_PREFIX: Final = "group:"
"""Before the name of a group, in a list of agents."""

_ID: Final = re.compile(r"[0-9a-f]{32}")


@lru_cache(maxsize=MAX_REMEMBERED)
def named(name: str, agent_id: AgentId) -> str:
    """An agent as logs show it: its display name and short ID, or the ID alone if no name is known."""
    return f"{escaped(name)} {short_id(agent_id)}" if name else short_id(agent_id)


def is_id(text: str) -> bool:
    """Whether ``text`` is an ID as people see it, and so is never taken for a name."""
    return _ID.fullmatch(text) is not None


def listing(listed: Collection[str], name: str, agent_id: AgentId, groups: Iterable[str] = ()) -> str:
    """The entry of a list of names, IDs and groups that means an agent; empty if none does.

    Args:
        listed: names as certificates have them, whole IDs, and groups behind ``GROUP_PREFIX``.
        name: of its certificate. An agent whose name looks like an ID, or like a group, is not taken for it.
        agent_id: its ID.
        groups: those of its certificate.
    """
    if (own_id := display_id(agent_id)) in listed:
        return own_id
    if name in listed and not is_id(name) and not name.startswith(GROUP_PREFIX):
        return name
    return next((entry for entry in map(GROUP_PREFIX.__add__, groups) if entry in listed), "")


def called(agents: Iterable[tuple[AgentId, str]], text: str) -> list[AgentId]:
    """Those that ``text`` may mean: its ID in hexadecimal digits, whole or the first 8, or its name.

    Args:
        agents: IDs, and names as certificates have them. A name that looks like an ID is never taken for one.
        text: what somebody has said.
    """
    if is_id(text):
        return [agent_id for agent_id, _ in agents if display_id(agent_id) == text]
    return [agent_id for agent_id, name in agents if text in (name, short_id(agent_id))]
