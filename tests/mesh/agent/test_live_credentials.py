"""Certificate and authorities of an agent that runs, read again from files that change."""

import os

import msgspec
import pytest

from mesh.agent import live_credentials
from mesh.agent.credentials import open_credentials
from mesh.agent.file_stamps import certificate_stamp
from mesh.agent.files import IDENTITY_FILE, AgentFileError
from mesh.agent.live_credentials import LOOK_S, LiveCredentials
from mesh.config.schema import AgentSection, Config, TrustSection
from mesh.trust.certificate_text import certificate_to_text
from mesh.trust.certificates import issue_certificate
from mesh.trust.identity import Identity, encode_public_key

NOW = 1_700_000_000.0
AUTHORITY, OTHER = Identity(b"a" * 32), Identity(b"o" * 32)


class Clock:
    def __init__(self):
        self.s = 0.0

    def time(self):
        return NOW + self.s

    def monotonic(self):
        return self.s


class House:
    """An agent's files, and what it shows and tells."""

    def __init__(self, folder, clock):
        self.clock = clock
        self.path = folder / "agent.cert"
        self.config = Config(
            agent=AgentSection(name="hq", data_dir=folder / "data"),
            trust=TrustSection(authorities=(AUTHORITY.public_key,), certificate=self.path),
        )
        data = msgspec.structs.replace(self.config, trust=None)
        self.identity = open_credentials(data, now_unix_s=NOW, random_bytes=os.urandom).identity
        self.certify()
        self.shown, self.told = [], []
        self.before = certificate_stamp(self.config)
        started = open_credentials(self.config, now_unix_s=NOW, random_bytes=os.urandom)
        self.live = LiveCredentials(
            started,
            self.config,
            {},
            stamp=self.before,
            show=self.shown.append,
            tell=lambda _, complaint: self.told.append(complaint),
        )

    def certify(self, *, subject=None, begins=NOW - 10, until=NOW + 1e6, by=AUTHORITY, **changes):
        wire = issue_certificate(
            by,
            subject=(subject or self.identity).public_key,
            name=changes.pop("name", "hq"),
            not_before=int(begins),
            not_after=int(until),
            **changes,
        )
        self.put(certificate_to_text(wire))
        return wire

    def put(self, text):
        """As people and programs do: beside it, then in its place."""
        beside = self.path.with_suffix(".new")
        beside.write_text(text)
        beside.replace(self.path)

    def look(self, times=1):
        news = []
        for _ in range(times):
            self.clock.s += LOOK_S
            news.append(self.live.look())
        return any(news)


@pytest.fixture
def house(tmp_path, monkeypatch, caplog):
    caplog.set_level("INFO", "mesh.agent")
    clock = Clock()
    monkeypatch.setattr(live_credentials, "time", clock)
    return House(tmp_path, clock)


def test_a_file_that_does_not_change_is_not_read(house, monkeypatch):
    def fail(*_, **__):
        raise AssertionError("it has been read")

    monkeypatch.setattr(live_credentials, "renewed_credentials", fail)
    assert not house.look(5)
    assert 0 < house.live.wait_s() <= LOOK_S
    assert not house.live.look()  # it is not time yet


def test_a_renewed_certificate_is_taken_up_and_told_once(house, caplog):
    wire = house.certify(until=NOW + 2e6)
    assert house.look()
    assert [each.wire for each in house.shown] == [wire]
    assert house.live.running is house.shown[0]
    assert house.live.running.trust.authorities == {AUTHORITY.public_key}
    assert not house.look(5)
    assert len(house.shown) == 1
    assert caplog.text.count("have been read again") == 1


def test_the_same_certificate_in_a_new_file_is_nothing_new(house):
    house.certify()
    assert not house.look(3)
    assert house.shown == []


def test_what_deserves_a_warning_is_told_with_the_renewal(house, caplog):
    house.certify(name="other")
    assert house.look()
    assert "the mesh shows the certificate's name, 'other'" in caplog.text


