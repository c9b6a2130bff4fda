"""What this agent says: issues its record when that is due, with its pages and its sealed blocks."""

from collections.abc import Sequence

from mesh.alarms import THIS_AGENT, AlarmKind
from mesh.routing.database import LinkState
from mesh.routing.effects import Effects
from mesh.routing.flooding import FloodQueue
from mesh.routing.given_away import given_away
from mesh.routing.granted_offers import GrantedOffers
from mesh.routing.notices import OWN_KEY_REMEDY, Notices
from mesh.routing.origination import Originator
from mesh.routing.page_table import PageTable
from mesh.routing.pages import with_shown
from mesh.routing.records import Record, decode_body, trusted_record
from mesh.routing.routes import RouteSnapshot
from mesh.routing.service_layout import Omission
from mesh.trust.certificates import Certificate


class OwnRecord:
    """This agent's record: as it holds now, and as the mesh hears it; ``now`` is monotonic seconds.

    Args:
        certificate: this agent's.
        originator: says what is new, and when.
        granted: what some agents only are shown.
        link_state: all records.
        pages: those that records name.
        flood: tells peers of news.
        notices: what has been said to people.
    """

    def __init__(
        self,
        certificate: Certificate,
        originator: Originator,
        granted: GrantedOffers,
        *,
        link_state: LinkState,
        pages: PageTable,
        flood: FloodQueue,
        notices: Notices,
    ) -> None:
        self.certificate = certificate
        """The present one."""
        self.issued = 0
        """How many records were."""
        self._originator = originator
        self._granted = granted
        self._link_state = link_state
        self._pages = pages
        self._flood = flood
        self._notices = notices
        self._left_out: tuple[Sequence[str], Sequence[Omission], str] = ((), (), "")
        """Of what this agent offers: keys that its certificate denies, what found no room, and what is shown
        to nobody."""

    def now(self) -> Record:
        """As it holds now, issued or not yet, with all that this agent offers and listens for."""
        return self._whole(trusted_record(self._originator.fitted_body, self.certificate))

    def deadline(self) -> float:
        """When to call :meth:`issue`; infinite after the last one."""
        return min(self._originator.deadline(), self._granted.deadline())

    def look(self, routes: RouteSnapshot, now: float) -> None:
        """See in new routes whether other agents are to be shown what some only are."""
        self._granted.look(routes, now)

    def issue(self, effects: Effects, now: float, unix_now: float) -> None:
        """Issue the record if that is due."""
        self._originator.keep_epoch(unix_now)
        blocks = self._granted.step(now)
        if blocks is not None:
            self._originator.set_sealed(blocks)
        is_urgent = self._originator.is_urgent
        wire = self._originator.issue(now)
        if wire is None:
            return
        self.issued += 1
        record = trusted_record(decode_body(wire.signed), self.certificate)
        self._link_state.put_own(record, wire, now)
        whole = self._whole(record)
        self._flood.spread(record.agent_id)
        if is_urgent:
            self._flood.hurry()
        left_out = whole.denied_keys, self._originator.layout.omissions, self._granted.left_out
        if self._left_out != left_out:  # a refresh is no alarm
            self._left_out = left_out
            self._notices.say_denied(effects.notices, AlarmKind.OWN, whole, whole.denied_keys)
            for problem in self._untold():
                self._notices.say(effects.notices, AlarmKind.OWN, THIS_AGENT, problem)

    def _untold(self) -> list[str]:
        problems = [str(omission) for omission in self._originator.layout.omissions]
        if self._granted.left_out:
            problems.append(self._granted.left_out)
        return problems

    def problems(self, now: float, ttl_s: float) -> tuple[str, ...]:
        """What the mesh cannot be told of, and who else speaks in this agent's name, for people.

        Args:
            now: monotonic seconds.
            ttl_s: how long a record lives that its agent does not renew.
        """
        problems = self._untold()
        if self._originator.overtakers.any_runs(now, ttl_s):
            problems.insert(0, f"another running agent has this agent's identity key; {OWN_KEY_REMEDY}")
        return tuple(problems)

    def warnings(self, routes: RouteSnapshot, now: float, ttl_s: float) -> tuple[str, ...]:
        """What does not keep the agent from its work, for people.

        Who else has spoken in its name, and seems to be gone; what is not for all and told to all.

        Args:
            routes: as last computed.
            now: monotonic seconds.
            ttl_s: how long a record lives that its agent does not renew.
        """
        warnings = list(given_away(routes, self._granted.shown, self._originator.body.listeners))
        overtakers = self._originator.overtakers
        if not overtakers.any_runs(now, ttl_s) and overtakers.any_ran(now):
            warnings.insert(0, f"another agent with this agent's identity key was running; {OWN_KEY_REMEDY}")
        return tuple(warnings)

    def _whole(self, record: Record) -> Record:
        whole = self._pages.put_own(record, self._originator.layout.pages)
        shown = self._granted.shown
        return with_shown(whole, shown) if shown else whole
