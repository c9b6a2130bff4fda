"""The issuer's desk: whom it invites, and who gets a certificate of it."""

import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from actors.messages.control_end import AnswerFound
from actors.meters import Meters
from mesh.agent.audit.behalf import Behalf, acting_for
from mesh.agent.enrolment import desk
from mesh.agent.enrolment.desk import EnrolmentDesk
from mesh.agent.enrolment.inviting import Wanted
from mesh.agent.enrolment.issued import NotIssuedError
from mesh.auditing import AuditKind
from mesh.connection.reserved import Caller
from mesh.remote.enrolment import Grant, read_grant, write_wish
from mesh.remote.join_token import JoinToken, token_from_text
from mesh.trust.certificates import TrustStore, issue_certificate, read_certificate
from mesh.trust.credentials import Credentials
from mesh.trust.identity import Identity, display_id
from mesh.trust.issuing import IssuingLimits, Passing

AUTHORITY, ISSUER, OTHER, NEW, MEMBER, THIEF = (Identity(bytes([byte]) * 32) for byte in range(1, 7))
DAY_S = 86_400
LIMITS = IssuingLimits(10 * DAY_S, ("db-*",), ("*",), groups=("staff",))
GRANTED = Passing(register=("db-1",), use=("web-*",), relay=False, manage=False, groups=("staff",))
NOW = int(time.time())


def credentials(limits: IssuingLimits | None = LIMITS, identity: Identity = ISSUER, **changes: Any):
    fields = {"name": "hq", "not_before": NOW - DAY_S, "not_after": NOW + 100 * DAY_S} | changes
    wire = issue_certificate(AUTHORITY, subject=identity.public_key, may_issue=limits, **fields)
    return Credentials(identity, wire, read_certificate(wire), TrustStore([AUTHORITY.public_key]))


class Answers:
    """Stands for the end that a desk answers."""

    def __init__(self):
        self.found: list[AnswerFound] = []

    def tell(self, message):
        self.found.append(message)

    def is_alive(self):
        return True


class Audit:
    def __init__(self):
        self.notes = []

    def note(self, kind, facts):
        self.notes.append((kind, facts))


class AtOnce:
    """Events whose main thread does each job as it comes."""

    def put(self, job):
        job.run()
        job.done.result()


class Office:
    """A desk, and those who come to it."""

    def __init__(self, data_dir: Path | None, own: Credentials):
        self.own, self.meters, self.audit = own, Meters(), Audit()
        self.data_dir = data_dir
        self.open()

    def open(self):
        """As after a start."""
        self.desk = EnrolmentDesk(
            AtOnce(),
            self.meters,
            self.data_dir,
            credentials=lambda: self.own,
            addresses=lambda: ("relay:4433",),
            audit=self.audit,
        )

    def invite(self, **changes: Any) -> JoinToken:
        fields: dict[str, Any] = {"name": "new", "granted": GRANTED, "valid_s": DAY_S, "addresses": ()}
        return token_from_text(self.desk.inviting.invite(Wanted(**(fields | changes))).token)

    def ask(
        self, caller: Identity, certificate: bytes, owner: Identity, question: bytes | None = None
    ) -> Grant:
        answers = Answers()
        wish = write_wish(owner, issuer=self.own.identity.id, asker=caller.id)
        self.desk(Caller(caller.id, read_certificate(certificate)), question or wish, answers)
        (answer,) = answers.found
        return read_grant(answer.data)

    def join(self, token: JoinToken, owner: Identity = NEW, question: bytes | None = None) -> Grant:
        return self.ask(Identity(token.seed), token.certificate, owner, question)


@pytest.fixture
def office(tmp_path):
    return Office(tmp_path, credentials())


