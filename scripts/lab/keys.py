"""Keys and certificates of a whole mesh, as ``mesh init`` makes them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.lab.processes import ROOT, python


def init_mesh(folder: Path, agents: Sequence[str]) -> str:
    """Let ``mesh init`` make ``folder`` with a folder for each agent; the authority's public key.

    Args:
        folder: not there yet.
        agents: names, each with its rights, as in ``relay:relay``.

    Raises:
        RuntimeError: it failed; with what it wrote.
    """
    command = python("-m", "mesh.agent.entry", "init", folder.resolve(), "--agents", ",".join(agents))
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        cwd=ROOT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"mesh init failed:\n{done.stdout}{done.stderr}".rstrip())
    return (folder / "authority.pub").read_text().strip()
