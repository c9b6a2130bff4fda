"""Members of enumerations are plain attributes of their classes, and found as such."""

import subprocess
import sys

PROGRAM = """
import enum
from mesh.agent.enumerations import quicken_enumerations

class Before(enum.Enum):
    ONE = 1

quicken_enumerations()
quicken_enumerations()
assert not hasattr(enum.EnumType, "__getattr__"), "each look-up takes the slow way"

class After(enum.StrEnum):
    name = "a member like a property"
    ONE = "one"

assert (Before.ONE.value, Before["ONE"], Before(1)) == (1, Before.ONE, Before.ONE)
assert (After.name.value, After.ONE.name) == ("a member like a property", "ONE")
for missing in ("TWO", "__missing__"):
    assert not hasattr(Before, missing)
"""


def test_members_are_found_without_the_detour():
    done = subprocess.run([sys.executable, "-c", PROGRAM], check=False, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
