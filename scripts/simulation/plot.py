"""A timeline of one run as SVG: who was up, which links were cut, route convergence, throughput."""

import itertools
from collections.abc import Iterable
from typing import Final

from scripts import svg
from scripts.simulation.faults import Script
from scripts.simulation.topology import hop_counts
from scripts.simulation.trace import Story
from scripts.simulation.world import MeshWorld

SAMPLE_S: Final = 0.1
WIDTH: Final = 1200
LEFT: Final = 190
"""Room for names."""
RIGHT: Final = 20
ROW: Final = 16
LANE: Final = 44
"""Height of a connection's lane."""

MAX_LANES: Final = 40
"""Most agents, links or connections that are drawn."""

PAUSED: Final = "#e0a030"
DOWN: Final = "#d04848"
UP: Final = "#8fbf8f"
LINE: Final = "#3060a0"

_DOWN_AT: Final = {"crash": DOWN, "leave": DOWN, "pause": PAUSED}
_UP_AT: Final = {"start", "resume"}
_CUT_AT: Final = {"cut": DOWN, "cut one way": PAUSED, "cut with reset": DOWN, "slow down": PAUSED}
_HEALED_AT: Final = {"heal", "speed up"}

Span = tuple[float, float, str]
"""From, to, colour."""


class Recorder:
    """Looks at a mesh ten times a virtual second, without an effect on it."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.converged: list[float] = []
        """Share of running agents whose hop counts are those of the graph as it is at that time."""
        self.byte_count: list[list[int]] = []
        """What each conversation has delivered, at both ends, at each time."""

    def watch(self, mesh: MeshWorld, script: Script, story: Story) -> None:
        """Look at ``mesh`` from now on."""
        self._mesh, self._script, self._story = mesh, script, story
        mesh.world.at(0.0, self._look)

    def _look(self) -> None:
        mesh = self._mesh
        self.times.append(mesh.world.now())
        self.converged.append(self._share_converged())
        self.byte_count.append(
            [
                c.heard.byte_count
                + (mesh.records[c.terms.number].byte_count if c.terms.number in mesh.records else 0)
                for c in mesh.conversations
            ]
        )
        mesh.world.at(mesh.world.now() + SAMPLE_S, self._look)

    def _share_converged(self) -> float:
        mesh, links = self._mesh, self._script.map.links
        running = [name for name in self._script.map.names if name in mesh.plans and self._is_up(name)]
        network = mesh.network
        truth: dict[str, set[str]] = {name: set() for name in running}
        for one, other in links:
            there = network.link(network.host(one), network.host(other))
            back = network.link(network.host(other), network.host(one))
            cut = any(way.is_cut or way.refusing for way in (there, back))
            if one in truth and other in truth and not cut:
                truth[one].add(other)
                truth[other].add(one)
        ends = self._script.map.without_relay
        right = 0
        for name in running:
            snapshot = mesh.routes(name)
            if snapshot is not None:
                names = {agent_id: record.name for agent_id, record in snapshot.records.items()}
                found = {names[agent_id]: hops for agent_id, hops in snapshot.hop_counts.items()}
                right += found == hop_counts(truth, name, without_relay=ends)
        return right / len(running) if running else 1.0

    def _is_up(self, name: str) -> bool:
        root = self._mesh.plans[name].root
        return root is not None and root.is_alive()

    def draw(self, title: str) -> str:
        """The timeline, an SVG document."""
        return _Drawing(self, self._story, self._script, title).text()

    def rates(self, number: int) -> list[float]:
        """Bytes a second of one conversation, between one look and the next."""
        byte_count = [look[number] if number < len(look) else 0 for look in self.byte_count]
        return [max(0, later - earlier) / SAMPLE_S for earlier, later in itertools.pairwise(byte_count)]


class _Drawing:
    def __init__(self, recorder: Recorder, story: Story, script: Script, title: str) -> None:
        self.recorder, self.story, self.script = recorder, story, script
        self.end_s = max([*recorder.times, 1.0])
        self.y = 30
        self.parts: list[str] = [svg.text(LEFT, 18, title, size=14)]

    def text(self) -> str:
        self._agents()
        self._links()
        self._services()
        self._section("agents whose routes are the graph's, %")
        shares = [100 * share for share in self.recorder.converged]
        self._curve("", self.recorder.times, shares, 100.0, "100 %")
        self._connections()
        self._axis()
        height = self.y + 10
        return svg.document(self.parts, width=WIDTH, height=height)

    def _x(self, time_s: float) -> float:
        return LEFT + (WIDTH - LEFT - RIGHT) * time_s / self.end_s

    def _section(self, text: str) -> None:
        self.y += 10
        self.parts.append(svg.text(LEFT, self.y + 11, text, weight="bold"))
        self.y += ROW

    def _agents(self) -> None:
        self._section("agents: up, paused, down or leaving")
        for name in self.script.map.names[:MAX_LANES]:
            self._spans(name, self._changes(name, _DOWN_AT, _UP_AT))

    def _links(self) -> None:
        hurt = {subject for _, what, subject in self.story.entries if what in _CUT_AT}
        pairs = [pair for pair in self.script.map.links if {" - ".join(pair), " - ".join(pair[::-1])} & hurt]
        if pairs:
            self._section("links that were hurt: whole, one way or slow, cut")
        for one, other in pairs[:MAX_LANES]:
            both = {f"{one} - {other}", f"{other} - {one}"}
            self._spans(f"{one} - {other}", self._changes(both, _CUT_AT, _HEALED_AT))

    def _services(self) -> None:
        killed = dict.fromkeys(subject for _, what, subject in self.story.entries if what == "kill target")
        if killed:
            self._section("services that were killed")
        for host in list(killed)[:MAX_LANES]:
            self._spans(host, self._changes(host, {"kill target": DOWN}, {"start target"}))

    def _changes(self, subjects: str | set[str], bad: dict[str, str], good: Iterable[str]) -> list[Span]:
        wanted = {subjects} if isinstance(subjects, str) else subjects
        spans: list[Span] = []
        since, colour = 0.0, UP
        for time_s, what, subject in self.story.entries:
            after = bad.get(what) or (UP if what in good else None)
            if subject in wanted and after is not None and after != colour:
                spans.append((since, time_s, colour))
                since, colour = time_s, after
        return [*spans, (since, self.end_s, colour)]

    def _spans(self, name: str, spans: list[Span]) -> None:
        self.parts.append(svg.text(LEFT - 6, self.y + 11, name, anchor="end"))
        for start_s, end_s, colour in spans:
            x, width = self._x(start_s), max(0.5, self._x(end_s) - self._x(start_s))
            self.parts.append(
                f'<rect x="{x:.1f}" y="{self.y + 2}" width="{width:.1f}" height="{ROW - 5}" fill="{colour}"/>'
            )
        self.y += ROW

    def _connections(self) -> None:
        conversations = self.recorder._mesh.conversations
        if not conversations:
            return
        self._section("connections: bytes a second delivered, both directions together")
        times = self.recorder.times[1:]
        for number, conversation in enumerate(conversations[:MAX_LANES]):
            rates = self.recorder.rates(number)
            peak = max([*rates, 1.0])
            heard = conversation.heard
            fate = "complete" if heard.is_complete else "left" if heard.left else "reset"
            fate = "refused" if heard.refused else fate if heard.is_over else "open"
            self._curve(f"{conversation.terms.number}: {fate}", times, rates, peak, _si(peak))

    def _curve(self, name: str, times: list[float], values: list[float], top: float, label: str) -> None:
        base = self.y + LANE - 6
        points = [
            f"{self._x(time_s):.1f},{base - (LANE - 12) * value / top:.1f}"
            for time_s, value in zip(times, values, strict=False)
        ]
        self.parts += [
            svg.text(LEFT - 6, base - 12, name, anchor="end"),
            svg.text(LEFT - 6, base, label, anchor="end", colour="#808080"),
            f'<line x1="{LEFT}" y1="{base}" x2="{WIDTH - RIGHT}" y2="{base}" stroke="#d0d0d0"/>',
            f'<polyline points="{" ".join(points)}" fill="none" stroke="{LINE}" stroke-width="1.2"/>',
        ]
        self.y += LANE

    def _axis(self) -> None:
        top, self.y = 30, self.y + ROW
        step = next(step for step in (1, 2, 5, 10, 20, 50, 100, 1000, 1e9) if self.end_s / step <= 20)
        for n in range(int(self.end_s / step) + 1):
            x, bottom = self._x(n * step), self.y - 12
            self.parts.append(
                f'<line x1="{x:.1f}" y1="{top}" x2="{x:.1f}" y2="{bottom}" stroke="#000" opacity="0.08"/>'
            )
            self.parts.append(svg.text(x, self.y, f"{n * step:g} s", anchor="middle"))


def _si(bytes_per_s: float) -> str:
    for factor, unit in ((2**20, "MiB/s"), (2**10, "KiB/s")):
        if bytes_per_s >= factor:
            return f"{bytes_per_s / factor:.1f} {unit}"
    return f"{bytes_per_s:.0f} B/s"
