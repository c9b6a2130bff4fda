"""The configuration that ``mesh init`` writes: it works as it stands and says what to put where."""

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Final

import msgspec

CONFIG_FILE: Final = "config.yaml"
CERTIFICATE_FILE: Final = "agent.cert"
FILL_IN: Final = "FILL IN"
"""Marks what only the user knows."""

_TEMPLATE: Final = """\
# The mesh agent "{name}". Paths here are relative to this file.
# Check it with:  mesh check config.yaml
# Start it with:  mesh agent config.yaml

agent:
  name: "{name}"
  data_dir: "."                    # has identity.key, which never leaves this machine

trust:
  authorities:                     # whose certificates admit an agent to this mesh
{authorities}
  certificate: "{certificate}"        # valid until {until:%Y-%m-%d}

{links}
forward:
  # Services near this agent. Every agent of the mesh can reach them by key.
  endpoints:
  #  - key: "my-api"
  #    target: "localhost:3000"

  # Local ports that lead to services elsewhere in the mesh.
  listeners:
  #  - key: "postgres-main"
  #    address: "127.0.0.1:5432"

# What is connected to what:  curl http://{http}/api/dashboard
http:
  address: "{http}"
"""


class AgentPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What ``mesh init`` decided for one agent."""

    name: str
    accept: str | None
    """Where it accepts links, if it does."""
    peers: tuple[str, ...]
    """Whom it dials."""
    guessed_peers: tuple[str, ...]
    """Those of ``peers`` whose address the user has to put right."""
    http: str


def starter_config(plan: AgentPlan, authorities: Iterable[str], until: int) -> str:
    """The text of an agent's configuration file.

    Args:
        plan: of this agent; its name needs no escaping in YAML.
        authorities: public keys in base64.
        until: when its certificate expires, in Unix seconds.
    """
    return _TEMPLATE.format(
        name=plan.name,
        authorities="\n".join(f'    - "{each}"' for each in authorities),
        certificate=CERTIFICATE_FILE,
        until=datetime.fromtimestamp(until, UTC),
        links=f"{_accept(plan)}\n{_peers(plan)}",
        http=plan.http,
    )


def _accept(plan: AgentPlan) -> str:
    text = "# Where other agents reach this one; its port must be open to them.\n"
    if plan.accept is None:
        return f'{text}# accept:\n#   - address: "0.0.0.0:4433"\n'
    return f'{text}accept:\n  - address: "{plan.accept}"\n'


def _peers(plan: AgentPlan) -> str:
    text = "# Agents that this one dials, and redials for ever.\n"
    if not plan.peers:
        return f'{text}# peers:\n#   - address: "relay.example.com:4433"\n'
    rows = []
    for peer in plan.peers:
        remark = f"   # {FILL_IN}: where that agent can be reached" if peer in plan.guessed_peers else ""
        rows.append(f'  - address: "{peer}"{remark}\n')
    return f"{text}peers:\n{''.join(rows)}"
