"""What an agent serves by itself: who has a place."""

from types import SimpleNamespace

from actors.connections.inside_services import ENROL_PLACES, IDLE_FACTOR, InsideServices
from mesh.connection.reject_codes import RejectCode
from mesh.connection.reserved import ECHO, ENROL, Caller, ReservedKey
from mesh.trust.certificates import Certificate
from mesh.trust.identity import AgentId

ASKED = ReservedKey(ENROL)


def caller(number):
    certificate = Certificate(bytes(32), f"agent{number}", 0, 1, (), (), False, False, bytes(32))
    return Caller(AgentId(number.to_bytes(16, "big")), certificate)


def inside_services(clock=lambda: 100.0, leaving=None):
    """Serves nobody to an end: whoever has asked is silent."""
    dispatcher = SimpleNamespace(pair=lambda: (object(), object()), now=clock)

    class End:
        def tell(self, message):
            del message

    def start_end(service, asker, leave):
        if leaving is not None:
            leaving[asker.id] = leave
        return End()

    return InsideServices(dispatcher, start_end)


def test_agents_that_ask_slowly_keep_nobody_from_a_certificate():
    services = inside_services()
    crowd = [caller(number) for number in range(1, ENROL_PLACES)]
    assert len(crowd) >= 48
    for each in crowd:
        assert services.objection(ASKED, each) is None
        services.open(ASKED, each)
        assert services.objection(ASKED, each).code is RejectCode.AT_CAPACITY
    assert services.objection(ASKED, caller(1_000)) is None


def test_who_holds_a_place_and_asks_nothing_has_none_for_four_times_as_long():
    now, leaving = [100.0], {}
    services = inside_services(lambda: now[0], leaving)
    idle, asking = caller(1), caller(2)
    for each in (idle, asking):
        services.open(ASKED, each)
    now[0] += 10.0
    leaving[asking.id](True)
    leaving[idle.id](False)
    assert services.objection(ASKED, asking) is None
    for _ in range(2):
        assert services.objection(ASKED, idle).code is RejectCode.AT_CAPACITY
        now[0] += 10.0 * IDLE_FACTOR / 2
    assert services.objection(ASKED, idle) is None
    assert services.objection(ReservedKey(ECHO), idle) is None
