"""``python -m mesh``, and the console script ``mesh``."""

from mesh.agent_platform import require_linux


def main() -> None:
    """Run the command line, on a system that has what the commands need."""
    require_linux()
    from mesh.cli import main as command  # noqa: PLC0415 -- parts of it exist on Linux only

    command(prog_name="mesh")


if __name__ == "__main__":
    main()
