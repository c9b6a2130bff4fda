"""The console script ``mesh``, which is ``python -m mesh.agent.entry`` too."""

import sys

from mesh.agent.argument_text import not_text
from mesh.agent.early_signals import hold_signals
from mesh.agent.importing import importing
from mesh.agent.platform import EXIT_STATUS, require_linux


def main() -> None:
    """Run the command line, on a system that has what the commands need."""
    require_linux()
    if sys.argv[1:2] == ["connect"]:  # each ssh waits for it
        from mesh.agent.connect_command import connect  # noqa: PLC0415 -- the others are not needed then

        connect(args=sys.argv[2:], prog_name="mesh connect")
    if sys.argv[1:2] == ["agent"]:
        hold_signals()
    with importing():
        from mesh.agent.cli import main as command  # noqa: PLC0415 -- parts of it exist on Linux only

    try:
        command(prog_name="mesh")
    except UnicodeEncodeError:
        if not (told := not_text(sys.argv)):
            raise
        sys.stderr.write(f"mesh: {told}\n")
        sys.exit(EXIT_STATUS)


if __name__ == "__main__":
    main()
