"""When an agent asks for its next certificate, whom, and what it does with the answer."""

import logging
import time
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mesh.agent.dashboard.status import StatusUnavailable
from mesh.agent.enrolment import renewal
from mesh.agent.enrolment.asking import NotGrantedError
from mesh.agent.enrolment.renewal import MAX_ASKED, MAX_PAUSE_S, RenewalTimes, Renewer, issuers_for
from mesh.agent.files import read_certificate_file
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import Identity, display_id
from mesh.trust.issuing import IssuingLimits

AUTHORITY, OWNER, HQ, HQ2, FAR, NARROW = (Identity(bytes([byte]) * 32) for byte in range(1, 7))
DAY_S = 86_400
NOW = int(time.time())
LIMITS = IssuingLimits(10 * DAY_S, (), ("*",))


def certified(identity, name, *, signer=AUTHORITY, start=NOW - DAY_S, end=NOW + 100 * DAY_S, **granted):
    return issue_certificate(
        signer, subject=identity.public_key, name=name, not_before=start, not_after=end, **granted
    )


def own(*, start=NOW - 3 * DAY_S, end=NOW + DAY_S, issuer=None, **granted):
    how = {"may_use": ("a",)} | granted
    if issuer is not None:
        how |= {"issuer": issuer, "signer": HQ}
        start = max(start, NOW - DAY_S)
    wire = certified(OWNER, "owner", start=start, end=end, **how)
    return Credentials(OWNER, wire, read_certificate(wire), TrustStore([AUTHORITY.public_key]))


def routes(*agents):
    """Of (identity, hops or None, limits)."""
    records = {}
    for identity, _, limits in agents:
        wire = certified(identity, identity.id.hex()[:4], may_issue=limits)
        records[identity.id] = SimpleNamespace(
            agent_id=identity.id, name="x", certificate=read_certificate(wire)
        )
    hops = {identity.id: hops for identity, hops, _ in agents if hops is not None}
    return SimpleNamespace(own_id=OWNER.id, records=records, hop_counts=hops)


@given(draw=st.floats(0, 1, exclude_max=True), life_s=st.integers(60, 10**8))
def test_it_is_due_when_two_thirds_are_over_and_long_before_the_end(draw, life_s):
    wire = issue_certificate(AUTHORITY, subject=bytes(32), name="a", not_before=1000, not_after=1000 + life_s)
    times = RenewalTimes(read_certificate(wire), draw)
    assert 1000 + life_s * 0.6666 <= times.due_at <= 1000 + life_s * 0.71
    assert not times.is_due(1000 + life_s * 0.66)
    assert times.is_due(1000 + life_s * 0.71)
    assert not times.is_due(1000 + life_s)


@given(
    draws=st.lists(st.floats(0, 1, exclude_max=True), min_size=60, max_size=60), life_d=st.integers(1, 900)
)
def test_who_gets_none_asks_again_after_pauses_that_grow_and_are_bounded(draws, life_d):
    now, times = 0.0, RenewalTimes(own(end=NOW + life_d * DAY_S).certificate, 0.0)
    pauses = []
    for draw in draws:
        pauses.append(times.failed(now, draw, is_final=False))
        assert times.due_at == now + pauses[-1]
    life_s = life_d * DAY_S + 3 * DAY_S
    longest_s = min(life_s / 15, MAX_PAUSE_S)
    assert min(life_s / 240, longest_s / 2) * 0.999 <= pauses[0]
    assert max(pauses) <= longest_s
    assert min(pauses[8:]) >= longest_s * 0.499
    assert RenewalTimes(own().certificate, 0.0).failed(now, 0.0, is_final=True) == MAX_PAUSE_S / 2


def test_whoever_signed_it_is_asked_first_then_the_nearest_that_may():
    known = routes(
        (HQ2, 1, LIMITS),
        (FAR, 3, LIMITS),
        (HQ, 2, LIMITS),
        (NARROW, 1, IssuingLimits(DAY_S, (), ("b",))),
        (Identity(b"\7" * 32), None, LIMITS),
        (Identity(b"\x08" * 32), 1, None),
    )
    issuer = certified(HQ, "hq", may_issue=LIMITS)
    found = [record.agent_id for record in issuers_for(known, own(issuer=issuer).certificate)]
    assert found == [HQ.id, HQ2.id, FAR.id]
    assert [record.agent_id for record in issuers_for(known, own().certificate)] == [HQ2.id, HQ.id, FAR.id]


