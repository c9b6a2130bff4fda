"""Services that somebody asks for beside the file: which an agent can have."""

import pytest

from mesh.agent.fitting import fitted
from mesh.agent.outcome import NotPermittedError, RefusedError
from mesh.agent.saved_services import read_service
from mesh.config.loading import parse_config
from mesh.trust.certificates import issue_certificate, read_certificate
from mesh.trust.identity import Identity

OWN, AUTHORITY = Identity(b"o" * 32), Identity(b"a" * 32)


@pytest.fixture
def running(tmp_path):
    text = b"agent: {name: hq}\nforward: {endpoints: [{key: web-1, target: 'localhost:80'}]}"
    return parse_config(text, file="config.yaml", directory=tmp_path, environment={}, host_name="hq")


@pytest.fixture
def certificate():
    wire = issue_certificate(
        AUTHORITY,
        subject=OWN.public_key,
        name="hq",
        not_before=1,
        not_after=2,
        may_register=("web-*",),
        may_use=("db",),
    )
    return read_certificate(wire)


def test_what_is_granted_and_clashes_with_nothing_is_fit(running, certificate):
    endpoint = read_service("endpoints", {"key": "web-2", "target": "localhost:81"})
    assert fitted(endpoint, running, certificate) == endpoint
    socket = read_service("listeners", {"key": "db", "address": "/run/db.sock"})
    assert fitted(socket, running, certificate) == socket


def test_a_listener_gets_a_port_that_is_free(running, certificate):
    asked = read_service("listeners", {"key": "db", "address": "127.0.0.1:0"})
    assert fitted(asked, running, certificate).address.port > 0


@pytest.mark.parametrize(
    ("kind", "entry", "verb"),
    [
        ("endpoints", {"key": "db", "target": "localhost:5432"}, "offer"),
        ("listeners", {"key": "web-1", "address": "127.0.0.1:0"}, "use"),
        ("listeners", {"key": "web-1", "address": "/run/web.sock"}, "use"),
    ],
)
def test_what_the_certificate_does_not_grant_is_refused_with_the_command_that_grants_it(
    running, certificate, kind, entry, verb
):
    with pytest.raises(
        NotPermittedError, match=f"does not let it {verb} '{entry['key']}'; whoever has"
    ) as said:
        fitted(read_service(kind, entry), running, certificate)
    assert f" --{'register' if verb == 'offer' else 'use'} {entry['key']} " in str(said.value)


def test_what_clashes_is_refused_as_such(running, certificate):
    with pytest.raises(RefusedError, match="offers web-1 already") as said:
        fitted(read_service("endpoints", {"key": "web-1", "target": "localhost:81"}), running, certificate)
    assert not isinstance(said.value, NotPermittedError)
