"""What people write who know other programs (ssh, frp, chisel, nginx, docker), and what it is called here."""

import re
from collections.abc import Mapping
from typing import Final

_LISTEN: Final = (
    "local ports for services elsewhere are in forward.listeners, "
    "the port for other agents is in accept, that of the dashboard in http"
)
_CONNECT: Final = "agents to dial are in peers; services near this agent are in forward.endpoints"
_SERVICES: Final = "services near this agent are in forward.endpoints, ports for others in forward.listeners"
_TARGET: Final = 'write target: "host:port"'
_ADDRESS: Final = 'write address: "host:port"'
_KEY: Final = "the name of a service is its key"
_ONLY_TCP: Final = "only TCP is carried; leave it out"
_OWN_KEY: Final = "an agent's key is the file identity.key in agent.data_dir"
_TRUST: Final = "see trust.authorities (public keys) and trust.certificate (a path)"
_SYSTEM_LOG: Final = "logs go to standard error; whoever starts the agent keeps them"


def _same(hint: str, *words: str) -> dict[str, str]:
    return dict.fromkeys(words, hint)


_PORT_WORDS: Final = ("port", "host", "addr", "url", "ip", "bind", "bind_addr", "listen", "listen_addr", "on")

_HABITS: Final[Mapping[str, Mapping[str, str]]] = {
    "": {
        **_same(_LISTEN, "listen", "bind", "port", "ports", "host", "address", "server"),
        **_same(_CONNECT, "connect", "dial", "servers", "remote", "remotes", "upstream", "upstreams", "join"),
        **_same(
            _SERVICES, "proxies", "proxy", "tunnels", "tunnel", "services", "service", "ingress", "expose"
        ),
        **_same(_SERVICES, "key", "target", "local", "forwarding", "visitors"),
        **_same("did you mean http?", "dashboard", "api", "admin", "web", "metrics", "web_server"),
        **_same("did you mean logging.level?", "log_level", "loglevel", "verbose", "debug", "verbosity"),
        **_same(_TRUST, "tls", "auth", "ca", "token", "cert", "authority", "certificates", "security"),
        **_same(_OWN_KEY, "identity", "private_key", "id"),
    },
    "agent": {
        **_same(_OWN_KEY, "id", "identity", "key", "private_key", "key_file"),
        **_same("did you mean data_dir?", "dir", "data", "directory", "state_dir"),
        **_same("did you mean logging.level?", "log_level", "loglevel"),
        **_same(_LISTEN, "listen", "port", "address", "bind"),
        **_same(_TRUST, "tls", "cert", "token"),
    },
    "trust": _same(_TRUST, "ca", "authority", "cert", "cert_file", "ca_file", "public_key", "public_keys")
    | _same(_OWN_KEY, "key", "private_key", "key_file", "identity")
    | _same("every link needs a certificate", "verify", "insecure", "skip_verify", "enabled"),
    "accept[]": _same(_ADDRESS, *_PORT_WORDS) | _same(_ONLY_TCP, "protocol", "type"),
    "peers[]": _same(_ADDRESS, *_PORT_WORDS)
    | _same("a peer is known by its certificate; id holds it to one agent", "name", "key", "public_key"),
    "http": _same(_ADDRESS, *_PORT_WORDS)
    | _same("http: {} is enough to have it; without the section there is none", "enabled", "enable"),
    "forward": _same("did you mean listeners?", "remote", "remotes", "imports", "listen", "connect", "ports")
    | _same("did you mean endpoints?", "local", "locals", "exports", "expose", "services", "targets"),
    "forward.endpoints[]": _same(_TARGET, *_PORT_WORDS, "address", "upstream", "backend", "to", "dest")
    | _same(_TARGET, "local_port", "local_ip", "local_addr", "destination", "service_address", "forward_to")
    | _same(_KEY, "name", "service", "id", "routing_key", "names", "service_name")
    | _same("who may use it is in allow", "agents", "allowed", "allow_from", "clients", "acl", "users")
    | _same(_ONLY_TCP, "protocol", "type", "proto"),
    "forward.listeners[]": _same(_ADDRESS, *_PORT_WORDS, "local", "local_port", "local_addr", "bind_port")
    | _same(_KEY, "name", "service", "id", "routing_key", "service_name", "server_name", "remote")
    | _same("a target belongs to an endpoint; a listener has an address", "target", "to")
    | _same(
        "whose offers it believes is in agents", "allow", "allowed", "exits", "endpoints", "agent", "from"
    )
    | _same(_ONLY_TCP, "protocol", "type", "proto"),
    "forward.endpoints[].health_check": _same(
        "a target is healthy while it accepts TCP connections; nothing is sent to it",
        *("path", "url", "http", "type", "command", "port", "send", "expect", "method", "uri"),
    ),
    "logging": _same(_SYSTEM_LOG, "file", "output", "path", "rotate", "dir"),
}


def habit(place: str, word: str) -> str:
    """A hint for ``word``, which is no key of the section at ``place`` (as in ``forward.endpoints[0]``).

    It is empty if nothing is known of it.
    """
    return _HABITS.get(re.sub(r"\[[0-9]+\]", "[]", place), {}).get(word, "")