class Events:
    def __init__(self):
        self.jobs = []

    def put(self, job):
        self.jobs.append(job)


@pytest.fixture
def office(tmp_path, monkeypatch):
    """A renewer whose thread is this one."""
    made = SimpleNamespace(
        own=own(), answer=b"", why="", file=tmp_path / "agent.cert", events=Events(), asked=0
    )

    def ask(root, credentials, issuer=""):
        made.asked += 1
        made.wanted = issuer
        return made.answer, made.why, False

    class Thread:
        def __init__(self, *, target, args, name, daemon):
            self.target, self.args = target, args

        def start(self):
            self.target(*self.args)

    monkeypatch.setattr(renewal, "asked", ask)
    monkeypatch.setattr(renewal.threading, "Thread", Thread)
    made.taken_up, made.put_there = [], lambda: None
    made.renewer = Renewer(
        None,
        made.events,
        credentials=lambda: made.own,
        file=lambda: made.file,
        take_up=lambda: made.put_there() or made.taken_up.append(made.file.exists()),
    )

    def run():
        for job in made.events.jobs:
            job.run()
            job.done.result()
        made.events.jobs.clear()

    made.run = run
    return made


def test_a_certificate_that_comes_is_written_for_the_agent_to_take_up(office):
    office.answer = certified(OWNER, "owner", start=NOW, end=NOW + 4 * DAY_S, may_use=("a",))
    office.renewer.due(NOW)
    office.renewer.due(NOW)
    assert office.asked == 1, "one question at a time"
    assert not office.file.exists(), "the main thread writes"
    office.run()
    assert read_certificate_file(office.file) == office.answer
    assert office.taken_up == [False, True]
    office.own = Credentials(OWNER, office.answer, read_certificate(office.answer), office.own.trust)
    office.renewer.due(NOW + 1)
    assert office.asked == 1
    assert 0 < office.renewer.wait_s(NOW) <= renewal.LOOK_S


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        (b"", "hq: away"),
        (certified(HQ, "hq"), "the certificate of another key"),
        (certified(OWNER, "owner", end=NOW + DAY_S, may_use=("a",)), "ends too soon"),
        (certified(OWNER, "owner"), "other rights"),
        (certified(OWNER, "owner", may_use=("a",), groups=("x",)), "other rights"),
        (certified(OWNER, "other", may_use=("a",)), "another name"),
        (certified(OWNER, "owner", signer=HQ2), "does not trust"),
        (b"garbage" * 20, "malformed certificate"),
    ],
)
def test_what_is_of_no_use_changes_nothing_is_told_once_and_tried_again(office, caplog, answer, why):
    office.answer, office.why = answer, "hq: away"
    office.renewer.due(NOW)
    office.run()
    assert not office.file.exists()
    (record,) = (each for each in caplog.records if each.levelno == logging.WARNING)
    assert why in record.getMessage()
    office.renewer.due(NOW + 1)
    assert office.asked == 1, "there is a pause"
    office.renewer.due(NOW + 0.9 * DAY_S)
    office.run()
    assert office.asked == 2
    assert len([each for each in caplog.records if each.levelno == logging.WARNING]) == 1


def test_the_store_of_the_actors_is_left_to_their_thread(office):
    def verify(*_):
        raise AssertionError("on the main thread")

    store = TrustStore([AUTHORITY.public_key], verify=verify)
    office.own = Credentials(OWNER, office.own.wire, office.own.certificate, store)
    office.answer = certified(OWNER, "owner", end=NOW + 4 * DAY_S, may_use=("a",))
    office.renewer.due(NOW)
    office.run()
    assert read_certificate_file(office.file) == office.answer


def test_a_file_that_cannot_be_written_is_told(office, caplog):
    office.answer = certified(OWNER, "owner", end=NOW + 4 * DAY_S, may_use=("a",))
    office.file = office.file / "below"
    office.renewer.due(NOW)
    office.run()
    assert "cannot be written" in caplog.text


