"""What an agent of a scenario on loopback is configured with."""

from collections.abc import Callable
from typing import Any

from scripts.lab.ports import LOOPBACK
from scripts.simulation.faults import EndpointShape, Script
from scripts.simulation.scenario import Settings


def agent_config(
    script: Script, settings: Settings, name: str, authority: str, port: Callable[..., int]
) -> dict[str, Any]:
    """The configuration of the agent ``name`` in a scenario.

    Args:
        script: the layout, and what each endpoint is like.
        settings: the scenario's, of all its agents.
        name: which agent.
        authority: public key of the mesh's authority.
        port: gives the port for a purpose, such as ``"link", one, other``.
    """
    layout = script.map

    def address(*purpose: str) -> str:
        return f"{LOOPBACK}:{port(*purpose)}"

    offered = [key for key, names in layout.endpoints.items() if name in names]
    used = [key for key, names in layout.listeners.items() if name in names]
    return {
        "agent": {
            "name": name,
            "data_dir": ".",
            "drain_timeout": f"{settings.drain_timeout_s}s",
            "relay": name not in layout.without_relay,
        },
        "trust": {"authorities": [authority], "certificate": "agent.cert"},
        "accept": [{"address": address("accept", name)}],
        "peers": [{"address": address("link", name, other)} for other in layout.dialed_by(name)],
        "forward": {
            "endpoints": [
                {"key": key, "target": address("service", key, name)}
                | _endpoint_config(script.endpoints[key, name])
                for key in offered
            ],
            "listeners": [{"key": key, "address": address("listener", key, name)} for key in used],
        },
        "http": {"address": address("http", name)},
        "connections": {
            "timeout": f"{settings.timeout_s}s",
            "open_timeout": f"{settings.open_timeout_s}s",
            "reroute_timeout": f"{settings.reroute_timeout_s}s",
        },
        "limits": {
            "relay_buffer": f"{max(1, int(settings.relay_mib))}MiB",
            "stream_buffer": f"{int(settings.stream_mib)}MiB",
        },
    }


def _endpoint_config(shape: EndpointShape) -> dict[str, Any]:
    config: dict[str, Any] = {"max_connections": shape.max_connections}
    check = shape.health_check
    if check is not None:
        config["health_check"] = {
            "interval": f"{check.interval_s:.3f}s",
            "timeout": f"{check.timeout_s:.3f}s",
            "unhealthy_after": check.unhealthy_after,
            "healthy_after": check.healthy_after,
        }
    return config
