"""Crowds that begin handshakes with an agent, as processes of their own (``crowd.py``)."""

from pathlib import Path

from scripts.lab.processes import ROOT, Process, python
from tests.security.hostile import Credentials, Wire

PROGRAM = Path(__file__).with_name("crowd.py")


def crowd(agent, log, opening, *, rate, addresses, seconds):
    """So many connections a second from so many addresses, or from that of everybody; ``kill`` ends it."""
    arguments = (agent.accept_port, rate, addresses, seconds, opening.hex())
    return Process(python(PROGRAM, *arguments), log, cwd=ROOT)


def opening_of(authority):
    """The first bytes of a handshake of somebody whom ``authority`` has certified."""
    return Wire(Credentials(authority)).start()