def test_an_invitation_gives_what_was_named_and_no_more(office):
    with acting_for(Behalf("control socket", "uid 7")):
        token = office.invite()
    assert token.addresses == ("relay:4433",)
    assert token.authorities == (AUTHORITY.public_key,)
    grant = office.join(token)
    assert not grant.why_not
    certificate = TrustStore([AUTHORITY.public_key]).admit(grant.certificate, time.time())
    assert (certificate.subject, certificate.name) == (NEW.public_key, "new")
    assert (certificate.may_register, certificate.may_use) == (GRANTED.register, GRANTED.use)
    assert certificate.groups == ("staff",)
    assert (certificate.may_relay, certificate.may_manage, certificate.is_invitation) == (False,) * 3
    assert certificate.may_issue is None
    assert certificate.not_after - certificate.not_before == DAY_S
    assert (office.meters.enrolments, office.meters.enrolments_refused) == (1, 0)
    (invited, wanted), (kind, facts) = office.audit.notes
    assert (kind, facts["agent"], facts["id"]) == (AuditKind.JOINED, "new", display_id(NEW.id))
    assert (invited, wanted["agent"], wanted["who"]) == (AuditKind.INVITED, "new", "uid 7")
    assert wanted["rights"] == ("register=db-1", "use=web-*", "group=staff")
    assert wanted["invitation"] == facts["invitation"] == display_id(Identity(token.seed).id)


def test_the_invitation_itself_grants_nothing_and_ends_within_the_hour(office):
    token = office.invite()
    certificate = TrustStore(token.authorities).admit(token.certificate, time.time())
    assert certificate.is_invitation
    assert certificate.not_after - certificate.not_before == 3600
    assert (certificate.may_use, certificate.may_register, certificate.groups) == ((), (), ())


def test_a_token_is_of_use_once_also_over_a_restart(office):
    token = office.invite()
    assert office.join(token).certificate
    for _ in range(2):
        again = office.join(token, THIEF)
        assert not again.certificate
        assert f"has been used already, by the agent {display_id(NEW.id)}" in again.why_not
        office.open()
    assert office.meters.enrolments_refused == 2
    assert [kind for kind, _ in office.audit.notes] == [
        AuditKind.INVITED,
        AuditKind.JOINED,
        *[AuditKind.NOT_ISSUED] * 2,
    ]  # a start between


def test_an_invitation_that_nobody_keeps_or_that_has_expired_is_refused(office, monkeypatch):
    token, now = office.invite(), time.time()
    monkeypatch.setattr(time, "time", lambda: now + 3700.0)
    assert "is not known here, or has expired" in office.join(token).why_not
    (office.data_dir / "invitations.json").unlink()
    monkeypatch.setattr(time, "time", lambda: now)
    office.open()
    assert "is not known here, or has expired" in office.join(token).why_not
    assert office.meters.enrolments == 0


def test_an_invitation_of_another_issuer_is_refused(tmp_path):
    here, there = Office(tmp_path, credentials()), Office(tmp_path, credentials(identity=OTHER))
    assert "is that of another issuer" in here.join(there.invite()).why_not


def test_who_asks_shows_that_the_key_is_theirs(office):
    token = office.invite()
    invited = Identity(token.seed)
    stolen = write_wish(NEW, issuer=ISSUER.id, asker=MEMBER.id)
    assert "has not shown that the key is theirs" in office.join(token, question=stolen).why_not
    assert "malformed question" in office.join(token, question=b"\x93abc").why_not
    assert "a key of the new agent's own" in office.join(token, owner=invited).why_not
    assert office.join(token).certificate


@pytest.mark.parametrize(
    ("wanted", "why"),
    [
        ({"granted": msgspec.structs.replace(GRANTED, register=("*",))}, r"may not: to register '\*'"),
        ({"granted": msgspec.structs.replace(GRANTED, manage=True)}, "may not: to manage others"),
        ({"granted": msgspec.structs.replace(GRANTED, groups=("admins",))}, "may not: the group 'admins'"),
        ({"valid_s": 11 * DAY_S}, "may grant 864,000 s"),
        ({"name": "\x1b"}, "cannot issue"),
    ],
)
def test_nobody_is_invited_to_more_than_the_issuer_may_grant(office, wanted, why):
    with pytest.raises(NotIssuedError, match=why):
        office.invite(**wanted)


