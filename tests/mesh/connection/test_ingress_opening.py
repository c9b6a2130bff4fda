"""Whatever happens while a connection opens: one exit at the most is chosen, and nothing is left behind."""

from math import inf

from hypothesis import given
from hypothesis import strategies as st

from mesh.connection.connection_numbers import ConnectionNumbers
from mesh.connection.early_data import HeardExits
from mesh.connection.ingress_effects import (
    CandidateServed,
    ClientGivenUp,
    ExitChosen,
    ExitDeclined,
    FindCandidates,
    ForgetExit,
    OpeningEnded,
    PathDoubted,
    RegisterExit,
    SendOpen,
)
from mesh.connection.ingress_opening import IngressOpening
from mesh.connection.ingress_states import IngressState
from mesh.connection.initiating import Initiator
from mesh.connection.offer import Offer
from mesh.connection.opening_payloads import OpenReply
from mesh.connection.pair_session import PairSession
from mesh.connection.party import Party
from mesh.connection.reject_codes import IngressVerdict
from mesh.connection.repeating import FIRST_REPEAT_S
from mesh.connection.session_handshake import FULL_OPEN, SessionInitiator, SessionResponder
from mesh.connection.short_open import SHORT_OPEN, ShortInitiator, ShortResponder
from mesh.connection.stream import INITIAL_WINDOW_BYTES
from mesh.link.frames import Frame, FrameType
from mesh.trust.identity import AgentId, Instance
from mesh.trust.noise.primitives import key_pair
from scripts.lab.frames import changed
from tests.examples import examples
from tests.mesh.connection.replies import reply_with

OPEN_TIMEOUT_S = 10.0
CODES = ("refused", "restarting", "at-capacity")


def party_of(number: int) -> tuple[Party, object]:
    static = key_pair(bytes((number,)) * 32)
    return Party(AgentId(bytes((number,)) * 16), Instance(bytes((number,)) * 16), static.public), static


INGRESS, INGRESS_STATIC = party_of(1)
EXITS = [party_of(number) for number in (2, 3, 4)]
OFFERS = [Offer(party, is_draining=False, hop_count=1, rtt_step=0, name="hq") for party, _ in EXITS]


PAIR = PairSession(b"p" * 32, INGRESS.instance, EXITS[0][0].instance)


class Openers:
    """Those of a connection whose exit may have a pair session with the ingress."""

    def __init__(self, ingress, exit_, number):
        self.ingress = ingress
        self.fields = {"local": INGRESS, "remote": exit_, "connection": number}

    def prepare_short(self):
        return self.fields["remote"] in self.ingress.pairs

    def short(self):
        pair = self.ingress.pairs.get(self.fields["remote"])
        return None if pair is None else ShortInitiator(**self.fields, pair=pair)

    def doubt_pair(self):
        pass

    def full(self, *, is_ahead):
        self.ingress.ephemerals += 1
        ephemeral = key_pair(self.ingress.ephemerals.to_bytes(32, "big"))
        return SessionInitiator(**self.fields, static=INGRESS_STATIC, ephemeral=ephemeral)


