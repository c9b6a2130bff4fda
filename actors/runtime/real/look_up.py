"""A look-up under way, for the actor that asked."""

from actors.runtime.real.event_loop import EventLoop
from actors.runtime.real.resolver import Addresses, Question, Resolver, literal_address, local_addresses
from actors.runtime.reference import tell_if_alive
from actors.runtime.seam import NamesResolved, Ref


class LookUp:
    """A look-up under way; the answer is judged on the dispatcher's thread, so none follows a ``cancel``."""

    __slots__ = ("_question", "_ref", "_token")

    def __init__(self, ref: Ref[NamesResolved], token: int) -> None:
        self._ref: Ref[NamesResolved] | None = ref
        self._token = token
        self._question: Question | None = None
        """What the resolver was asked, until it has answered."""

    def begin(self, resolver: Resolver, loop: EventLoop, host: str, port: int) -> None:
        """Ask ``resolver`` if need be; ``loop`` is the dispatcher's own."""
        literal = literal_address(host, port)
        if literal is not None:
            self._answer((literal,), "")
            return
        local = local_addresses(host, port)
        if local:
            self._answer(local, "")
            return

        def answer(addresses: Addresses, reason: str) -> None:
            loop.call_from_thread(self._answer, addresses, reason)

        self._question = resolver.lookup(host, port, answer)

    def cancel(self) -> None:
        """Want no answer any more; none follows."""
        question, self._ref, self._question = self._question, None, None
        if question is not None:
            question.cancel()

    def _answer(self, addresses: Addresses, reason: str) -> None:
        ref, self._ref, self._question = self._ref, None, None
        if ref is not None:
            tell_if_alive(ref, NamesResolved(self._token, addresses, reason))
