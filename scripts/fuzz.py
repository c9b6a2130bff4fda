"""Fuzz everything that reads outside bytes, guided by coverage.

    python scripts/fuzz.py                                    all targets, 100,000 executions
    python scripts/fuzz.py --runs 10000000 --minimize         a campaign; tests/fuzz/corpus keeps its corpus
    python scripts/fuzz.py stream frames --runs 1000000       some targets
    python scripts/fuzz.py stream --replay build/fuzz/stream-crash-...

Every target gets as much time as any other, beyond a minimum of executions. A line tells of progress at least
each half minute, and a campaign that is interrupted (Ctrl-C, SIGTERM) ends with its table all the same.
Ten million executions take about half an hour of one core.

Only errors that a reader declares are right answers, and no input may take more than a second or 64 MiB.
The fuzzer, atheris, lives in an environment of its own, .venv-fuzz: the product does not need it.
"""

import importlib
import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment("fuzz", bootstrap.ROOT / ".venv-fuzz")
    sys.path.insert(0, str(bootstrap.ROOT))
    if "--child" in sys.argv:
        atheris = importlib.import_module("atheris")  # no other environment has it
        with atheris.instrument_imports(include=["mesh", "scripts.fuzzing.shapes"]):
            from scripts.fuzzing.command import main
    else:
        from scripts.fuzzing.command import main

    sys.exit(main(sys.argv[1:]))