class Ingress:
    """An opening, and everyone it talks to: they do what the test draws, in any order."""

    def __init__(self) -> None:
        self.now = 0.0
        self.ephemerals = 0
        self.pairs = {}
        self.unknown = set()
        self.asked_at = {}
        self.said = b""
        self.holding = {}
        heard = HeardExits()
        for party, _ in EXITS:
            heard.heard(party, 1.0, self.now)
        self.opening = IngressOpening(
            key="my-api",
            credit=INITIAL_WINDOW_BYTES,
            numbers=ConnectionNumbers(),
            initiate=self.initiate,
            open_timeout_s=OPEN_TIMEOUT_S,
            heard=heard,
        )
        self.registering = []
        self.registered = set()
        self.asked = {}
        self.answers = {}
        self.looks = 0
        self.claims = set()
        self.done = []

    def initiate(self, exit_, number):
        return Initiator(Openers(self, exit_, number))

    def do(self, effects):
        for effect in effects:
            self.done.append(effect)
            match effect:
                case RegisterExit(party=party, number=number):
                    assert (party.id, number) not in self.registered
                    self.registered.add((party.id, number))
                    self.registering.append((party.id, number))
                case ForgetExit(exit_id=exit_id, number=number):
                    self.registered.remove((exit_id, number))
                case SendOpen(frame=frame):
                    assert (frame.destination, frame.connection) in self.registered
                    self.asked_at.setdefault(frame.connection, self.now)
                    of_form = self.asked.setdefault(frame.connection, {})
                    assert of_form.setdefault(frame.number, frame) == frame
                    is_silent = self.now >= self.asked_at[frame.connection] + 0.7
                    assert len(of_form) == 1 or is_silent or frame.connection in self.unknown
                    self.note_early(frame)
                case ExitChosen(number=number, taken_bytes=taken, unsent=unsent):
                    assert set(self.holding) <= {number}, "bytes of the client may be with another target"
                    early = self.holding.get(number, b"")
                    assert (taken, early[:taken] + unsent) in ((0, self.said), (len(early), self.said))
                case PathDoubted(number=number):
                    assert number in self.asked_at, "nothing was sent that could have been lost"
                case FindCandidates():
                    self.looks += 1

    def note_early(self, frame):
        """Nobody is asked while somebody else may have what the client has said."""
        number = frame.connection
        assert set(self.holding) <= {number}
        if frame.number == SHORT_OPEN:
            party = next(each for each, _ in EXITS if each.id == frame.destination)
            fields = {"local": party, "remote": INGRESS, "connection": number}
            early = ShortResponder(**fields, keys=PAIR.keys(number)).read_open(frame).early
            if early:
                assert self.said.startswith(early)
                self.holding[number] = early

    def count(self, kind) -> int:
        return sum(isinstance(effect, kind) for effect in self.done)

    def answer(self, number, code, form):
        """What the exit says to its OPEN: the same each time, whichever of two forms has come first."""
        if number not in self.answers:
            frame = self.asked[number].get(form, self.asked[number][max(self.asked[number])])
            party, static = next(each for each in EXITS if each[0].id == frame.destination)
            fields = {"local": party, "remote": INGRESS, "connection": number}
            responder = (
                ShortResponder(**fields, keys=PAIR.keys(number))
                if frame.number == SHORT_OPEN
                else SessionResponder(**fields, static=static, ephemeral=key_pair(b"e" * 32))
            )
            early = responder.read_open(frame).early
            reply = OpenReply(accepted=not code, code=code, took_early=bool(early) and not code)
            self.answers[number], _ = reply_with(responder, reply)
        answer = self.answers[number]
        if answer.type == FrameType.REJECT or answer.number == FULL_OPEN:
            self.holding.pop(number, None)  # as that OPEN was answered, the short one never will be
        self.do(self.opening.answered(answer, self.now))

    def say_unknown(self, number):
        """That the exit, or somebody in its name, does not know the pair session."""
        self.unknown.add(number)
        (asked, *_) = self.asked[number].values()
        unknown = Frame(FrameType.UNKNOWN, True, asked.destination, asked.source, number, 0, b"")
        chosen = self.count(ExitChosen)
        self.do(self.opening.answered(unknown, self.now))
        assert self.count(ExitChosen) == chosen

    def client_comes(self, data) -> None:
        listens_s = data.draw(st.sampled_from((0.0, 0.005)))
        self.said = b"" if listens_s else data.draw(st.sampled_from((b"hello", b"")))
        candidates = data.draw(st.permutations(OFFERS))
        self.do(self.opening.client_came(candidates, self.now, said=self.said, listens_s=listens_s))

    def step(self, data) -> None:
        opening = self.opening
        match data.draw(st.integers(0, 14)):
            case 0 if opening.stands_by:
                self.client_comes(data)
            case 14 if opening.listens:
                self.said = data.draw(st.sampled_from((b"", b"hello")))
                self.do(opening.client_said(self.said, self.now))
            case 1 if self.registering:
                exit_id, number = self.registering.pop()
                self.do(opening.registered(exit_id, number, self.now, has_path=data.draw(st.booleans())))
            case 2 | 3 if self.asked:
                number = data.draw(st.sampled_from(sorted(self.asked)))
                form = data.draw(st.sampled_from((SHORT_OPEN, FULL_OPEN)))
                self.answer(number, data.draw(st.sampled_from(("", *CODES))), form)
            case 4 if self.looks:
                self.looks -= 1
                self.do(opening.candidates_found(data.draw(st.sets(st.sampled_from(OFFERS))), self.now))
            case 5:
                exit_id = data.draw(st.sampled_from(OFFERS)).party.id
                self.do(opening.path_changed(exit_id, self.now, has_path=data.draw(st.booleans())))
            case 6:
                exit_id = data.draw(st.sampled_from(OFFERS)).party.id
                verdict = data.draw(st.sampled_from((IngressVerdict.RESTARTED, IngressVerdict.EXPIRED)))
                self.do(opening.exit_gone(exit_id, verdict, "why", self.now))
            case 7 if opening.state is IngressState.OPENING and data.draw(st.booleans()):
                self.do(opening.client_left())
            case 8 if self.answers:
                answer = data.draw(st.sampled_from(sorted(self.answers.items())))[1]
                damaged = changed(answer, body=answer.body[:-1] + b"?")
                chosen = self.count(ExitChosen)
                self.do(opening.answered(damaged, self.now))
                assert self.count(ExitChosen) == chosen
            case 10:
                exit_id = data.draw(st.sampled_from(OFFERS)).party.id
                if opening.state is IngressState.OPENING:
                    self.claims.add(exit_id)
                self.do(opening.came_back(exit_id, self.now))
            case 11:  # a pair session comes or goes
                party = data.draw(st.sampled_from(OFFERS)).party
                if self.pairs.pop(party, None) is None:
                    self.pairs[party] = PAIR
            case 12 if self.asked:
                self.say_unknown(data.draw(st.sampled_from(sorted(self.asked))))
            case 9:  # too early, or much too late
                self.now += data.draw(st.sampled_from((0.01, 1.0, 2 * OPEN_TIMEOUT_S)))
                self.do(opening.timeout(self.now))
            case _ if opening.deadline() < inf:
                self.now = max(self.now, opening.deadline())
                self.do(opening.timeout(self.now))


