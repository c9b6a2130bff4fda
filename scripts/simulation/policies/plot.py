"""What operators do to the policies of a simulated mesh, and when: drawn before anything starts."""

import enum
import random
from collections.abc import Sequence
from typing import Final

import msgspec

from scripts.simulation.faults import Script
from scripts.simulation.policies.law import PATTERNS
from scripts.simulation.scenario import Policies, ScenarioError, bounds

OLD, NEW = "authority", "authority-2"
"""Two authorities: at first there is only one, and a rotation puts the other in its place."""

ISSUERS: Final = 2
"""How many agents may sign others' certificates."""

ROTATION_STEPS: Final = ((0.0, 0.3), (0.35, 0.6), (0.65, 0.98))
"""Of a rotation, as shares of a run: all agents believe the new authority, too; get certificates by it;
believe the old one no more."""


class Deed(enum.StrEnum):
    """What an operator does."""

    RENEW = "renew"
    """An agent gets a certificate with other rights, groups, name or end, by an authority or an issuer."""
    ALLOW = "allow"
    """An endpoint's ``allow:`` is another."""
    BELIEVE = "believe"
    """A listener's ``agents:`` is another."""
    REVOKE = "revoke"
    """An authority or an issuer revokes one more agent."""
    LIFT = "lift"
    """It revokes nobody any more."""
    SET_CLOCK = "set_clock"
    """An agent's clock is set off by some minutes while it runs."""
    ADD_AUTHORITY = "add_authority"
    """An agent believes the new authority, too."""
    CHANGE_AUTHORITY = "change_authority"
    """It gets a certificate by that one."""
    DROP_AUTHORITY = "drop_authority"
    """It believes the old one no more."""


WEIGHTS: Final = {
    Deed.RENEW: 6,
    Deed.ALLOW: 2,
    Deed.BELIEVE: 2,
    Deed.REVOKE: 3,
    Deed.LIFT: 3,
    Deed.SET_CLOCK: 1,
}
ROTATION: Final = (Deed.ADD_AUTHORITY, Deed.CHANGE_AUTHORITY, Deed.DROP_AUTHORITY)


class Act(msgspec.Struct, frozen=True):
    """One deed; what exactly is drawn from its own seed when it is done, out of what is possible then."""

    at_s: float
    """Seconds of faults and deeds that have passed by then."""
    deed: Deed
    agent: str
    seed: str


class Plot(msgspec.Struct, frozen=True):
    """Everything that was drawn for the policies of one run."""

    issuers: tuple[str, ...]
    rotates: bool
    acts: tuple[Act, ...]
    """In the order of their times."""


def draw_plot(policies: Policies, script: Script, duration_s: float) -> Plot:
    """Draw what operators do within ``duration_s``.

    Raises:
        ScenarioError: the scenario has keys that no certificate here speaks of.
    """
    if unknown := script.map.endpoints.keys() - PATTERNS["*"]:
        raise ScenarioError(f"nothing is known of the keys {sorted(unknown)}, at `services`")
    draw = random.Random(f"{script.seed} policies")  # noqa: S311 -- to be repeated, not secret
    names = script.map.names
    issuers = tuple(draw.sample(names, min(ISSUERS, len(names))))
    deeds, weights = list(WEIGHTS), list(WEIGHTS.values())
    planned = [
        (draw.uniform(0.0, duration_s), draw.choices(deeds, weights)[0], draw.choice(names))
        for _ in range(draw.randint(*map(round, bounds(policies.acts))))
    ]
    rotates = draw.random() < policies.rotation
    if rotates:
        planned += _draw_rotation(names, duration_s, draw, in_order=draw.random() >= policies.careless)
    planned.sort(key=lambda each: each[0])
    acts = tuple(
        Act(at_s, deed, agent, f"{script.seed} act {number}")
        for number, (at_s, deed, agent) in enumerate(planned)
    )
    return Plot(issuers, rotates, acts)


def _draw_rotation(
    names: Sequence[str], duration_s: float, draw: random.Random, *, in_order: bool
) -> list[tuple[float, Deed, str]]:
    """Of each agent the three steps; of all agents together in order, or each at times of its own."""
    planned = []
    for name in names:
        if in_order:
            times = [draw.uniform(*step) * duration_s for step in ROTATION_STEPS]
        else:
            times = sorted(draw.uniform(0.0, duration_s) for _ in ROTATION_STEPS)
        planned += [(at_s, deed, name) for at_s, deed in zip(times, ROTATION, strict=True)]
    return planned
