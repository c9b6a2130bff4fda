"""Measure the mesh beside plain TCP, ssh and socat. See docs/BENCHMARKS.md.

python scripts/bench.py --help
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment()
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.benchmark.command import main

    sys.exit(main(sys.argv[1:]))
