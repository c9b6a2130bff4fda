"""Write docs/CLI.md anew, from the commands themselves.

python scripts/cli_document.py            write it
python scripts/cli_document.py --check    say whether it is up to date, by the exit status
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment("dev")
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.commands_described import main

    sys.exit(main(bootstrap.ROOT / "docs" / "CLI.md", sys.argv[1:]))
