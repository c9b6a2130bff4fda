"""``mesh invitations``: who is invited, and withdrawing that."""

import contextlib
import json
from dataclasses import replace

import msgspec
import pytest

from mesh.agent.control.api import ControlApp
from mesh.agent.control.control_socket import ControlSocket
from mesh.agent.control.door import ControlDoor
from mesh.agent.enrolment.invitations import Invitation
from mesh.agent.enrolment.inviting import Shown, Standing
from mesh.trust.issuing import Passing
from tests.mesh.agent.cli.asked import NOW, Asked
from tests.mesh.agent.cli.test_asking_commands import run

NOTHING = Passing(register=(), use=(), relay=False, manage=False, groups=())
JOINED = "ab" * 16


def shown(number, name, standing, used_by=""):
    made = Invitation(
        id=f"{number:032x}", name=name, granted=NOTHING, valid_s=60, expires=NOW + 3600, used_by=used_by
    )
    return Shown(made, standing)


class Inviting:
    def __init__(self):
        self.withdrawn = []
        self.shown = (
            shown(1, "laptop", Standing.PENDING),
            shown(2, "laptop", Standing.WITHDRAWN),
            shown(3, "phone", Standing.USED, JOINED),
            shown(4, "twice", Standing.PENDING),
            shown(5, "twice", Standing.PENDING),
        )

    def all(self):
        return self.shown

    def withdraw(self, invitation_id):
        self.withdrawn.append(invitation_id)
        return next(each.invitation for each in self.shown if each.invitation.id == invitation_id)


@pytest.fixture
def inviting(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MESH_SOCKET", raising=False)
    (tmp_path / "config.yaml").write_text("agent: {data_dir: .}\n")
    inviting = Inviting()
    with contextlib.closing(ControlDoor(ControlSocket(tmp_path))) as door:
        door.serve(ControlApp(replace(Asked().behind(), inviting=inviting), None))
        yield inviting


def test_they_are_listed_with_how_they_stand(inviting):
    lines = run("invitations").stdout.splitlines()
    assert lines[1].split() == ["laptop", f"{1:032x}", "2026-11-30", "13:30", "UTC", "pending"]
    assert lines[3].endswith(f"used by {JOINED}")
    assert json.loads(run("invitations", "--json").stdout)[1]["standing"] == "withdrawn"
    inviting.shown = ()
    assert run("invitations").stdout == "nobody is invited\n"


@pytest.mark.parametrize("text", ["laptop", f"{1:032x}"])
def test_one_is_withdrawn_by_its_name_or_id(inviting, text):
    said = run("invitations", "--withdraw", text).stdout
    assert said == f"the invitation of laptop ({1:032x}) is withdrawn\n"
    assert inviting.withdrawn == [f"{1:032x}"]


def test_what_another_agent_has_chosen_cannot_steer_the_terminal(inviting):
    steering = "\x1b[2J"
    strange = shown(6, f"a{steering}", Standing.PENDING)
    inviting.shown = (
        msgspec.structs.replace(strange, invitation=msgspec.structs.replace(strange.invitation, id=steering)),
        shown(7, "phone", Standing.USED, steering),
    )
    for text in (steering, "phone"):
        result = run("invitations", "--withdraw", text)
        assert result.exit_code
        assert steering not in result.output
    assert not inviting.withdrawn


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("nobody", "no invitation of 'nobody' is pending"),
        ("phone", f"{JOINED} has joined by it: mesh revoke {JOINED} takes that out"),
        ("twice", "is invited more than once: name one by its ID"),
    ],
)
def test_what_cannot_be_withdrawn_is_told(inviting, text, why):
    result = run("invitations", "--withdraw", text)
    assert result.exit_code == 2
    assert why in result.stderr
    assert not inviting.withdrawn
