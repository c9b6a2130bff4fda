"""What of a configuration the mesh cannot be told of: judged by the code that tells it."""

from mesh.config.schema import MESH, Config
from mesh.routing.records import EndpointEntry, ListenerEntry
from mesh.routing.service_layout import lay_out
from mesh.trust.identity import NO_AGENT


def offer_problems(config: Config) -> tuple[str, ...]:
    """One line for each field of ``config`` and each limit that it is beyond; none where all can be offered.

    Listeners tell of the address that they are bound to, which may be longer than the configured one.
    """
    layout = lay_out(
        NO_AGENT,
        (
            EndpointEntry(entry.key, str(entry.target) if entry.show_target else None)
            for entry in config.forward.endpoints
            if entry.visibility == MESH
        ),
        (
            ListenerEntry(entry.key, str(entry.address))
            for entry in config.forward.listeners
            if entry.visibility == MESH
        ),
    )
    return tuple(f"forward.{omission.what}: {omission}" for omission in layout.omissions)
