"""A simulated mesh whose operators change who may do what: it is done to agents, and kept as law."""

import random
from collections.abc import Callable
from typing import Final

import msgspec

from actors.messages import route_table as route_messages
from actors.messages.agent import ChangeCredentials
from actors.route_table import RouteTable
from mesh.config.schema import GRANTED, MESH, Config
from mesh.trust.credentials import Credentials
from mesh.trust.identity import display_id
from scripts.simulation.configuring import Teller
from scripts.simulation.conversation import Conversation
from scripts.simulation.faults import Planned, Script, perform
from scripts.simulation.policies.knowledge import Knowledge
from scripts.simulation.policies.law import NOBODY, Grant, Law, Listing
from scripts.simulation.policies.plot import NEW, OLD, Act, Deed, Plot
from scripts.simulation.policies.signing import LONG_S, Signing
from scripts.simulation.scenario import Scenario
from scripts.simulation.stage import SimulatedStage
from scripts.simulation.trace import Story
from scripts.simulation.world import MeshWorld

SHORT_S: Final = (1.5, 5.0)
"""Certificates that are to end soon are valid for so long."""

CLOCK_OFF_S: Final = 240.0
"""A clock is off by so much at most: certificates that have just begun are taken by those that are behind."""

RETRY_S: Final = 0.5
"""Until somebody is looked for again who takes a revocation list."""

GROUPS: Final = ("dba", "ops")
USE: Final = (("*",), ("*",), ("my-*", "????"), ("my-api",), ("????", "other-*"), ("other-*",), ())
REGISTER: Final = (("*",), ("*",), ("*",), ("my-*",), ("????",), ("other-*",))