@examples(1.5)
@given(data=st.data(), ahead=st.booleans(), paired=st.booleans(), steps=st.integers(5, 60))
def test_one_exit_at_the_most_and_no_number_left_behind(data, ahead, paired, steps):
    ingress = Ingress()
    if paired:
        ingress.pairs = {offer.party: PAIR for offer in OFFERS}
    opening = ingress.opening
    if ahead:
        ingress.do(opening.prepare(OFFERS[0]))
    for _ in range(steps):
        ingress.step(data)
        if opening.state is IngressState.ENDED:
            break
    if opening.stands_by:
        ingress.do(opening.discard())
    for _ in range(1_000):
        if opening.deadline() == inf:
            break
        ingress.now = opening.deadline()
        ingress.do(opening.timeout(ingress.now))
    assert opening.deadline() == inf
    assert ingress.now <= OPEN_TIMEOUT_S or opening.state is not IngressState.OPENING
    chosen = [effect for effect in ingress.done if isinstance(effect, ExitChosen)]
    kept = {(choice.remote, choice.number) for choice in chosen}
    assert len(chosen) <= 1
    assert ingress.registered == kept | set(opening.numbers_in_use())
    assert ingress.claims.isdisjoint(choice.remote for choice in chosen)
    assert ingress.count(OpeningEnded) == (opening.state is IngressState.ENDED)
    assert ingress.count(ClientGivenUp) + len(chosen) <= 1
    assert bool(chosen) == (opening.state is IngressState.OPEN)
    assert ingress.count(CandidateServed) == len(chosen) + ingress.count(ExitDeclined)
    ingress.registering.clear()


def test_one_that_waits_for_another_with_early_data_is_begun_with_when_its_turn_comes():
    ingress = Ingress()
    ingress.pairs = {offer.party: PAIR for offer in OFFERS}
    opening = ingress.opening
    ingress.said = b"hello"
    ingress.do(opening.client_came(OFFERS[:2], ingress.now, said=ingress.said))
    [first] = ingress.registering
    ingress.do(opening.registered(*first, ingress.now, has_path=False))
    second = ingress.registering[-1]
    ingress.do(opening.path_changed(first[0], ingress.now, has_path=True))
    ingress.do(opening.registered(*second, ingress.now, has_path=True))
    while ingress.now < 3.0:
        ingress.now = opening.deadline()
        ingress.do(opening.timeout(ingress.now))
    assert set(ingress.asked) == {first[1]}
    assert ingress.count(PathDoubted) == 1
    ingress.answer(first[1], "refused", SHORT_OPEN)
    assert set(ingress.asked) == {first[1], second[1]}
    assert opening.deadline() == ingress.now + FIRST_REPEAT_S
