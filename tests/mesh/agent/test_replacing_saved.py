"""Plans that have other services saved: what the certificate does not grant is refused, as of a command."""

from types import SimpleNamespace

import pytest

from mesh.agent.layers import Layers
from mesh.agent.outcome import NotPermittedError, Verdict
from mesh.agent.reload import Reloader
from mesh.agent.saved_services import read_service
from mesh.config.loading import NOTHING_WRITTEN
from mesh.config.schema import Config
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
    nothing = dict.fromkeys(("root", "status", "http", "output"))
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
