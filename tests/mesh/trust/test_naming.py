"""Who is meant by a name or an ID."""

from mesh.trust.identity import AgentId
from mesh.trust.naming import is_id, listing

AGENT, OTHER = AgentId(bytes(range(16))), AgentId(bytes(16))
ID = "000102030405060708090a0b0c0d0e0f"


def test_an_agent_is_meant_by_its_name_or_its_whole_id():
    assert listing(["x", "hq"], "hq", AGENT) == "hq"
    assert listing([ID], "hq", AGENT) == ID
    assert not listing(["HQ", "h", ID[:8]], "hq", AGENT)
    assert not listing([], "hq", AGENT)
    assert not listing([ID], "hq", OTHER)


def test_a_name_that_looks_like_anothers_id_is_not_taken_for_it():
    assert is_id(ID)
    assert not listing([ID], ID, OTHER)


def test_a_group_means_all_whose_certificates_have_it_and_nobody_by_name():
    assert listing(["group:dba"], "hq", AGENT, ("ops", "dba")) == "group:dba"
    assert not listing(["group:dba", "dba"], "hq", AGENT, ("dbas", "group:dba"))
    assert not listing(["group:dba"], "group:dba", AGENT)
    assert listing(["hq", "group:dba"], "hq", AGENT, ("dba",)) == "hq"
