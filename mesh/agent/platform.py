"""Where an agent runs: on Linux only, which is said before anything is imported that other systems lack."""

import sys
from typing import Final

EXIT_STATUS: Final = 2
"""As for everything that is wrong before anything has started; see :mod:`mesh.agent.cli.failure`."""


def require_linux() -> None:
    """Return on Linux; elsewhere say so in one line on standard error and exit with status 2."""
    if sys.platform != "linux":
        sys.stderr.write(f"mesh-agent needs Linux for now; this is {sys.platform}\n")
        sys.exit(EXIT_STATUS)
