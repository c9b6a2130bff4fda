"""``/health``, ``/healthz`` and ``/ready``: for supervisors and load balancers."""

import falcon
import msgspec

from mesh.agent.dashboard.single_flight import SingleFlight
from mesh.agent.dashboard.status import DashboardSnapshot


class HealthResource:
    """The process lives and serves HTTP; asks nobody."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always 200."""
        resp.data = msgspec.json.encode({"status": "ok"})

    on_head = on_get


class ReadyResource:
    """The actors answer, or did lately, and every listener and acceptor is up.

    A probe is to find out an agent that is stuck or cannot serve, not one that is busy for a moment.
    """

    def __init__(self, status: SingleFlight[DashboardSnapshot]) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 when ready; 503 with the reasons otherwise (no answer: see the app's error handler).

        ``age_s`` says how old the answer is: 0 unless the actors are late.
        """
        answer = self._status.latest()
        problems, age_s = answer.value.problems, round(answer.age_s, 3)
        if problems:
            resp.status = falcon.HTTP_503
            not_ready = {"status": "not ready", "error": "; ".join(problems), "age_s": age_s}
            resp.data = msgspec.json.encode(not_ready)
        else:
            resp.data = msgspec.json.encode({"status": "ready", "age_s": age_s})

    on_head = on_get
