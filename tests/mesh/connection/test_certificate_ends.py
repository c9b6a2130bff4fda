from math import inf

from mesh.connection.certificate_ends import CertificateEnds
from mesh.trust.certificates import Certificate, TrustStore
from mesh.trust.identity import AgentId

AUTHORITY, OTHER = b"a" * 32, b"b" * 32


def until(not_after, authority=AUTHORITY):
    return Certificate(bytes(32), "agent", 0, not_after, (), (), False, False, authority)


ALICE = AgentId(b"alice".ljust(16))
BOB = AgentId(b"bob".ljust(16))


def test_the_next_look_is_at_the_earliest_end():
    ends = CertificateEnds()
    assert ends.next_look == inf
    assert ends.note(ALICE, until(200))
    assert not ends.note(ALICE, until(200))
    assert not ends.note(BOB, until(300))
    assert ends.note(BOB, until(100))
    assert ends.next_look == 100


def test_a_certificate_ends_at_that_second_and_not_before():
    ends = CertificateEnds()
    ends.note(ALICE, until(100))
    ends.note(BOB, until(200))
    assert ends.ended(99.9) == []
    assert ends.next_look == 100
    assert ends.ended(100.0) == [ALICE]
    assert ends.next_look == 200


def test_whose_certificate_has_ended_is_told_until_it_is_forgotten():
    ends = CertificateEnds()
    ends.note(ALICE, until(100))
    assert ends.ended(150.0) == ends.ended(160.0) == [ALICE]
    ends.forget(ALICE)
    ends.forget(ALICE)
    assert ends.ended(170.0) == []
    assert ends.next_look == inf


def test_the_newest_certificate_counts():
    ends = CertificateEnds()
    ends.note(ALICE, until(100))
    ends.note(ALICE, until(200))
    assert ends.ended(100.0) == []
    assert ends.next_look == 200


def test_who_is_refused_by_another_trust():
    ends = CertificateEnds()
    ends.note(ALICE, until(100))
    ends.note(BOB, until(100, OTHER))
    assert ends.refused(TrustStore([AUTHORITY, OTHER])) == []
    assert ends.refused(TrustStore([AUTHORITY])) == [BOB]
    ends.note(BOB, until(100))
    assert ends.refused(TrustStore([AUTHORITY])) == []
