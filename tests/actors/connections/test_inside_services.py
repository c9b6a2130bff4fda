"""What an agent serves by itself: who has a place."""

from types import SimpleNamespace

from actors.connections.inside_services import ENROL_PLACES, InsideServices
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import ENROL, Caller, ReservedKey
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId

ASKED = ReservedKey(ENROL)


def caller(number):
    certificate = Certificate(bytes(32), f"agent{number}", 0, 1, (), (), False, False, bytes(32))
    return Caller(AgentId(number.to_bytes(16, "big")), certificate)


def inside_services():
    """Serves nobody to an end: whoever has asked is silent."""
    dispatcher = SimpleNamespace(pair=lambda: (object(), object()))

    class End:
        def tell(self, message):
            del message

    return InsideServices(dispatcher, lambda *_: End())


def test_agents_that_ask_slowly_keep_nobody_from_a_certificate():
    services = inside_services()
    crowd = [caller(number) for number in range(1, ENROL_PLACES)]
    assert len(crowd) >= 48
    for each in crowd:
        assert services.objection(ASKED, each) is None
        services.open(ASKED, each)
        assert services.objection(ASKED, each).code is RejectCode.AT_CAPACITY
    assert services.objection(ASKED, caller(1_000)) is None
