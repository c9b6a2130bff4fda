import stat

import pytest

from mesh.agent.enrolment import invitations as module
from mesh.agent.enrolment.invitations import NAME, Invitation, Invitations, TooManyInvitations
from mesh.agent.files import AgentFileError
from mesh.trust.issuing import Passing

NOW = 1_700_000_000.0
GRANTED = Passing(register=("db-*",), use=("*",), relay=True, manage=False, groups=("staff",))


def invitation(number=1, expires=NOW + 3600):
    return Invitation(
        id=f"{number:032x}", name=f"n{number}", granted=GRANTED, valid_s=60, expires=int(expires)
    )


def test_what_is_kept_is_there_after_a_restart_used_or_not(tmp_path):
    kept = Invitations(tmp_path, NOW)
    kept.add(invitation(1), NOW)
    kept.add(invitation(2), NOW)
    kept.use(invitation(1), "ab" * 16)
    again = Invitations(tmp_path, NOW + 1)
    assert again.find(invitation(1).id).used_by == "ab" * 16
    assert again.find(invitation(2).id) == invitation(2)
    assert again.find("f" * 32) is None
    assert stat.S_IMODE((tmp_path / NAME).stat().st_mode) == 0o600


def test_what_has_expired_is_forgotten_and_makes_room(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "MAX_INVITATIONS", 2)
    kept = Invitations(tmp_path, NOW)
    kept.add(invitation(1, NOW + 10), NOW)
    kept.add(invitation(2), NOW)
    with pytest.raises(TooManyInvitations, match="2 invitations have not expired"):
        kept.add(invitation(3), NOW + 9)
    kept.add(invitation(3), NOW + 10)
    assert kept.find(invitation(1).id) is None
    assert Invitations(tmp_path, NOW + 4000).find(invitation(3).id) is None


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"[{}]", b"\xff", b'[{"id": 1}]', b"[" * 5000, b" " * 2**20 + b"[]x"]
)
def test_a_damaged_file_is_told_and_opens_no_door(tmp_path, content):
    (tmp_path / NAME).write_bytes(content)
    with pytest.raises(AgentFileError, match=r"invitations\.json: is damaged"):
        Invitations(tmp_path, NOW)


def test_what_cannot_be_written_is_not_used(tmp_path):
    kept = Invitations(tmp_path, NOW)
    kept.add(invitation(), NOW)
    (tmp_path / NAME).unlink()
    tmp_path.rmdir()
    with pytest.raises(AgentFileError, match="cannot be written"):
        kept.use(invitation(), "ab" * 16)
    assert not kept.find(invitation().id).used_by
