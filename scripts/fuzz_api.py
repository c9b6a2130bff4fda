#!/usr/bin/env python3
"""Fuzz the API of a running agent from the document that it serves, with schemathesis.

Everything that answers with a 5xx other than 503, or with what the document does not have, is a finding.
schemathesis is installed into an environment of its own (build/fuzz-api) if it is not there yet.

Example:
    scripts/fuzz_api.py --examples 50
"""

import argparse
import contextlib
import subprocess
import sys
import tempfile
import venv
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

REQUIREMENT: Final = "schemathesis>=4,<5"
CHECKS: Final = (
    "not_a_server_error,status_code_conformance,content_type_conformance,response_schema_conformance"
)
TIMEOUT_S: Final = 900


def main() -> int:
    """Run; the exit status is that of schemathesis: 0 if there is no finding."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--examples", type=int, default=50, help="of each operation")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--environment", type=Path, default=ROOT / "build" / "fuzz-api")
    chosen = parser.parse_args()
    program = _schemathesis(chosen.environment)

    from mesh.agent.control.requests import OPENAPI
    from mesh.agent.control.tokens import new_token, token_hash
    from scripts.lab.meshes import Mesh
    from scripts.lab.ports import LOOPBACK

    token = new_token()
    with contextlib.ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        mesh = stack.enter_context(contextlib.closing(Mesh(folder)))
        fuzzed, other = mesh.agent("fuzzed"), mesh.agent("other")
        fuzzed.dial(other)
        fuzzed.config["http"]["tokens"] = [{"name": "fuzz", "hash": token_hash(token).hex()}]
        other.offer("api", 9)
        fuzzed.listen("api")
        mesh.start()
        command = [
            *(program, "run", f"http://{LOOPBACK}:{fuzzed.http_port}{OPENAPI}"),
            *("--header", f"Authorization: Bearer {token}"),
            *("--checks", CHECKS, "--max-examples", str(chosen.examples), "--seed", str(chosen.seed)),
            *("--phases", "examples,coverage,fuzzing", "--no-color"),
        ]
        status = subprocess.run(command, check=False, timeout=TIMEOUT_S, cwd=folder).returncode
        print(f"the agent runs: {fuzzed.process.is_running}")
        return status if fuzzed.process.is_running else 1


def _schemathesis(environment: Path) -> str:
    program = environment / "bin" / "schemathesis"
    if not program.exists():
        venv.create(environment, with_pip=True)
        subprocess.run([environment / "bin" / "pip", "install", "--quiet", REQUIREMENT], check=True)
    return str(program)


if __name__ == "__main__":
    sys.exit(main())
