"""The API of real agents, at ``http.address`` and at the control socket."""

import http.client
import json

from mesh.agent.control.requests import AGENTS, LINKS, LISTENERS, OPENAPI, RELOAD, ROUTES, SERVICES
from mesh.agent.control.tokens import new_token, token_hash
from scripts.lab.clients import connect, read_all
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, announce
from scripts.lab.waiting import wait_until
from tests.api_conformance import Conformance


class Http:
    """Asks an agent at its ``http.address``; holds each answer against the agent's own document."""

    def __init__(self, agent):
        self._port = agent.http_port
        self._conformance = Conformance(json.loads(self._ask("GET", OPENAPI)[2]))

    def ask(self, method, path, body=None, **headers):
        status, found, data = self._ask(method, path, body, headers)
        place = path.partition("?")[0]
        self._conformance.check(method, place, status, found.get("content-type", ""), data)
        return status, found, json.loads(data) if data else None

    def _ask(self, method, path, body=None, headers=None):
        connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=20)
        try:
            data = None if body is None else json.dumps(body)
            kind = {} if body is None else {"Content-Type": "application/json"}
            connection.request(method, path, data, kind | (headers or {}))
            answer = connection.getresponse()
            return answer.status, {k.lower(): v for k, v in answer.getheaders()}, answer.read()
        finally:
            connection.close()


def test_an_agent_is_read_by_everybody_and_changed_by_the_bearers_of_tokens(mesh):
    token = new_token()
    hq, branch = mesh.agent("hq"), mesh.agent("branch")
    with Service(announce(b"hello")) as service:
        hq.offer("api", service.port)
        branch.dial(hq)
        branch.config["http"]["tokens"] = [{"name": "ci", "hash": token_hash(token).hex()}]
        mesh.start()
        asks, bearer = Http(branch), {"Authorization": f"Bearer {token}"}
        branch.wait_for_peers(hq)

        names = {row["name"]: row for row in asks.ask("GET", AGENTS)[2]["rows"]}
        assert names["hq"]["id"] == hq.id
        assert len(asks.ask("GET", LINKS)[2]["rows"]) == 1
        tested = asks.ask("POST", "/api/mesh-test")[2]
        assert (tested["total_count"], tested["reachable_count"]) == (2, 2)
        assert {each["short_id"] for each in tested["results"]} == {hq.short_id, branch.short_id}
        assert asks.ask("GET", "/api/mesh-test")[2] == tested
        entry = {"key": "api", "address": f"{LOOPBACK}:0"}
        assert asks.ask("POST", LISTENERS, {"service": entry})[0] == 401
        tag = asks.ask("GET", LISTENERS)[1]["etag"]
        status, _, added = asks.ask(
            "POST", LISTENERS, {"service": entry, "save": True}, **bearer, **{"If-Match": tag}
        )
        assert status == 201
        branch.wait_for_route("api")
        with connect(int(added["address"].rpartition(":")[2])) as client:
            assert read_all(client) == b"hello"
        wait_until(lambda: asks.ask("GET", ROUTES)[2]["rows"], "the API has the route")  # an answer is shared
        (route,) = asks.ask("GET", ROUTES)[2]["rows"]
        assert route["path_ids"] == [branch.id, hq.id]
        (key,) = asks.ask("GET", SERVICES)[2]["rows"]
        assert (key["key"], key["offers"][0]["agent"], key["listeners"][0]["agent"]) == (
            "api",
            "hq",
            "branch",
        )
        late = asks.ask("DELETE", f"{LISTENERS}?key=api", None, **bearer, **{"If-Match": tag})
        assert late[0] == 412
        assert asks.ask("DELETE", f"{LISTENERS}?key=api", None, **bearer)[0] == 204
        line = f"DELETE {LISTENERS} by the token of ci: 204"  # written down as the answer leaves
        wait_until(lambda: line in branch.process.output, "the log says who has changed what")
        assert token not in branch.process.output

        # The token is taken out, at once.
        del branch.config["http"]["tokens"]
        branch.reload()
        assert asks.ask("POST", RELOAD, None, **bearer)[0] == 403
