"""``/api/mesh-test``: anybody may ask for it, and it may take long."""

import queue
import threading
from types import SimpleNamespace

from mesh.agent.control.mesh_test_routes import MAX_WAITING, mesh_test_routes
from mesh.agent.control.problem import ProblemError
from mesh.agent.control.route import Call, Nothing
from mesh.agent.dashboard.status import StatusUnavailable


def test_those_who_wait_for_a_test_take_few_threads():
    goes_on, refusals = threading.Event(), queue.SimpleQueue()

    def status():
        goes_on.wait(20)
        raise StatusUnavailable("nothing to show")

    get, _ = (route.handle for route in mesh_test_routes(SimpleNamespace(status=status)))

    def ask():
        try:
            get(Call(Nothing(), Nothing(), "http.address"))
        except (ProblemError, StatusUnavailable) as error:
            refusals.put(error)

    asking = [threading.Thread(target=ask) for _ in range(MAX_WAITING + 1)]
    try:
        for each in asking:
            each.start()
        first = refusals.get(timeout=10)
        assert isinstance(first, ProblemError)
        assert first.document.status == 503
    finally:
        goes_on.set()
        for each in asking:
            each.join(20)
    ask()
    others = [refusals.get_nowait() for _ in range(MAX_WAITING + 1)]
    assert all(isinstance(each, StatusUnavailable) for each in others)
