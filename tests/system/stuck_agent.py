"""An agent whose actors can be held up: ``python -m tests.system.stuck_agent MARKER [OPTIONS] CONFIG``.

While the file ``MARKER`` exists the route table does nothing, and with it all actors, as they share its
thread. Where the file says so, the route table dies instead.
"""

import sys
import time
from pathlib import Path

from actors.messages.route_table import GetCounts, GetProblems, GetSnapshot, GetWarnings
from actors.route_table import RouteTable
from mesh.agent.cli.agent_command import agent

DIE = "die"
QUESTIONS = (GetCounts, GetProblems, GetSnapshot, GetWarnings)
"""What fails while one of these is answered is the asker's problem, and no actor dies of it."""


class DiedAsToldError(Exception):
    """What the route table dies of."""


def hold_up(marker):
    """Have every route table of this process look at ``marker`` first."""
    on_receive = RouteTable.on_receive

    def look_first(self, message):
        while marker.exists():
            if marker.read_text() == DIE:
                if isinstance(message, QUESTIONS):
                    break
                marker.unlink()
                raise DiedAsToldError
            time.sleep(0.01)  # a stuck actor, not a wait for anything
        return on_receive(self, message)

    RouteTable.on_receive = look_first


if __name__ == "__main__":
    hold_up(Path(sys.argv.pop(1)))
    agent(prog_name="stuck_agent")