def test_an_issuer_that_may_less_by_now_grants_less(office):
    token = office.invite()
    office.own = credentials(IssuingLimits(DAY_S, (), ("*",)))
    assert "may not: to register 'db-1'" in office.join(token).why_not
    office.own = credentials()
    assert office.join(token).certificate  # the refusal has not used it up


def test_nothing_outlives_the_issuer(tmp_path):
    end = int(time.time()) + 600
    office = Office(tmp_path, credentials(not_after=end))
    token = office.invite()
    assert read_certificate(token.certificate).not_after == end
    assert read_certificate(office.join(token).certificate).not_after == end


def test_who_is_no_issuer_invites_nobody_and_signs_nothing(tmp_path, office):
    token = office.invite()
    office.own = credentials(None)
    with pytest.raises(NotIssuedError, match="hq is no issuer; whoever has the authority's key"):
        office.invite()
    assert "hq is no issuer" in office.join(token).why_not
    with pytest.raises(NotIssuedError, match=r"no agent\.data_dir"):
        Office(None, credentials()).invite()


def member(**changes: Any) -> bytes:
    fields: dict[str, Any] = {
        "name": "member",
        "not_before": NOW - 2 * DAY_S,
        "not_after": NOW + DAY_S,
        "may_use": ("a",),
        "groups": ("staff",),
    }
    return issue_certificate(AUTHORITY, **({"subject": MEMBER.public_key} | fields | changes))


def test_a_member_renews_what_it_has_for_as_long_as_it_had_it(office):
    grant = office.ask(MEMBER, member(), MEMBER)
    certificate = TrustStore([AUTHORITY.public_key]).admit(grant.certificate, time.time())
    assert (certificate.subject, certificate.name) == (MEMBER.public_key, "member")
    assert (certificate.may_use, certificate.may_register, certificate.groups) == (("a",), (), ("staff",))
    assert certificate.not_after - certificate.not_before == 3 * DAY_S
    ((kind, facts),) = office.audit.notes
    assert (kind, facts["agent"]) == (AuditKind.ISSUED, "member")


def test_who_asks_without_pause_gets_one_certificate_and_one_entry(office):
    for _ in range(5):
        office.ask(MEMBER, member(), MEMBER)
    refused = office.ask(MEMBER, member(), MEMBER)
    assert "has been renewed a short while ago" in refused.why_not
    assert [kind for kind, _ in office.audit.notes] == [AuditKind.ISSUED, AuditKind.NOT_ISSUED]
    assert (office.meters.enrolments, office.meters.enrolments_refused) == (1, 5)


def test_who_has_renewed_a_short_while_ago_gets_one_of_another_authority_at_once(office):
    assert office.ask(MEMBER, member(), MEMBER).certificate
    wire = issue_certificate(
        OTHER,
        subject=ISSUER.public_key,
        name="hq",
        not_before=NOW - DAY_S,
        not_after=NOW + DAY_S,
        may_issue=LIMITS,
    )
    both = TrustStore([AUTHORITY.public_key, OTHER.public_key])
    office.own = Credentials(ISSUER, wire, read_certificate(wire), both)
    grant = office.ask(MEMBER, member(), MEMBER)
    assert read_certificate(grant.certificate).authority == OTHER.public_key, grant.why_not
    assert "a short while ago" in office.ask(MEMBER, member(), MEMBER).why_not


