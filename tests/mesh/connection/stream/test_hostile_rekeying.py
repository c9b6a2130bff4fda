"""New keys at an end whose other end says whatever it likes, sealed as it should be."""

import pytest
from msgspec.structs import replace

from mesh.connection.key_terms import ANSWER_BURST, ANSWER_RATE
from mesh.connection.session_keys import KeysMessage, Step, decode_keys_message, encode_keys_message, prologue
from mesh.connection.stream import ResetCode
from mesh.connection.stream.receive_half import MAX_SEGMENTS_AHEAD
from mesh.connection.stream.rekeying import State
from mesh.link.frames import FrameType
from mesh.trust.identity import AgentId
from mesh.trust.noise.handshake import Handshake
from mesh.trust.noise.primitives import key_pair
from scripts.lab.frames import changed
from tests.mesh.connection.stream.harness import EXIT, INGRESS, STATICS, confirmed, make_stream, sessions

SESSION_KEYS = FrameType.SESSION_KEYS
NOW = 100.0
EPHEMERAL = key_pair(b"\x09" * 32)


class Far:
    """The ingress's end, played by the test; ``near`` is the exit's stream."""

    def __init__(self, **keys):
        self.session, near = sessions()
        self.near_session = near
        self.near = make_stream(near, keys={"age_s": 1e9} | keys)
        self.now = NOW
        self.generation = 0

    def say(self, payload):
        """What the near end does about it."""
        return self.tell(self.session.seal_control(SESSION_KEYS, payload))

    def tell(self, *frames):
        return self.near.receive(frames, self.now)

    def noise(self, *, generation=1, static=STATICS[0], digest=b"", connection=7, ingress=INGRESS):
        return Handshake(
            "KK",
            initiator=True,
            prologue=prologue(ingress, EXIT, connection, generation, digest or self.session.keys_digest()),
            static=static,
            ephemeral=EPHEMERAL,
            remote_static=STATICS[1].public,
        )

    def ask(self, noise=None, generation=1):
        noise = noise or self.noise(generation=generation)
        return self.say(encode_keys_message(KeysMessage(Step.ASK, generation, 0, noise.write_message(b""))))

    def change(self, generation):
        """Go through a whole change, as an honest end does."""
        noise = self.noise(generation=generation)
        answer = self.answer_in(self.ask(noise, generation))
        noise.read_message(answer.message)
        self.session.expect(*noise.split())
        self.session.switch()
        switched = self.answer_in(self.say(encode_keys_message(KeysMessage(Step.SWITCHED, generation))))
        self.session.forget_former(switched.first_segment)

    def answer_in(self, effects):
        assert effects.peer_reset is None
        (frame,) = [frame for frame in effects.frames if frame.type == SESSION_KEYS]
        return decode_keys_message(self.session.open_control(frame))

    @property
    def state(self):
        return self.near._rekeying.state


def assert_reset(effects):
    assert effects.peer_reset is ResetCode.PROTOCOL_ERROR


def test_a_far_end_by_hand_changes_keys():
    far = Far()
    far.change(1)
    assert far.state is State.QUIET
    far.now += 10.0
    far.change(2)
    assert far.tell(far.session.seal_segment(FrameType.DATA, 0, b"hello")).delivered == [b"hello"]
    assert far.near.forged_frames == 0


def test_asking_and_asking_breaks_the_protocol():
    """What it can make the near end compute is bounded: three Diffie-Hellmans in so long a time."""
    far = Far(least_age_s=10.0)
    far.change(1)
    far.now += 9.9
    assert_reset(far.ask(generation=2))


def test_asking_once_more_costs_no_diffie_hellman():
    far = Far()
    made = []
    terms = far.near._terms
    far.near._terms = replace(terms, make_ephemeral=lambda: made.append(1) or terms.make_ephemeral())
    answers = [far.answer_in(far.ask()) for _ in range(50)]
    assert set(answers) == {answers[0]}
    assert len(made) == 1


def test_many_connections_of_one_agent_cost_no_more_than_some_at_a_time():
    """A thousand requests at once would hold up everything else; those that are beyond it are repeated."""
    ends = [Far() for _ in range(int(ANSWER_BURST) + 20)]
    made = []
    terms = ends[0].near._terms
    shared = replace(terms, make_ephemeral=lambda: made.append(1) or terms.make_ephemeral())
    for far in ends:
        far.near._terms = shared
    answered = [bool(far.ask().frames) for far in ends]
    assert answered == [True] * int(ANSWER_BURST) + [False] * 20
    assert len(made) == ANSWER_BURST
    waiting = ends[-20:]
    assert {far.state for far in waiting} == {State.QUIET}
    for far in waiting:
        far.now += 20 / ANSWER_RATE
    assert all(far.answer_in(far.ask()).step is Step.ANSWER for far in waiting)


def test_one_agent_takes_no_answers_from_another():
    far = Far()
    terms = far.near._terms
    assert terms.answers.of(EXIT, NOW).take(NOW, ANSWER_BURST)
    assert far.answer_in(far.ask()).step is Step.ANSWER
    assert terms.answers.of(INGRESS, NOW).has(NOW, ANSWER_BURST - 1)
    assert not terms.answers.of(INGRESS, NOW).has(NOW, ANSWER_BURST)


