"""Keys and certificates of a whole mesh, as ``mesh init`` makes them."""

import subprocess
from collections.abc import Sequence
from pathlib import Path

from scripts.lab.processes import ROOT, python


def init_mesh(folder: Path, agents: Sequence[str], tree: Path = ROOT) -> str:
    """Let ``mesh init`` make ``folder`` with a folder for each agent; the authority's public key.

    Args:
        folder: not there yet.
        agents: names, each with its rights, as in ``relay:relay``.
        tree: whose ``mesh init``; this checkout's unless another is given.

    Raises:
        RuntimeError: it failed; with what it wrote.
    """
    program = "mesh.agent.entry"
    if not (tree / "mesh/agent/entry.py").exists():  # a tree from before rights had to be asked for
        program = "mesh"
        agents = [agent.partition(":")[0] for agent in agents]
    command = python("-m", program, "init", folder.resolve(), "--agents", ",".join(agents))
    done = subprocess.run(
        list(map(str, command)),
        check=False,
        cwd=tree,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise RuntimeError(f"mesh init failed:\n{done.stdout}{done.stderr}".rstrip())
    return (folder / "authority.pub").read_text().strip()
