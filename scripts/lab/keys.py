"""Keys and certificates of a whole mesh, as ``mesh init`` makes them."""

import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.lab.software import OURS, Software


def init_mesh(folder: Path, agents: Sequence[str], software: Software = OURS) -> str:
    """Let ``mesh init`` make ``folder`` with a folder for each agent; the authority's public key.

    Args:
        folder: not there yet.
        agents: names, each with its rights, as in ``relay:relay``.
        software: whose ``mesh init``; this checkout's unless another is given.

    Raises:
        RuntimeError: it failed; with what it wrote.
    """
    if software.client == "mesh":  # a tree from before rights had to be asked for
        agents = [agent.partition(":")[0] for agent in agents]
    done = subprocess.run(
        software.command("-m", software.client, "init", folder.resolve(), "--agents", ",".join(agents)),
        check=False,
        cwd=software.folder,
        env={**os.environ, **software.environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"mesh init failed:\n{done.stdout}{done.stderr}".rstrip())
    return (folder / "authority.pub").read_text().strip()
