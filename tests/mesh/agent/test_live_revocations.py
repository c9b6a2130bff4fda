"""The file of revocation lists while an agent runs: what is put there, and what the agent writes."""

import logging

import pytest

from mesh.agent import live_revocations
from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.file_stamps import revocations_stamp
from mesh.agent.live_revocations import LiveRevocations
from mesh.agent.revocation_file import (
    MAX_REVOCATION_FILE_BYTES,
    REVOCATIONS_FILE,
    read_lists,
    write_lists,
)
from mesh.auditing import NotAuditing
from mesh.routing.revocation_intake import MAX_SIGNERS
from mesh.trust.revocations import MAX_LIST_BYTES, NOBODY_REVOKED, Revocations, lists_to_text
from tests.mesh.trust.test_revocations import ENTRY, a_list


class Revoked:
    """Stands for what passes lists on."""

    def __init__(self):
        self.taken = []
        self.fails = False
        self.why = ""

    def take(self, lists):
        if self.fails:
            raise StatusUnavailable("busy")
        self.taken += lists
        return tuple(self.why for _ in lists)


@pytest.fixture
def revoking():
    return Revoked()


@pytest.fixture
def live(tmp_path, revoking, monkeypatch):
    monkeypatch.setattr(live_revocations, "LOOK_S", 0.0)
    return LiveRevocations(
        tmp_path, revoking, lambda _: None, known=NOBODY_REVOKED, stamp=(), audit=NotAuditing()
    )


OLD, NEW = a_list(1, ENTRY), a_list(2)


def test_what_is_put_there_just_before_the_agent_writes_is_not_lost(live, revoking, tmp_path):
    write_lists(tmp_path / REVOCATIONS_FILE, [NEW.wire])
    live.keep(Revocations([OLD]))
    assert read_lists(tmp_path / REVOCATIONS_FILE) == (OLD.wire,)
    live.look()
    assert revoking.taken == [NEW.wire]
    live.look()
    assert revoking.taken == [NEW.wire]


def test_what_is_put_there_while_the_agent_starts_is_taken(revoking, tmp_path, monkeypatch):
    monkeypatch.setattr(live_revocations, "LOOK_S", 0.0)
    write_lists(tmp_path / REVOCATIONS_FILE, [OLD.wire])
    stamp = revocations_stamp(tmp_path)
    write_lists(tmp_path / REVOCATIONS_FILE, [NEW.wire])
    known = Revocations([OLD])
    live = LiveRevocations(tmp_path, revoking, lambda _: None, known=known, stamp=stamp, audit=NotAuditing())
    live.keep(known)
    live.look()
    assert revoking.taken == [NEW.wire]


def test_an_agent_that_keeps_nothing_has_no_file_to_look_at_again_and_again(revoking, monkeypatch):
    monkeypatch.setattr(live_revocations, "LOOK_S", 0.0)
    live = LiveRevocations(
        None, revoking, lambda _: None, known=NOBODY_REVOKED, stamp=(), audit=NotAuditing()
    )
    live.look()
    assert live.wait_s() > 60


def test_what_cannot_be_passed_on_now_is_later(live, revoking, tmp_path):
    write_lists(tmp_path / REVOCATIONS_FILE, [NEW.wire])
    revoking.fails = True
    live.look()
    revoking.fails = False
    live.look()
    assert revoking.taken == [NEW.wire]


def test_what_is_not_fit_is_told_once(live, revoking, tmp_path, caplog):
    revoking.why = "of nobody"
    write_lists(tmp_path / REVOCATIONS_FILE, [NEW.wire])
    live.look()
    (tmp_path / REVOCATIONS_FILE).write_text("-----BEGIN MESH REVOCATIONS-----\n")
    live.look()
    live.look()
    said = [each.getMessage() for each in caplog.records if each.levelno == logging.ERROR]
    assert [each.split(": ", 1)[1][:9] for each in said] == ["of nobody", "the list "]


def test_what_an_agent_can_have_to_keep_it_can_read_again():
    assert MAX_SIGNERS * len(lists_to_text([bytes(MAX_LIST_BYTES)])) <= MAX_REVOCATION_FILE_BYTES