class PolicyStage(SimulatedStage):
    """A simulated stage on which policies change, too.

    Args:
        plot: what operators do.
    """

    def __init__(self, mesh: MeshWorld, scenario: Scenario, script: Script, story: Story, plot: Plot) -> None:
        super().__init__(mesh, scenario, script, story)
        names = script.map.names
        grants = {name: _everything(name, relays=self._relays(name), authority=OLD) for name in names}
        self.law = Law(grants, {name: display_id(mesh.id_of(name)) for name in names}, plot.issuers)
        self.knowledge = Knowledge(self.law)
        self.active: dict[str, float] = {}
        """Agents that run and do not leave, and since when."""
        self.look: Callable[[], None] = lambda: None
        """Is called before and after everything that operators do."""
        self._plot = plot
        self._is_restored = False
        self._leaving: set[str] = set()
        self._lists: dict[str, dict[tuple[str, bool], frozenset[str]]] = {name: {} for name in names}
        """Of each agent's endpoints (true) and listeners, by key, whom they are to name."""
        self._hidden: dict[tuple[str, str, bool], bool] = {}
        """By agent and key, of an endpoint or a listener: whether only those see it who may use it."""
        self._as_planned = {name: plan.setup.config for name, plan in mesh.plans.items()}
        self._teller = Teller(
            mesh, self._config_of, is_leaving=self._leaving.__contains__, on_told=self._lists_hold
        )
        self._wires: dict[str, bytes] = {}
        """Of each agent's newest certificate, but the first."""
        self._signing = Signing(mesh)
        self._places: dict[int, tuple[str, str]] = {}

    def _relays(self, name: str) -> bool:
        return name not in self.script.map.without_relay

    def began(self) -> None:
        """All agents have been started: half of them get certificates by issuers, as most agents renew."""
        for number, name in enumerate(self.script.map.names):
            self._is_active(name)
            self.knowledge.shows(name, self.mesh.world.now())
            issuer = self._plot.issuers[number % len(self._plot.issuers)]
            if number % 4 < 2 and issuer != name:
                self._certify(msgspec.structs.replace(self.law.newest(name), issuer=issuer))

    def play_part(self, begin_s: float, end_s: float) -> None:
        """Let what is to happen between two times of the script happen from now on."""
        start = self.mesh.world.now() - begin_s
        for action in self.script.actions:
            if begin_s <= action.at_s < end_s:
                self.mesh.world.at(start + action.at_s, lambda action=action: perform(action, self))
        for act in self._plot.acts:
            if begin_s <= act.at_s < end_s:
                self.mesh.world.at(start + act.at_s, lambda act=act: self._do(act))
        for planned in self.script.conversations:
            if begin_s <= planned.at_s < end_s:
                self.converse(msgspec.structs.replace(planned, at_s=planned.at_s - begin_s))

    def start_all_stopped(self) -> None:
        """Have every agent run that does not, or is about to stop."""
        for name in sorted(self._leaving):
            self.start(name)
        super().start_all_stopped()

    def judge_configurations(self) -> None:
        """Look at what all agents have answered.

        Raises:
            InvariantError: a change has not been made, or only in part.
        """
        self._teller.judge()

    # -- agents ----------------------------------------------------------------------------------------------

    def start(self, name: str) -> None:
        """Start an agent's process, as any stage does."""
        super().start(name)
        self._leaving.discard(name)
        clock = self.mesh.clock_skews.get(name, 0.0)
        self.law.clocks[name] = clock, clock
        self.knowledge.restarted(name)
        self._lists_hold(name)
        self._is_active(name)

    def crash(self, name: str) -> None:
        """Kill an agent's process."""
        super().crash(name)
        self._leaving.discard(name)
        self.active.pop(name, None)

    def leave(self, name: str) -> None:
        """Tell an agent to stop."""
        super().leave(name)
        if name in self.mesh.running:
            self._leaving.add(name)
        self.active.pop(name, None)

    def pause(self, name: str) -> None:
        """Stop an agent's process."""
        super().pause(name)
        if name in self.paused:
            self.active.pop(name, None)

    def resume(self, name: str) -> None:
        """Let it go on."""
        was_paused = name in self.paused
        super().resume(name)
        if was_paused and name not in self._leaving:
            self._is_active(name)

    def _is_active(self, name: str) -> None:
        self.active[name] = self.mesh.world.now()

    # -- clients ---------------------------------------------------------------------------------------------

    def converse(self, planned: Planned) -> Conversation:
        """Start a client at its time."""
        self._places[planned.terms.number] = planned.key, planned.agent
        return super().converse(planned)

    def place_of(self, number: int) -> tuple[str, str]:
        """The key that a conversation is with, and the agent whose listener it goes through."""
        return self._places[number]

    # -- what operators do -----------------------------------------------------------------------------------

    def _do(self, act: Act) -> None:
        self.look()
        draw = random.Random(act.seed)  # noqa: S311 -- to be repeated, not secret
        match act.deed:
            case Deed.RENEW:
                self._renew(act.agent, draw)
            case Deed.ALLOW:
                self._name(self.script.map.endpoints, draw, of_endpoint=True)
            case Deed.BELIEVE:
                self._name(self.script.map.listeners, draw, of_endpoint=False)
            case Deed.REVOKE:
                self._revoke(act.agent, draw)
            case Deed.LIFT:
                self._lift(draw)
            case Deed.SET_CLOCK:
                self._set_clock(act.agent, draw.uniform(-CLOCK_OFF_S, CLOCK_OFF_S))
            case Deed.ADD_AUTHORITY:
                self._believe(act.agent, self.law.trust[act.agent] | {NEW})
            case Deed.CHANGE_AUTHORITY:
                if NEW in self.law.trust[act.agent]:
                    before = self.law.newest(act.agent)
                    self._certify(msgspec.structs.replace(before, authority=NEW, ends_at=LONG_S))
            case Deed.DROP_AUTHORITY:
                if self.law.newest(act.agent).authority == NEW:
                    self._believe(act.agent, frozenset({NEW}))
        self.look()

    def restore(self) -> None:
        """Have every agent have all rights, and nobody be revoked: all are to be linked as configured."""
        self.look()
        self._is_restored = True
        self._hidden.clear()
        authority = NEW if self._plot.rotates else OLD
        for name in self.script.map.names:
            self.law.trust[name] = frozenset({OLD, NEW})
            self._certify(_everything(name, relays=self._relays(name), authority=authority))
            self._lists[name] = dict.fromkeys(self._lists[name], NOBODY)
            self._teller.tell(name)
        for signer in sorted(self.law.lists):
            by = authority if signer in self._plot.issuers else signer
            wire = self._publish(signer, frozenset(), by)
            for name in self.script.map.names:
                self._tell_list(signer, wire, name)
        self.look()

    def renew_all(self, for_s: float) -> None:
        """Give others to agents whose certificates end sooner than that, or whose issuer is revoked."""
        for name in self.script.map.names:
            grant = self.law.newest(name)
            revoked = frozenset[str]().union(*map(self._revoked_by, self.law.trust[name]))
            if grant.ends_at < self.mesh.world.now() + for_s or grant.issuer in revoked:
                self.look()
                self._certify(msgspec.structs.replace(grant, ends_at=LONG_S, issuer=""))

    # -- certificates ----------------------------------------------------------------------------------------

    def _renew(self, agent: str, draw: random.Random) -> None:
        before, now = self.law.newest(agent), self.mesh.world.now()
        issuers = [name for name in self._plot.issuers if name != agent]
        issuer = draw.choice(issuers) if issuers and draw.random() < 0.6 else ""
        name = agent if draw.random() < 0.8 else f"{agent}-renamed"
        groups = tuple(draw.sample(GROUPS, draw.randint(0, len(GROUPS))))
        lasts_s = draw.uniform(*SHORT_S) if draw.random() < 0.2 else LONG_S
        self._certify(
            Grant(
                agent=agent,
                name=name,
                use=draw.choice(USE),
                register=draw.choice(REGISTER),
                groups=groups,
                relays=self._relays(agent) and draw.random() < 0.75,
                authority=before.authority,
                issuer=issuer,
                ends_at=float(int(now + lasts_s)),
            )
        )

    def _certify(self, grant: Grant) -> None:
        self.law.grants[grant.agent].append(grant)
        self._wires[grant.agent] = self._signing.certificate(grant)
        self._note("certify", grant.agent)
        self.story.note("grant", str(grant))
        self._show(grant.agent)

    def _believe(self, agent: str, authorities: frozenset[str]) -> None:
        self.law.trust[agent] = authorities
        self._note("believe", agent, *sorted(authorities))
        self._show(agent)

    def _show(self, agent: str) -> None:
        """Give an agent its newest certificate, and whom it is to believe."""
        mesh = self.mesh
        plan, store = mesh.plans[agent], mesh.store_of(*sorted(self.law.trust[agent]))
        wire = self._wires.get(agent) or plan.setup.certificate_wire
        own = Credentials(plan.setup.identity, wire, store.known(wire), store)
        plan.setup = plan.setup.with_credentials(plan.setup.joined(own))  # for its next process
        if plan.root is not None and plan.root.is_alive():
            plan.root.tell(ChangeCredentials(own))
        self.knowledge.shows(agent, mesh.world.now())

    # -- lists in configurations -----------------------------------------------------------------------------

    def _name(self, places: dict[str, tuple[str, ...]], draw: random.Random, *, of_endpoint: bool) -> None:
        """Have an endpoint or a listener name others."""
        key, agent = draw.choice([(key, name) for key, names in places.items() for name in names])
        others = (self.script.map.listeners if of_endpoint else self.script.map.endpoints)[key]
        ids = [display_id(self.mesh.id_of(name)) for name in others]
        entries = [*others, *others, *ids, *(f"{name}-renamed" for name in others), "nobody"]
        entries += [f"group:{group}" for group in GROUPS] * 2
        named = frozenset(draw.sample(entries, draw.randint(1, 5)) if draw.random() < 0.6 else ())
        self._lists[agent][key, of_endpoint] = named
        self._hidden[agent, key, of_endpoint] = draw.random() < 0.4
        self._note("allow" if of_endpoint else "agents", agent, key, *sorted(named))
        self._teller.tell(agent)

    def _config_of(self, agent: str) -> Config:
        config, lists = self._as_planned[agent], self._lists[agent]

        def said(key: str, *, of_endpoint: bool) -> tuple[tuple[str, ...], str]:
            is_hidden = self._hidden.get((agent, key, of_endpoint), False)
            return tuple(sorted(lists.get((key, of_endpoint), ()))), GRANTED if is_hidden else MESH

        endpoints, listeners = [], []
        for endpoint in config.forward.endpoints:
            allow, visibility = said(endpoint.key, of_endpoint=True)
            endpoints.append(msgspec.structs.replace(endpoint, allow=allow, visibility=visibility))
        for listener in config.forward.listeners:
            agents, visibility = said(listener.key, of_endpoint=False)
            listeners.append(msgspec.structs.replace(listener, agents=agents, visibility=visibility))
        forward = msgspec.structs.replace(
            config.forward, endpoints=tuple(endpoints), listeners=tuple(listeners)
        )
        return msgspec.structs.replace(config, forward=forward)

    def _lists_hold(self, agent: str) -> None:
        """What an agent's configuration is to be, it is from now on."""
        for (key, of_endpoint), named in self._lists[agent].items():
            (self.law.allowed if of_endpoint else self.law.believed)[key, agent] = named

    # -- revocations -----------------------------------------------------------------------------------------

    def _revoke(self, agent: str, draw: random.Random) -> None:
        issuers = {self.law.newest(name).issuer for name in self.script.map.names} - {""}
        if issuers and draw.random() < 0.4:
            agent = draw.choice(sorted(issuers))
        authority = draw.choice(sorted(frozenset().union(*self.law.trust.values())))
        issuer = self.law.newest(agent).issuer
        signer = issuer if issuer and draw.random() < 0.5 else authority
        self._sign(signer, self._revoked_by(signer) | {agent}, authority, draw)

    def _lift(self, draw: random.Random) -> None:
        signers = [signer for signer in sorted(self.law.lists) if self._revoked_by(signer)]
        if signers:
            signer = draw.choice(signers)
            self._sign(signer, frozenset(), self.law.lists[signer][-1].authority, draw)

    def _revoked_by(self, signer: str) -> frozenset[str]:
        lists = self.law.lists.get(signer)
        return lists[-1].revoked if lists else frozenset()

    def _sign(self, signer: str, revoked: frozenset[str], authority: str, draw: random.Random) -> None:
        """Give a new list to an agent that takes it, once there is one; not after all is restored."""
        if self._is_restored:
            return
        mesh, law = self.mesh, self.law
        tellers = [
            name
            for name in sorted(self.active)
            if not law.may_refuse_list(name, signer, authority) and mesh.routes(name) is not None
        ]
        if tellers:
            wire = self._publish(signer, revoked, authority)
            self._tell_list(signer, wire, draw.choice(tellers))
        else:
            again = mesh.world.now() + RETRY_S
            mesh.world.at(again, lambda: self._sign(signer, revoked, authority, draw))

    def _publish(self, signer: str, revoked: frozenset[str], authority: str) -> bytes:
        listing = Listing(authority, revoked)
        self.law.lists.setdefault(signer, []).append(listing)
        self.story.note("revoked", f"by {signer} of {authority}: {', '.join(sorted(revoked)) or 'nobody'}")
        return self._signing.revocations(signer, listing)

    def _tell_list(self, signer: str, wire: bytes, teller: str) -> None:
        for table in self.mesh.actors_on(teller, RouteTable):
            self.story.note("told", teller)
            table.ref.tell(route_messages.TakeRevocations((wire,)))
            self.knowledge.told(signer, teller, self.mesh.world.now())

    # -- clocks ----------------------------------------------------------------------------------------------

    def _set_clock(self, agent: str, ahead_s: float) -> None:
        mesh = self.mesh
        self._note("set clock", agent)
        mesh.clock_skews[agent] = ahead_s
        if agent in mesh.running:
            mesh.world.dispatcher(agent).clock_skew_s = ahead_s
            low, high = self.law.clocks[agent]
            self.law.clocks[agent] = min(low, ahead_s), max(high, ahead_s)


def _everything(agent: str, *, relays: bool, authority: str) -> Grant:
    return Grant(
        agent=agent,
        name=agent,
        use=("*",),
        register=("*",),
        groups=(),
        relays=relays,
        authority=authority,
        issuer="",
        ends_at=LONG_S,
    )
