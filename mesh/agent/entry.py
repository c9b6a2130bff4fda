"""The console script ``mesh``, which is ``python -m mesh.agent.entry`` too."""

from mesh.agent.platform import require_linux


def main() -> None:
    """Run the command line, on a system that has what the commands need."""
    require_linux()
    from mesh.agent.cli import main as command  # noqa: PLC0415 -- parts of it exist on Linux only

    command(prog_name="mesh")


if __name__ == "__main__":
    main()