WRONG = {
    "empty": lambda house: house.put(""),
    "half": lambda house: house.put(house.path.read_text()[:150]),
    "another key's": lambda house: house.certify(subject=OTHER),
    "expired": lambda house: house.certify(until=NOW - 1),
    "another mesh's": lambda house: house.certify(by=OTHER),
    "gone": lambda house: house.path.unlink(),
    "early": lambda house: house.certify(begins=NOW + 1000),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_a_file_that_is_not_fit_changes_nothing_and_is_told_once(house, wrong, caplog):
    WRONG[wrong](house)
    assert not house.look()
    assert caplog.text == ""  # it may be in the middle of being written
    assert not house.look(10)
    assert house.shown == []
    [line] = [record.getMessage() for record in caplog.records]
    assert line.startswith("trust.certificate: ")
    assert str(house.path) in line
    assert line.endswith("; this agent goes on with the certificate that it has")
    assert house.told == [line]
    wire = house.certify(until=NOW + 2e6)
    assert house.look()
    assert house.shown[0].wire == wire
    assert house.told[-1] == ""


def test_a_file_that_is_being_written_is_not_told_of(house, caplog):
    text = house.path.read_text()
    wire = house.certify(until=NOW + 2e6)
    text = house.path.read_text()
    for end in range(0, len(text), 40):
        house.path.write_text(text[:end])
        assert not house.look()
    house.path.write_text(text)
    assert house.look()
    assert [each.wire for each in house.shown] == [wire]
    assert "goes on with" not in caplog.text


def test_what_was_there_before_is_right_again(house, caplog):
    before = house.path.read_text()
    house.put("nonsense")
    house.look(3)
    house.put(before)
    assert not house.look(3)
    assert house.shown == []
    assert house.told[-1] == ""
    assert caplog.text.count("is right again") == 1


def test_a_certificate_whose_time_has_not_come_is_taken_up_when_it_has(house, caplog):
    wire = house.certify(begins=NOW + 1000, until=NOW + 1e6)
    house.look(3)
    assert house.shown == []
    house.clock.s = 1000.0
    assert house.look()
    assert [each.wire for each in house.shown] == [wire]
    assert caplog.text.count("is not valid yet") == 1


def test_another_identity_key_waits_for_the_next_start(house):
    key = house.config.agent.data_dir / "identity.key"
    key.unlink()
    data = msgspec.structs.replace(house.config, trust=None)
    other = open_credentials(data, now_unix_s=NOW, random_bytes=os.urandom).identity
    house.certify(subject=other)
    with pytest.raises(AgentFileError, match=r"agent\.data_dir: .*next start"):
        house.live.read(house.config, {})
    house.look(3)
    assert house.shown == []


def test_other_authorities_are_another_trust_and_the_same_ones_the_same(house):
    trust = TrustSection(authorities=(OTHER.public_key, AUTHORITY.public_key), certificate=house.path)
    found = house.live.read(msgspec.structs.replace(house.config, trust=trust), {})
    assert found.trust.authorities == {AUTHORITY.public_key, OTHER.public_key}
    assert house.live.take(found, house.config, {})
    assert house.live.read(msgspec.structs.replace(house.config, trust=trust), {}) is found
    alien = TrustSection(authorities=(OTHER.public_key,), certificate=house.path)
    with pytest.raises(AgentFileError, match="does not trust"):
        house.live.read(msgspec.structs.replace(house.config, trust=alien), {})


def test_what_is_put_there_while_the_agent_starts_is_taken_up(house):
    wire = house.certify(until=NOW + 2e6)
    live = LiveCredentials(
        house.live.running,
        house.config,
        {},
        stamp=house.before,
        show=house.shown.append,
        tell=lambda *_: None,
    )
    assert live.look_at_once()
    assert [found.wire for found in house.shown] == [wire]


def test_an_agent_without_a_mesh_has_nothing_to_look_at_but_its_name(tmp_path, monkeypatch):
    monkeypatch.setattr(live_credentials, "time", Clock())
    config = Config(agent=AgentSection(name="alone"))
    started = open_credentials(config, now_unix_s=NOW, random_bytes=os.urandom)
    live = LiveCredentials(started, config, {}, stamp=(), show=lambda _: None, tell=lambda *_: None)
    assert live.read(config, {}) is started
    renamed = live.read(Config(agent=AgentSection(name="other")), {})
    assert renamed.certificate.name == "other"
    assert renamed.identity is started.identity


def test_where_key_and_certificate_are_gone_no_key_is_made_in_the_place_of_its_own(house, caplog):
    """An agent that starts without both makes a key; one that runs has one."""
    (house.config.agent.data_dir / IDENTITY_FILE).unlink()
    house.path.unlink()
    assert not house.look(2)
    assert not (house.config.agent.data_dir / IDENTITY_FILE).exists()
    assert f"--public-key {encode_public_key(house.identity.public_key)}" in house.told[-1]
