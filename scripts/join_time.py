"""Measure how long it takes from mesh invite to a request that a service serves to the new agent.

python scripts/join_time.py --help
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment()
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.benchmark.joining import main

    sys.exit(main(sys.argv[1:]))
