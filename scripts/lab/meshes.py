"""Meshes of real agents, which end together."""

import itertools
import os
from pathlib import Path
from typing import Final

from mesh.trust.identity import SEED_BYTES, Identity
from scripts.lab.agents import Agent
from scripts.lab.ports import Ports

UNWELCOME: Final = ("Traceback (most recent call last)", "CRITICAL")
"""Never in the log of an agent that does its work."""


class Mesh:
    """Agents of one authority, in one folder; ``close`` ends them all, whatever happened."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = Ports()
        self.authority = Identity(os.urandom(SEED_BYTES))
        self.agents: list[Agent] = []

    def agent(self, name: str) -> Agent:
        """A new agent, which does not run yet."""
        agent = Agent(name, self.folder / name, self.ports, self.authority)
        self.agents.append(agent)
        return agent

    def chain(self, *names: str) -> list[Agent]:
        """Agents in a row; each but the second dials towards the middle, as sites dial a relay."""
        agents = [self.agent(name) for name in names]
        for position, (one, other) in enumerate(itertools.pairwise(agents)):
            if position == 0:
                one.dial(other)
            else:
                other.dial(one)
        return agents

    def start(self) -> None:
        """Start those that do not run yet, all at once."""
        waiting = [agent for agent in self.agents if not agent.was_started]
        for agent in waiting:
            agent.start(wait=False)
        for agent in waiting:
            agent.wait_until_it_answers()

    def close(self) -> None:
        """Kill every agent and give its ports back."""
        for agent in self.agents:
            if agent.was_started:
                agent.kill()
        self.ports.close()

    def logs(self) -> list[tuple[str, Path]]:
        """Name and log of each agent that ever ran."""
        return [(agent.name, agent.log) for agent in self.agents if agent.log.exists()]


def complaints(mesh: Mesh) -> list[str]:
    """Lines of logs that tell of a crash."""
    return [
        f"{name}: {line}"
        for name, log in mesh.logs()
        for line in log.read_text(errors="replace").splitlines()
        if any(text in line for text in UNWELCOME)
    ]
