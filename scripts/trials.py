"""Break a mesh of real agents under load, time and again, and see whether its users notice.

    python scripts/trials.py                                        every trial once
    python scripts/trials.py transfer-kill --runs 20 --mib 1024     one of them, twenty times
    python scripts/trials.py pair-agent pair-target --json out.json
    python scripts/trials.py soak --seconds 3600                    an hour of everything

See docs/TRIALS.md for what each trial does and what its figures mean.
"""

import sys

import bootstrap

if __name__ == "__main__":
    bootstrap.continue_in_environment("dev")
    sys.path.insert(0, str(bootstrap.ROOT))

    from scripts.trial_runs.command import main

    sys.exit(main(sys.argv[1:]))
