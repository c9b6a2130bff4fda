"""``python -m mesh.agent CONFIG``: the same as ``mesh agent CONFIG``."""

from mesh.agent.early_signals import hold_signals
from mesh.agent.importing import importing
from mesh.agent.platform import require_linux


def main() -> None:
    """Run an agent, on a system that has what it needs."""
    require_linux()
    hold_signals()
    with importing():
        from mesh.agent.cli.agent_command import agent  # noqa: PLC0415 -- parts of it exist on Linux only

    agent(prog_name="python -m mesh.agent")


if __name__ == "__main__":
    main()
