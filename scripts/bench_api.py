"""Measure what requests to an agent's API cost the data path. See docs/BENCHMARKS.md.

python scripts/bench_api.py --help
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment()
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.benchmark.api_load import main

    sys.exit(main(sys.argv[1:]))
