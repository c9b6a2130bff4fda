"""The endpoints that run now, by key, for those that look one up."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from actors.runtime.seam import Ref


class EndpointRefs:
    """Changes as endpoints start. Those that look one up hold a copy, which is made only then."""

    __slots__ = ("_frozen", "_refs")

    def __init__(self) -> None:
        self._refs: dict[str, Ref[Any]] = {}
        self._frozen: Mapping[str, Ref[Any]] | None = None

    def put(self, key: str, ref: Ref[Any]) -> None:
        """``ref`` is the endpoint of ``key`` from now on."""
        self._refs[key] = ref
        self._frozen = None

    def frozen(self) -> Mapping[str, Ref[Any]]:
        """All of them; does not change."""
        if self._frozen is None:
            self._frozen = MappingProxyType(dict(self._refs))
        return self._frozen
