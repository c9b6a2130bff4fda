"""Clients of a dashboard that has no server."""

from collections.abc import Callable
from typing import TypeAlias

from falcon import testing

from mesh.agent.dashboard.app import DashboardApp

MakeApp: TypeAlias = Callable[..., DashboardApp]
"""What the fixture ``make_app`` is; takes the app's options."""


def client_of(app: DashboardApp) -> testing.TestClient:
    return testing.TestClient(app, headers={"Host": "127.0.0.1:8080"})