@pytest.mark.parametrize(
    "wrong",
    [
        {"static": key_pair(b"\x0a" * 32)},
        {"digest": b"\x0b" * 32},
        {"connection": 8},
        {"ingress": AgentId(b"another-another-")},
        {"generation": 2},
    ],
)
def test_what_is_not_of_these_ends_and_keys_is_refused(wrong):
    far = Far()
    assert_reset(far.ask(far.noise(**wrong)))


@pytest.mark.parametrize(
    "payload",
    [
        b"",
        bytes(61),
        encode_keys_message(KeysMessage(Step.ASK, 1)) + b"\0",
        encode_keys_message(KeysMessage(Step.ASK, 1)),
        encode_keys_message(KeysMessage(Step.ASK, 2)),
        encode_keys_message(KeysMessage(Step.ANSWER, 2)),
        encode_keys_message(KeysMessage(Step.SWITCHED, 1)),
        encode_keys_message(KeysMessage(Step.ASK, 2**32 - 1, 2**64 - 1)),
        b"\x04" + bytes(60),
    ],
)
def test_nonsense_breaks_the_protocol(payload):
    far = Far()
    assert_reset(far.say(payload))


@pytest.mark.parametrize(
    "payload",
    [
        encode_keys_message(KeysMessage(Step.ASK, 0)),
        encode_keys_message(KeysMessage(Step.ANSWER, 0)),
        encode_keys_message(KeysMessage(Step.ANSWER, 1)),
        encode_keys_message(KeysMessage(Step.SWITCHED, 0)),
    ],
)
def test_what_nobody_asked_for_changes_nothing(payload):
    far = Far()
    effects = far.say(payload)
    assert effects.peer_reset is None
    assert effects.frames == []
    assert far.state is State.QUIET
    assert far.tell(far.session.seal_segment(FrameType.DATA, 0, b"hello")).delivered == [b"hello"]


def test_a_switch_must_be_said_with_the_new_key():
    far = Far()
    far.ask()
    assert_reset(far.say(encode_keys_message(KeysMessage(Step.SWITCHED, 1))))


def test_a_switch_cannot_be_far_ahead():
    far = Far()
    noise = far.noise()
    noise.read_message(far.answer_in(far.ask(noise)).message)
    far.session.expect(*noise.split())
    far.session.switch()
    assert_reset(far.say(encode_keys_message(KeysMessage(Step.SWITCHED, 1, MAX_SEGMENTS_AHEAD + 1))))


@pytest.mark.parametrize("message", [bytes(48), b"\x01" + bytes(47), b"\x55" * 48])
def test_an_answer_that_is_none_breaks_the_protocol(message):
    far = Far(age_s=60.0)
    far.tell(far.session.seal_control(FrameType.PROBE, _acknowledgement()))
    far.now += 60.0
    (asked,) = [frame for frame in far.near.timeout(far.now).frames if frame.type == SESSION_KEYS]
    assert decode_keys_message(far.session.open_control(asked)).step is Step.ASK
    assert_reset(far.say(encode_keys_message(KeysMessage(Step.ANSWER, 1, 0, message))))


def _acknowledgement():
    return (0).to_bytes(8, "big") + (65_536).to_bytes(8, "big") + bytes(28)


def test_who_has_no_key_can_say_nothing():
    """Forged, taken from another connection, or sent back to its sender."""
    world = confirmed(keys={"age_s": 3600.0})
    world.ingress.stream._rekey_at = world.now
    (asked,) = world.ingress.stream.timeout(world.now).frames
    other = Far()
    stranger = other.session.seal_control(SESSION_KEYS, encode_keys_message(KeysMessage(Step.ASK, 1)))
    forged = [
        changed(asked, body=bytes(len(asked.body))),
        changed(asked, number=asked.number + 1),
        changed(asked, connection=asked.connection + 1),
        changed(asked, source=EXIT, destination=INGRESS, from_exit=True),
        changed(stranger, number=2**40, body=stranger.body[::-1]),
    ]
    exit_ = world.exit.stream
    effects = exit_.receive(forged, world.now)
    assert effects.frames == []
    assert exit_.forged_frames == len(forged)
    assert exit_._rekeying is None
    # The genuine one still counts.
    assert [frame.type for frame in exit_.receive([asked], world.now).frames] == [SESSION_KEYS]


def test_nothing_is_held_after_a_change():
    far = Far()
    for generation in (1, 2, 3):
        far.change(generation)
        far.now += 10.0
    held = far.near_session
    assert held._other_receive_key == held._next_send_key == b""
    assert far.near._rekeying._said == b""
    assert not hasattr(far.near._rekeying, "_handshake")


def test_segments_that_never_come_are_looked_for_ever_more_seldom():
    """An end that says it has sealed more than it sends costs a timer now and then, and gets no new keys."""
    far = Far()
    noise = far.noise()
    answer = far.answer_in(far.ask(noise))
    noise.read_message(answer.message)
    far.session.expect(*noise.split())
    far.session.switch()
    far.say(encode_keys_message(KeysMessage(Step.SWITCHED, 1, MAX_SEGMENTS_AHEAD)))
    looks = 0
    while (due := far.near.deadline()) < NOW + 50.0:
        far.now = max(far.now, due)
        far.near.timeout(far.now)
        looks += 1
    assert far.state is State.SETTLING
    assert looks <= 20
