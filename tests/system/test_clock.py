"""An agent on a machine whose clock is behind its certificate, as on boards before NTP has told the time."""

import re
import signal
import subprocess
import time

import pytest

from mesh.agent.control.socket_file import NAME
from scripts.lab.agents import DAY_S
from scripts.lab.processes import ROOT, python
from scripts.lab.waiting import wait_until

STAMP = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC"


@pytest.fixture
def early(mesh):
    """An agent that is waiting for its certificate."""
    agent = mesh.agent("early").accept()
    agent.certify(not_before=DAY_S)
    agent.start(wait=False)
    agent.wait_for_lines_with("waiting: trust.certificate")
    return agent


def test_it_waits_and_says_why(early):
    (told,) = early.lines_with("waiting: trust.certificate")
    assert "warning" in told
    assert re.search(f"it begins at {STAMP}, and this machine's clock shows {STAMP}", told)
    status, body = wait_until(lambda: early.get("/ready"), "it answers")
    assert status == 503
    assert "is not valid yet" in body.decode()
    assert early.get("/health")[0] == 200
    command = python("-m", "mesh.agent.entry", "status", "--socket", early.folder / NAME)
    asked = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)
    assert asked.returncode == 1
    assert asked.stderr.startswith("waiting: trust.certificate: ")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_at_once_when_told_to(early, number):
    began = time.monotonic()
    early.process.signal(number)
    assert early.process.wait() == 0
    assert time.monotonic() - began < 2


def test_it_starts_once_its_certificate_is_valid(early, mesh):
    """What the clock does cannot be done here; another certificate has the same effect."""
    other = mesh.agent("other").dial(early).start()
    early.certify(file="valid.cert")
    (early.folder / "valid.cert").rename(early.folder / "agent.cert")  # whole at any time
    wait_until(lambda: early.get("/ready")[0] == 200, "it has started")
    other.wait_for_peers(early)
    early.wait_for_lines_with("the certificate is valid now")
