"""Whatever happens while an exit answers: one answer at the most, and an end that always comes."""

from math import inf
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.early_data import ANSWER_WAIT_S, REACH_PATIENCE_S
from mesh.connection.exit_effects import (
    Accept,
    AskEndpoint,
    LookAtEndpoint,
    NotConfirmed,
    OpenConfirmed,
    OpenForged,
    OpeningOver,
    PathAnswered,
    PathDoubted,
    ReachTarget,
    Reject,
    RepeatAnswer,
)
from mesh.connection.exit_opening import ExitOpening
from mesh.connection.exit_states import UNANSWERED, ExitState
from mesh.connection.opening_payloads import MAX_EARLY_BYTES, OpenRequest
from mesh.connection.pair_session import PairSession
from mesh.connection.party import Party
from mesh.connection.reject_codes import RejectCode
from mesh.connection.repeating import ANSWER_LOST_S, PROMPT_S
from mesh.connection.session_handshake import SessionInitiator, SessionResponder
from mesh.connection.short_open import SHORT_OPEN, ShortInitiator, ShortResponder
from mesh.connection.stream import INITIAL_WINDOW_BYTES
from mesh.link.frames import Frame, FrameType
from mesh.reaching import Failure, Kind
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.primitives import key_pair
from tests.examples import examples

OPEN_TIMEOUT_S = 3.0
NUMBER = 7
STATICS = [key_pair(bytes((number,)) * 32) for number in (1, 2)]
INGRESS, EXIT = (
    Party(AgentId(bytes((number,)) * 16), Instance(bytes((number,)) * 16), static.public)
    for number, static in enumerate(STATICS, 1)
)


def open_frame(key: str, ephemeral: int = 3) -> Frame:
    initiator = SessionInitiator(
        local=INGRESS,
        remote=EXIT,
        connection=NUMBER,
        static=STATICS[0],
        ephemeral=key_pair(bytes((ephemeral,)) * 32),
    )
    return initiator.open_frame(OpenRequest(routing_key=key, credit=65_536))


def forged(frame: Frame) -> Frame:
    body = frame.body[:-1] + bytes((frame.body[-1] ^ 1,))
    return Frame(
        type=FrameType.OPEN,
        from_exit=False,
        source=frame.source,
        destination=frame.destination,
        connection=NUMBER,
        number=0,
        body=body,
    )


PAIR = PairSession(b"p" * 32, INGRESS.instance, EXIT.instance)


def early_open(early: bytes, credit: int = 65_536) -> Frame:
    initiator = ShortInitiator(local=INGRESS, remote=EXIT, connection=NUMBER, pair=PAIR)
    return initiator.open_frame(OpenRequest(routing_key="my-api", credit=credit, early=early))


OPENS = {key: open_frame(key) for key in ("my-api", "unknown", "denied")}
OPENS["early"] = early_open(b"hello")
OPENS["forged"] = forged(OPENS["my-api"])
ANOTHER_OPEN = open_frame("my-api", ephemeral=4)


def responder_to(frame: Frame) -> SessionResponder | ShortResponder:
    fields: Any = {"local": EXIT, "remote": INGRESS, "connection": NUMBER}
    if frame.number == SHORT_OPEN:
        return ShortResponder(**fields, keys=PAIR.keys(NUMBER))
    return SessionResponder(**fields, static=STATICS[1], ephemeral=key_pair(b"e" * 32))


class Exit:
    """An opening and everyone whom it deals with: they say what the test draws, early, late or twice.

    Only the target keeps to an order: it answers once, while it is being reached. ``actors/reaching.py`` lets
    go of what comes later.
    """

    def __init__(self, what: str) -> None:
        self.now = 0.0
        self.open = OPENS[what]
        self.opening = ExitOpening(
            open_frame=self.open,
            responder=responder_to(self.open),
            offered={"my-api", "denied"},
            may_use=lambda key: key != "denied",
            open_timeout_s=OPEN_TIMEOUT_S,
        )
        self.done: list[object] = []
        self.answers: list[Frame] = []
        self.do(self.opening.start(self.now))

    def do(self, wanted) -> None:
        for effect in wanted:
            self.done.append(effect)
            match effect:
                case Accept(answer=answer) | Reject(answer=answer):
                    self.answers.append(answer)
                case RepeatAnswer(answer=answer):
                    assert [answer] == self.answers
                case AskEndpoint() | LookAtEndpoint() | ReachTarget():
                    assert not self.answers

    def count(self, kind) -> int:
        return sum(isinstance(effect, kind) for effect in self.done)

    def step(self, what: int, draw) -> None:
        opening, now = self.opening, self.now
        match what:
            case 0 | 1:
                self.do(opening.granted(now))
            case 2:
                self.do(
                    opening.denied(draw(st.sampled_from(RejectCode)), "x" * draw(st.integers(0, 999)), now)
                )
            case 3:
                self.do(opening.endpoint_gone(now))
            case 4 if opening.state is ExitState.REACHING:
                self.do(opening.reached(bytes(8), INITIAL_WINDOW_BYTES, now))
            case 10 if opening.state is ExitState.REACHING and opening.early:
                self.do(opening.handed_over(bytes(8), INITIAL_WINDOW_BYTES, now))
            case 11:
                self.do(opening.answered(draw(st.sampled_from((b"", b"answer"))), now))
            case 5 if opening.state is ExitState.REACHING:
                self.do(opening.unreachable(Failure(draw(st.sampled_from(Kind)), "no"), now))
            case 6:
                self.do(opening.asked_again(draw(st.sampled_from((self.open, ANOTHER_OPEN))), now))
            case 7:
                self.do(opening.confirmed(now))
            case 8:
                self.now += draw(st.sampled_from((0.01, 0.3, 5.0)))
                self.do(opening.timeout(self.now))
            case _ if opening.deadline() < inf:
                self.now = max(now, opening.deadline())
                self.do(opening.timeout(self.now))