def test_what_another_issuer_has_signed_is_written_down_as_such(office):
    other = credentials(identity=OTHER, name="hq-2")
    wire = issue_certificate(
        OTHER,
        subject=MEMBER.public_key,
        name="member",
        not_before=NOW,
        not_after=NOW + DAY_S,
        issuer=other.wire,
    )
    assert office.ask(MEMBER, wire, MEMBER).certificate
    assert office.ask(THIEF, member(subject=THIEF.public_key), THIEF).certificate
    (_, first), (_, second) = office.audit.notes
    assert first["issuer_before"] == f"hq-2 {display_id(OTHER.id)}"
    assert "issuer_before" not in second


def test_an_older_wider_certificate_is_not_renewed_once_a_narrower_one_was_seen(office, caplog):
    wide, narrow = member(may_use=("*",)), member(not_before=NOW - DAY_S)
    office.desk.saw([read_certificate(narrow)])
    for _ in range(2):
        refused = office.ask(MEMBER, wide, MEMBER)
        assert "a newer certificate of this agent is known here" in refused.why_not
        assert not refused.certificate
        office.desk.saw([read_certificate(wide)])  # which somebody has put back
        office.open()
    renewed = office.ask(MEMBER, narrow, MEMBER).certificate
    assert read_certificate(renewed).may_use == ("a",)
    # An answer that was lost on the way is asked for again, by the certificate that was shown.
    office.open()
    assert office.ask(MEMBER, narrow, MEMBER).certificate
    (office.data_dir / "newest-certificates.json").write_text("?")
    office.open()
    assert "cannot keep" in office.ask(MEMBER, narrow, MEMBER).why_not
    office.desk.saw([])
    office.desk.saw([])
    assert caplog.text.count("newest-certificates.json: is damaged") == 2  # who was refused, and the look


def test_a_clock_that_was_ahead_keeps_nobody_from_renewing(office, monkeypatch):
    ahead_s = 20 * DAY_S
    monkeypatch.setattr(time, "time", lambda: NOW + ahead_s)
    assert office.ask(MEMBER, member(), MEMBER).certificate
    monkeypatch.undo()
    moment = time.monotonic()
    monkeypatch.setattr(time, "monotonic", lambda: moment + DAY_S)
    assert office.ask(MEMBER, member(), MEMBER).certificate


def test_nobody_else_is_told_where_the_issuer_keeps_its_files(office, caplog):
    token = office.invite()
    (office.data_dir / "invitations.json").write_text("damaged")
    office.open()
    assert office.join(token).why_not == "it cannot keep what it has to remember; its log has the reason"
    assert "invitations.json: is damaged" in caplog.text


def test_what_is_remembered_of_agents_is_bounded(monkeypatch):
    monkeypatch.setattr(desk, "MAX_REMEMBERED", 2)
    lately = desk._Lately()
    for identity in (NEW, MEMBER, THIEF):
        lately.hold(identity.id, 10.0)
    assert [lately.is_free(each.id, 9.0) for each in (NEW, MEMBER, THIEF)] == [True, False, False]
    assert lately.is_free(THIEF.id, 10.0)


def test_a_renewal_is_no_longer_than_the_issuer_may_grant(office):
    certificate = read_certificate(
        office.ask(MEMBER, member(not_before=NOW - 800 * DAY_S), MEMBER).certificate
    )
    assert certificate.not_after - certificate.not_before == LIMITS.longest_s


@pytest.mark.parametrize(
    ("changes", "owner", "why"),
    [
        ({}, NEW, "renewed for the same key only"),
        ({"may_issue": LIMITS}, MEMBER, "an issuer's certificate is renewed by the authority only"),
        ({"may_manage": True}, MEMBER, "may not: to manage others"),
        ({"may_relay": True}, MEMBER, "may not: to relay"),
        ({"may_register": ("x",)}, MEMBER, "may not: to register 'x'"),
    ],
)
def test_a_renewal_widens_nothing_and_is_for_nobody_else(office, changes, owner, why):
    grant = office.ask(MEMBER, member(**changes), owner)
    assert not grant.certificate
    assert why in grant.why_not
    assert office.meters.enrolments_refused == 1
