"""``/health``, ``/healthz`` and ``/ready``: for supervisors and load balancers."""

import falcon
import msgspec

from mesh.dashboard.single_flight import SingleFlight
from mesh.dashboard.status import DashboardSnapshot


class HealthResource:
    """The process lives and serves HTTP; asks nobody."""

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """Always 200."""
        resp.data = msgspec.json.encode({"status": "ok"})

    on_head = on_get


class ReadyResource:
    """The actors answer and every listener and acceptor is up."""

    def __init__(self, status: SingleFlight[DashboardSnapshot]) -> None:
        self._status = status

    def on_get(self, req: falcon.Request, resp: falcon.Response) -> None:
        """200 when ready; 503 with the reasons otherwise (no answer: see the app's error handler)."""
        problems = self._status.get().problems
        if problems:
            resp.status = falcon.HTTP_503
            resp.data = msgspec.json.encode({"status": "not ready", "error": "; ".join(problems)})
        else:
            resp.data = msgspec.json.encode({"status": "ready"})

    on_head = on_get
