"""What of a configuration cannot work together, though each part of it is right by itself."""

from collections.abc import Iterator
from typing import Final

from mesh.agent.grants import keys_as_written
from mesh.config.loading import NOTHING_WRITTEN, Written
from mesh.config.schema import Config
from mesh.routing.counterparts import some_of
from mesh.trust.certificates import Certificate
from mesh.trust.identity import Identity, encode_public_key

HASTY_REROUTE_S: Final = 3.0
"""Of ``connections.reroute_timeout``: what finding and proving another path may take after silence."""


def key_mixups(config: Config, certificate: Certificate, own_key: bytes) -> Iterator[str]:
    """A line for each entry of ``trust.authorities`` that is another key than an authority's public one.

    A private key has the same form as a public one: it is found by what it is the private key of.

    Args:
        config: with ``trust``.
        certificate: this agent's own, whether or not it is admitted.
        own_key: the agent's public key.
    """
    authorities = () if config.trust is None else config.trust.authorities
    for number, key in enumerate(authorities):
        place = f"trust.authorities[{number}]"
        belongs_to = Identity(key).public_key
        if belongs_to == certificate.authority:
            yield (
                f"{place}: that is the authority's private key; expected its public key, "
                f"{encode_public_key(belongs_to)}; whoever has read this file can sign certificates"
            )
        elif belongs_to == own_key:
            yield f"{place}: that is this agent's own private key; expected an authority's public key"
        elif key == own_key != certificate.authority:
            yield f"{place}: that is this agent's own public key; expected an authority's"


def config_notices(config: Config, written: Written = NOTHING_WRITTEN) -> tuple[str, ...]:
    """A line for each thing in ``config`` that is allowed and will not do what it is there for."""
    return (*_lonely(config, written), *_hasty(config))


def _hasty(config: Config) -> tuple[str, ...]:
    given_s = config.connections.reroute_timeout_s
    if given_s >= HASTY_REROUTE_S:
        return ()
    consequence = "may end a connection before it has found another path"
    expected = f"expected {HASTY_REROUTE_S:g}s or more"
    return (f"connections.reroute_timeout: {given_s:g}s {consequence}; {expected}",)


def _lonely(config: Config, written: Written) -> tuple[str, ...]:
    """What an agent that neither dials nor accepts can never serve; nothing if that is what it is for."""
    if config.accept or config.peers:
        return ()
    said = keys_as_written(config, written)
    offered = {entry.key for entry in config.forward.endpoints}
    used = {entry.key for entry in config.forward.listeners}
    parts = (
        ("no way out: listeners of", sorted(used - offered)),
        ("no way in: endpoints of", sorted(offered - used)),
    )
    found = [f"{what} {some_of([repr(said.get(key, key)) for key in keys])}" for what, keys in parts if keys]
    if config.trust is not None and not found:
        found = ["no way in or out, though it has trust"]
    if not found:
        return ()
    return (f"neither accept nor peers, so this agent has {', and '.join(found)}; add one of the two",)