@examples(3)
@given(data=st.data(), what=st.sampled_from(sorted(OPENS)), steps=st.integers(0, 30))
def test_one_answer_at_the_most_and_an_end_that_comes(data, what, steps):
    exit_ = Exit(what)
    opening = exit_.opening
    for _ in range(steps):
        if opening.state is ExitState.ENDED:
            break
        exit_.step(data.draw(st.integers(0, 11)), data.draw)
    for _ in range(1_000):
        if opening.state in (ExitState.OPEN, ExitState.ENDED):
            break
        before = exit_.now
        exit_.now = max(before, opening.deadline())
        exit_.do(opening.timeout(exit_.now))
    assert opening.state not in UNANSWERED
    assert opening.deadline() == inf
    assert exit_.count(AskEndpoint) == (what in ("my-api", "early"))
    assert exit_.count(Accept) + exit_.count(Reject) == (what != "forged")
    assert exit_.count(OpenForged) == (what == "forged")
    assert exit_.count(OpenConfirmed) == (opening.state is ExitState.OPEN)
    assert exit_.count(NotConfirmed) + exit_.count(OpenConfirmed) == exit_.count(Accept)
    assert exit_.count(OpeningOver) == exit_.count(Reject)


def reaching(frame: Frame) -> ExitOpening:
    opening = ExitOpening(
        open_frame=frame,
        responder=responder_to(frame),
        offered={"my-api"},
        may_use=lambda _: True,
        open_timeout_s=OPEN_TIMEOUT_S,
    )
    opening.start(0.0)
    opening.granted(0.0)
    return opening


def test_what_the_target_says_in_time_goes_with_the_answer():
    opening = reaching(OPENS["early"])
    assert opening.early == b"hello"
    assert opening.handed_over(bytes(8), INITIAL_WINDOW_BYTES, 0.0) == ()
    assert opening.deadline() == ANSWER_WAIT_S
    (accept,) = opening.answered(b"world", 0.001)
    assert (accept.early, accept.said, opening.early) == (b"hello", b"world", b"")
    initiator = ShortInitiator(local=INGRESS, remote=EXIT, connection=NUMBER, pair=PAIR)
    reply, _ = initiator.read_reply(accept.answer)
    assert (reply.took_early, reply.early) == (True, b"world")


def test_a_target_that_says_nothing_in_time_is_not_waited_for():
    opening = reaching(OPENS["early"])
    opening.handed_over(bytes(8), INITIAL_WINDOW_BYTES, 0.0)
    (accept,) = opening.timeout(ANSWER_WAIT_S)
    assert (accept.early, accept.said) == (b"hello", b"")


def test_what_was_handed_over_is_never_rejected():
    opening = reaching(OPENS["early"])
    opening.handed_over(bytes(8), INITIAL_WINDOW_BYTES, 0.0)
    for refusal in (
        opening.denied(RejectCode.UNAVAILABLE, "leaving", 0.0),
        opening.endpoint_gone(0.0),
        opening.unreachable(Failure(Kind.REFUSED, "no"), 0.0),
        opening.timeout(ANSWER_WAIT_S / 2),
    ):
        assert not refusal
    assert isinstance(opening.timeout(2 * OPEN_TIMEOUT_S)[0], Accept)


def test_a_client_with_more_to_say_and_an_ingress_without_room_are_answered_at_once():
    for frame in (early_open(bytes(MAX_EARLY_BYTES)), early_open(b"hello", credit=0)):
        (accept,) = reaching(frame).handed_over(bytes(8), INITIAL_WINDOW_BYTES, 0.0)
        assert accept.early


