"""Run a mesh of real agents in a simulated world, or on loopback, while everything in it fails.

    python scripts/simulate.py config/scenarios/diamond.yaml             one run, with a seed of its own
    python scripts/simulate.py config/scenarios/*.yaml --runs 200 --jobs 2
    python scripts/simulate.py config/scenarios/ring.yaml --seed 7 --plot ring.svg
    python scripts/simulate.py config/scenarios/diamond.yaml --seed 7 --real

One seed draws everything: the same seed gives the same run. See docs/SIMULATION.md.
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment("dev")
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.simulation.command import main

    sys.exit(main(sys.argv[1:]))
