"""An agent says that another has its name."""

import msgspec

from mesh.agent.namesakes import namesake_warnings
from mesh.hops import DEFAULT_MAX_HOPS
from mesh.routing.counterparts import MAX_NAMES_SHOWN
from mesh.routing.routes import compute_routes
from mesh.trust.identity import short_id
from tests.mesh.routing.graph_company import agent, mesh


def routes_with(*namesakes: int, is_invitation: bool = False):
    records = mesh(*((1, number, 0) for number in range(2, 9)))
    for number in namesakes:
        record = records[agent(number)]
        certificate = msgspec.structs.replace(
            record.certificate, name=records[agent(1)].name, is_invitation=is_invitation
        )
        records[agent(number)] = msgspec.structs.replace(record, certificate=certificate)
    return compute_routes(agent(1), records, max_hops=DEFAULT_MAX_HOPS, version=1)


def test_names_of_their_own_are_no_news():
    assert namesake_warnings(routes_with()) == ()


def test_an_invitation_to_have_the_name_is_no_agent_of_that_name():
    assert namesake_warnings(routes_with(2, is_invitation=True)) == ()


def test_another_with_the_name_is_told_of_by_its_id():
    (line,) = namesake_warnings(routes_with(2))
    assert line.startswith(f"another agent has the name of this one, 'agent-1': {short_id(agent(2))};")


def test_of_many_some_are_told():
    (line,) = namesake_warnings(routes_with(*range(2, 9)))
    assert f" and {7 - MAX_NAMES_SHOWN} more;" in line