def test_early_data_that_cannot_be_handed_over_soon_is_given_back_and_what_has_none_waits():
    for what, code in (("early", RejectCode.SLOW), ("my-api", RejectCode.TIMED_OUT)):
        exit_ = Exit(what)
        while not exit_.answers:
            exit_.now = exit_.opening.deadline()
            exit_.do(exit_.opening.timeout(exit_.now))
        assert [effect.code for effect in exit_.done if isinstance(effect, Reject)] == [code]
        assert exit_.now == (REACH_PATIENCE_S if what == "early" else OPEN_TIMEOUT_S)


def test_what_was_handed_over_is_not_given_back():
    opening = reaching(OPENS["early"])
    opening.handed_over(bytes(8), INITIAL_WINDOW_BYTES, 0.99 * REACH_PATIENCE_S)
    (accept,) = opening.timeout(REACH_PATIENCE_S)
    assert isinstance(accept, Accept)
    assert not any(isinstance(each, Reject) for each in opening.timeout(2 * REACH_PATIENCE_S))


def test_a_target_that_is_told_nothing_takes_no_early_data():
    (accept,) = reaching(OPENS["early"]).reached(bytes(8), INITIAL_WINDOW_BYTES, 0.0, wants_client=True)
    reply, _ = ShortInitiator(local=INGRESS, remote=EXIT, connection=NUMBER, pair=PAIR).read_reply(
        accept.answer
    )
    assert (accept.early, reply.took_early) == (b"", False)


def test_early_data_of_a_full_open_is_not_looked_at():
    initiator = SessionInitiator(
        local=INGRESS, remote=EXIT, connection=NUMBER, static=STATICS[0], ephemeral=key_pair(bytes((5,)) * 32)
    )
    frame = initiator.open_frame(OpenRequest(routing_key="my-api", credit=65_536, early=b"hello"))
    assert reaching(frame).early == b""


def accepted() -> Exit:
    """One that has just answered yes."""
    exit_ = Exit("my-api")
    exit_.do(exit_.opening.granted(0.0))
    exit_.do(exit_.opening.reached(bytes(8), INITIAL_WINDOW_BYTES, 0.0))
    exit_.done.clear()
    return exit_


def test_an_open_that_comes_long_after_its_answer_casts_doubt_on_the_path_once():
    exit_ = accepted()
    exit_.do(exit_.opening.asked_again(exit_.open, ANSWER_LOST_S - 0.01))
    assert exit_.count(PathDoubted) == 0  # it crossed the answer
    exit_.do(exit_.opening.asked_again(ANOTHER_OPEN, ANSWER_LOST_S))
    assert exit_.count(PathDoubted) == 0
    for _ in range(2):
        exit_.do(exit_.opening.asked_again(exit_.open, ANSWER_LOST_S))
    assert exit_.count(PathDoubted) == 1
    assert exit_.count(RepeatAnswer) == 3


def test_another_path_carries_the_answer_until_it_is_confirmed():
    exit_ = accepted()
    exit_.do(exit_.opening.path_changed())
    assert exit_.count(RepeatAnswer) == 1
    exit_.do(exit_.opening.confirmed(0.1))
    exit_.do(exit_.opening.path_changed())
    assert exit_.count(RepeatAnswer) == 1
    assert exit_.count(PathAnswered) == 0


def test_a_confirmation_tells_how_soon_it_came_after_the_doubt():
    for delay_s, is_prompt in ((PROMPT_S, True), (PROMPT_S + 0.1, False)):
        exit_ = accepted()
        exit_.do(exit_.opening.asked_again(exit_.open, 1.0))
        exit_.do(exit_.opening.confirmed(1.0 + delay_s - 1e-9))
        assert isinstance(exit_.done[-1], PathAnswered)
        assert exit_.done[-1].is_prompt is is_prompt


def test_a_refusal_does_not_name_the_target():
    initiator = SessionInitiator(
        local=INGRESS, remote=EXIT, connection=NUMBER, static=STATICS[0], ephemeral=key_pair(bytes((5,)) * 32)
    )
    responder = SessionResponder(
        local=EXIT, remote=INGRESS, connection=NUMBER, static=STATICS[1], ephemeral=key_pair(bytes((6,)) * 32)
    )
    opening = ExitOpening(
        open_frame=initiator.open_frame(OpenRequest(routing_key="my-api", credit=65_536)),
        responder=responder,
        offered=("my-api",),
        may_use=lambda _: True,
        open_timeout_s=OPEN_TIMEOUT_S,
    )
    opening.start(0.0)
    opening.granted(0.0)
    why = "cannot resolve 'db.internal': no such name"
    (rejection,) = opening.unreachable(Failure(Kind.UNRESOLVED, why), 0.0)
    assert rejection.reason == why  # for the exit's own log
    reply, _ = initiator.read_reply(rejection.answer)
    assert reply.code == RejectCode.UNRESOLVED
    assert "db.internal" not in reply.reason
