"""A relay that is not to be trusted, and pair sessions: it costs handshakes or time, and nothing else."""

from typing import ClassVar

import pytest

from mesh.connection.session_handshake import FULL_OPEN
from mesh.connection.short_open import SHORT_OPEN
from mesh.link.frames import Frame, FrameType
from scripts.lab.frames import changed
from scripts.simulation.conversation import Terms
from scripts.simulation.meddling import MeddlingLink
from tests.simulation.mesh_world import mesh_world, three_agents

CONNECTIONS = 4


def unknown_for(opening):
    """What the exit would say if it did not know the pair session."""
    return Frame(FrameType.UNKNOWN, True, opening.destination, opening.source, opening.connection, 0, b"")


class Meddling(MeddlingLink):
    """Counts the OPENs that pass, and does as the class says with frames."""

    forms: ClassVar[list[int]] = []
    kept: ClassVar[list[Frame]] = []
    do: ClassVar[str] = ""

    def _pass_on(self, destination, frames):
        out = []
        for frame in frames:
            if frame.type == FrameType.OPEN:
                self.forms.append(frame.number)
            out += getattr(self, f"_{self.do}")(frame)
        super()._pass_on(destination, out)

    def _nothing(self, frame):
        return [frame]

    def _repeat(self, frame):
        """Each short OPEN again with what comes after it, and once more at the end."""
        if frame.type == FrameType.OPEN and frame.number == SHORT_OPEN:
            self.kept.append(frame)
        return [frame, *self.kept] if not frame.from_exit else [frame]

    def _say_unknown(self, frame):
        """In the exit's name, of each short OPEN, before the exit can answer."""
        if frame.type == FrameType.OPEN and frame.number == SHORT_OPEN:
            self.kept.append(frame)
        if frame.type == FrameType.ACCEPT and self.kept:
            return [*map(unknown_for, self.kept), frame]
        return [frame]

    def _rename(self, frame):
        """The pair session of each short OPEN."""
        if frame.type == FrameType.OPEN and frame.number == SHORT_OPEN:
            return [changed(frame, body=frame.body[:32] + bytes(16) + frame.body[48:])]
        return [frame]

    def _damage(self, frame):
        """What each short OPEN says, at first."""
        if frame.type == FrameType.OPEN and frame.number == SHORT_OPEN and len(self.kept) < 2 * CONNECTIONS:
            self.kept.append(frame)
            return [changed(frame, body=frame.body[:-1] + bytes((frame.body[-1] ^ 1,)))]
        return [frame]

    def _swallow(self, frame):
        """Whatever the exit says of pair sessions that it does not know."""
        return [] if frame.type == FrameType.UNKNOWN else [frame]


@pytest.fixture
def mesh():
    Meddling.do = "nothing"
    with mesh_world(1, {"relay": Meddling}) as world:
        three_agents(world)
        converse(world, 0)
        Meddling.forms, Meddling.kept = [], []
        yield world
        Meddling.do = "nothing"
        world.finish()


def converse(mesh, number):
    """How long a client's conversation takes, in seconds."""
    begun = mesh.world.now()
    talk = mesh.converse(Terms(number, 1000, 1000))
    mesh.run_until(lambda: talk.heard.is_over, 20.0)
    assert talk.heard.is_complete
    return mesh.world.now() - begun


def answered(mesh):
    return mesh.plans["hq"].meters.opens_answered


def test_one_that_is_repeated_is_served_once(mesh):
    Meddling.do = "repeat"
    before = answered(mesh)
    for number in range(1, 1 + CONNECTIONS):
        converse(mesh, number)
    assert answered(mesh) == before + CONNECTIONS
    assert Meddling.forms.count(SHORT_OPEN) == CONNECTIONS
    assert mesh.plans["hq"].meters.opens_ignored > 0


def test_who_says_in_the_exits_name_that_it_does_not_know_one_costs_a_handshake(mesh):
    Meddling.do = "say_unknown"
    before = answered(mesh)
    for number in range(1, 1 + CONNECTIONS):
        assert converse(mesh, number) < 1.0
    assert answered(mesh) == before + CONNECTIONS
    assert Meddling.forms == [SHORT_OPEN, FULL_OPEN] * CONNECTIONS
    assert mesh.plans["hq"].meters.opens_unknown_pair == 0


def test_who_changes_the_name_costs_a_handshake(mesh):
    Meddling.do = "rename"
    for number in range(1, 1 + CONNECTIONS):
        assert converse(mesh, number) < 1.0
    assert Meddling.forms == [SHORT_OPEN, FULL_OPEN] * CONNECTIONS
    assert mesh.plans["hq"].meters.opens_unknown_pair == CONNECTIONS


def test_who_changes_what_it_says_is_told_and_costs_its_repetition(mesh):
    Meddling.do = "damage"
    for number in range(1, 1 + CONNECTIONS):
        assert converse(mesh, number) < 2.0
    assert mesh.plans["hq"].meters.frames_forged > 0


def test_who_keeps_from_the_ingress_that_the_exit_has_lost_one_costs_a_second(mesh):
    Meddling.do = "swallow"
    (table,) = [each for each in mesh.actors_on("hq") if type(each).__name__ == "ConnectionTable"]
    table._pairs.pairs.forget(mesh.plans["branch"].setup.identity.id)
    assert 0.7 < converse(mesh, 1) < 1.5
    assert converse(mesh, 2) < 0.1  # there is another by now
    assert FULL_OPEN in Meddling.forms
