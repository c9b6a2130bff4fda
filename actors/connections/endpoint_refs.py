"""The endpoints of this agent, by key, for those that look one up."""

from collections.abc import Mapping
from types import MappingProxyType

from actors.messages.endpoint import Inbound
from actors.runtime.seam import Ref


class EndpointRefs:
    """Changes as endpoints start and go. Those that look one up hold a copy, which is made only then.

    One that has crashed stays in here, for it is about to be started again.
    """

    __slots__ = ("_frozen", "_is_stale", "_refs")

    def __init__(self) -> None:
        self._refs: dict[str, Ref[Inbound]] = {}
        self._frozen: Mapping[str, Ref[Inbound]] = MappingProxyType({})
        self._is_stale = False

    def put(self, key: str, ref: Ref[Inbound]) -> None:
        """``ref`` is the endpoint of ``key`` from now on."""
        self._refs[key] = ref
        self._is_stale = True

    def forget(self, key: str) -> None:
        """There is no endpoint of ``key`` any more, nor will one be started again."""
        self._refs.pop(key, None)
        self._is_stale = True

    def frozen(self) -> Mapping[str, Ref[Inbound]]:
        """All of them; does not change."""
        if self._is_stale:
            self._is_stale = False
            self._frozen = MappingProxyType(dict(self._refs))
        return self._frozen
