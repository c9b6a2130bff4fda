"""Measure two checkouts of this project beside each other. See docs/BENCHMARKS.md.

python scripts/compare.py --help
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment()
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.benchmark.comparing import main

    sys.exit(main(sys.argv[1:]))
