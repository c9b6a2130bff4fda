#!/usr/bin/env python3
"""A newcomer's first minutes, played: from a clone to psql through the mesh, on two machines, with no editor.

The machines are network namespaces, which need root and the program ``ip``. What a person would type is run,
and printed with its output; at the end everything is gone. With PostgreSQL there is a database to reach, else
a web page. The status is 0 if it was reached.
"""

import argparse
import sys

import bootstrap

bootstrap.continue_in_environment()

sys.path.insert(0, str(bootstrap.ROOT))

from scripts.newcomer import play  # noqa: E402 -- needs the environment

if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--installed", action="store_true", help="use the environment of this checkout, and install nothing"
    )
    sys.exit(play(installed=parser.parse_args().installed))
