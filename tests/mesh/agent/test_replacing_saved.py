"""Plans that have other services saved: what the certificate does not grant is refused, as of a command."""

from types import SimpleNamespace

import msgspec
import pytest

from mesh.agent import reload
from mesh.agent.files import AgentFileError
from mesh.agent.layers import Layers
from mesh.agent.outcome import NotPermittedError, Outcome, RefusedError, Verdict
from mesh.agent.reload import Reloader
from mesh.agent.saved_services import NAME as SAVED
from mesh.agent.saved_services import read_service
from mesh.config.loading import NOTHING_WRITTEN
from mesh.config.schema import AgentSection, Config
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity

GRANTED = read_service("endpoints", {"key": "web", "target": "localhost:80"})
NOT_GRANTED = read_service("endpoints", {"key": "db", "target": "localhost:5432"})


@pytest.fixture
def layers():
    return Layers(Config(), ())


@pytest.fixture
def reloader(layers):
    wire = issue_certificate(
        Identity(b"a" * 32),
        subject=Identity(b"o" * 32).public_key,
        name="hq",
        not_before=1,
        not_after=2,
        may_register=("web",),
        may_use=("web",),
    )
    live = SimpleNamespace(running=SimpleNamespace(certificate=read_certificate(wire)))
    nothing = dict.fromkeys(("root", "status", "http", "output", "audit"))
    return Reloader(None, layers, Config(), NOTHING_WRITTEN, live=live, **nothing)


@pytest.mark.parametrize("dry_run", [False, True])
def test_what_the_certificate_does_not_grant_is_refused_and_nothing_is_saved(reloader, layers, dry_run):
    with pytest.raises(NotPermittedError, match="does not let it offer 'db'"):
        reloader.replace_saved((GRANTED, NOT_GRANTED), dry_run=dry_run)
    assert layers.saved == ()


def test_what_was_saved_before_a_right_was_taken_away_stands_in_nobodys_way(reloader, layers):
    layers.saved = (NOT_GRANTED,)
    outcome = reloader.replace_saved((NOT_GRANTED, GRANTED), dry_run=True)
    assert (outcome.verdict, outcome.added) == (Verdict.DONE, ("endpoint db", "endpoint web"))


def test_a_listener_gets_a_port_that_is_free(reloader):
    listener = read_service("listeners", {"key": "web", "address": "127.0.0.1:0"})
    (name,) = reloader.replace_saved((listener,), dry_run=True).added
    port = name.removeprefix("listener web 127.0.0.1:")
    assert int(port) > 0


class FullDisk:
    """Takes so many files, and no more."""

    def __init__(self, room):
        self.room = room

    def __call__(self, data_dir, saved):
        if not self.room:
            raise AgentFileError(f"{data_dir}/{SAVED}: no space left on device")
        self.room -= 1


@pytest.fixture
def stuck(reloader, monkeypatch, tmp_path):
    """A reloader whose agent refuses every change, and whose disk is full once one has been written."""
    reloader._running.config = msgspec.structs.replace(Config(), agent=AgentSection(data_dir=tmp_path))
    monkeypatch.setattr(reload, "write_saved", FullDisk(1))
    monkeypatch.setattr(Reloader, "_carry_out", lambda *_, **__: Outcome.refused(("the agent is leaving",)))
    return reloader


def test_that_what_was_saved_cannot_be_put_back_hides_not_why_it_was_to_be(stuck, layers):
    with pytest.raises(RefusedError, match=r"is leaving; services\.yaml could not .* as it was: .*no space"):
        stuck.save(GRANTED)
    assert layers.saved == (GRANTED,)  # as it stands in the file


def test_nor_with_several_at_once(stuck, layers):
    outcome = stuck.replace_saved((GRANTED,), dry_run=False)
    assert outcome.verdict is Verdict.REFUSED
    leaving, full = outcome.problems
    assert leaving == "the agent is leaving"
    assert "no space left" in full
    assert layers.saved == (GRANTED,)
