# ruff: noqa: ARG001 - Falcon passes everything to everybody
"""What the control socket answers while there is no agent to ask yet."""

from wsgiref.types import WSGIApplication

import falcon

from mesh.agent.control.problem import handle_problems
from mesh.agent.dashboard.status import StatusSource


def not_yet(status: StatusSource) -> WSGIApplication:
    """Answers every request with 503 and why ``status`` has nothing to show."""
    app: falcon.App[falcon.Request, falcon.Response] = falcon.App()
    handle_problems(app)

    def refuse(req: falcon.Request, resp: falcon.Response, **parameters: object) -> None:
        status.dashboard_snapshot(0.0)

    app.add_sink(refuse, prefix="/")
    return app