@pytest.mark.parametrize("case", ["early", "issuer", "no mesh", "ended"])
def test_who_need_not_ask_does_not(office, case):
    if case == "early":
        office.own = own(start=NOW - DAY_S, end=NOW + 3 * DAY_S)
    elif case == "issuer":
        office.own = own(may_issue=LIMITS)
    elif case == "no mesh":
        office.file = None
    office.renewer.due(NOW + 2 * DAY_S if case == "ended" else NOW)
    assert office.asked == 0


def test_several_issuers_are_asked_and_each_refusal_is_told(monkeypatch):
    known = routes(*((Identity(bytes([10 + n]) * 32), n, LIMITS) for n in range(1, MAX_ASKED + 2)))
    monkeypatch.setattr(renewal, "routes_of", lambda root: known)
    said = iter([NotGrantedError("no", is_final=True), NotGrantedError("gone"), StatusUnavailable("busy")])

    def ask(*_):
        raise next(said)

    monkeypatch.setattr(renewal, "ask_for_certificate", ask)
    wire, why, is_final = renewal.asked(None, own())
    assert (wire, is_final, why.count(";")) == (b"", False, MAX_ASKED - 1)
    assert all(word in why for word in ("no", "gone", "busy"))
    known.records.clear()
    assert "no issuer that may grant" in renewal.asked(None, own())[1]


def test_of_several_issuers_only_the_one_that_is_named_is_asked(monkeypatch):
    known, asked = routes((HQ, 1, LIMITS), (HQ2, 2, LIMITS)), []
    monkeypatch.setattr(renewal, "routes_of", lambda root: known)
    monkeypatch.setattr(
        renewal, "ask_for_certificate", lambda root, routes, to, who: asked.append(to) or b"x"
    )
    assert renewal.asked(None, own(), display_id(HQ2.id))[0] == b"x"
    assert asked == [HQ2.id]
    assert "no issuer called gone that may grant" in renewal.asked(None, own(), "gone")[1]
    assert len(asked) == 1


def test_whoever_wants_it_now_gets_it_though_it_ends_sooner_and_of_the_same_rights_only(office):
    on_main = []

    def by_main_thread(work):
        on_main.append(work)
        return work()

    office.answer = certified(OWNER, "owner", end=NOW + 3600, may_use=("a",))
    assert office.renewer.renew("hq", by_main_thread).not_after == NOW + 3600
    assert read_certificate_file(office.file) == office.answer
    assert (office.wanted, len(on_main), office.taken_up) == ("hq", 1, [False, True])
    office.answer = certified(OWNER, "owner", may_use=("*",))
    with pytest.raises(NotGrantedError, match="other rights"):
        office.renewer.renew("", by_main_thread)
    office.answer = certified(OWNER, "owner", end=int(time.time()) + 60, may_use=("a",))
    with pytest.raises(NotGrantedError, match=r"would end in \d+ s"):  # and then nobody would let it in
        office.renewer.renew("", by_main_thread)
    office.answer, office.why = b"", "hq: away"
    with pytest.raises(NotGrantedError, match="hq: away"):
        office.renewer.renew("", by_main_thread)
    assert read_certificate(read_certificate_file(office.file)).may_use == ("a",)


def test_a_certificate_that_somebody_puts_there_meanwhile_is_not_replaced(office):
    """It may be a narrower one."""

    def put_there():
        office.own = own(may_use=())

    office.answer, office.put_there = certified(OWNER, "owner", may_use=("a",)), put_there
    with pytest.raises(NotGrantedError, match="another certificate was put in the place"):
        office.renewer.renew("", lambda work: work())
    assert not office.file.exists()


def test_nobody_renews_an_issuers_certificate_or_that_of_an_agent_without_a_mesh(office):
    office.own = own(may_issue=LIMITS)
    with pytest.raises(NotGrantedError, match="is an issuer; whoever has the authority's key renews it with"):
        office.renewer.renew("", None)
    office.file = None
    with pytest.raises(NotGrantedError, match="no mesh"):
        office.renewer.renew("", None)
    with pytest.raises(NotGrantedError, match="renews nothing"):
        renewal.renew_nothing("hq")
    assert office.asked == 0
