"""A whole configuration: valid ones become values, wrong ones are told with everything that is wrong."""

from pathlib import Path

import pytest

from mesh.addresses import TcpAddress, UnixAddress
from mesh.config import ConfigError, load_config, parse_config
from mesh.config.problems import quoted
from mesh.config.schema import HealthCheckSection
from mesh.trust.identity import Identity, encode_public_key
from tests.mesh.test_listening_places import CLASHES

KEY = encode_public_key(Identity(bytes(32)).public_key)
TRUST = f'trust: {{authorities: ["{KEY}"], certificate: c.cert}}\n'


def parse(text, host_name="host", **environment):
    return parse_config(
        text.encode(),
        file="f.yaml",
        directory=Path("/etc/mesh"),
        environment=environment,
        host_name=host_name,
    )


def problems(text, **environment):
    with pytest.raises(ConfigError) as caught:
        parse(text, **environment)
    return [str(problem) for problem in caught.value.problems]


FORWARD_ONLY = """
forward:
  endpoints:
    - key: "my-api"
      target: "localhost:3000"
    - {key: sock, target: "unix:/run/x"}
  listeners:
    - key: "postgres-main"
      address: "127.0.0.1:5432"
      max_connections: 100
    - key: "my-api"
      address: ":3001"
"""


def test_a_file_with_nothing_but_forward_is_an_agent():
    config = parse(FORWARD_ONLY)
    assert [(e.key, e.target) for e in config.forward.endpoints] == [
        ("my-api", TcpAddress("localhost", 3000)),
        ("sock", UnixAddress("/run/x")),
    ]
    assert [(x.key, x.address, x.max_connections) for x in config.forward.listeners] == [
        ("postgres-main", TcpAddress("127.0.0.1", 5432), 100),
        ("my-api", TcpAddress("", 3001), 0),
    ]
    assert config.agent.name == "host"
    assert config.agent.data_dir is None
    assert config.trust is None
    assert config.http is None
    assert config.accept == config.peers == ()


def test_every_key_arrives():
    config = parse(
        "agent: {name: a, data_dir: d, drain_timeout: 1s, relay: false}\n"
        + TRUST
        + "accept: [{address: ':4433'}]\n"
        f"peers: [{{address: 'x:1', id: {'5a' * 16}}}, {{address: 'y:1'}}]\n"
        "http: {address: ':80'}\n"
        "connections: {timeout: 1, open_timeout: 2s, reroute_timeout: 3s, idle_probe: 4s,\n"
        "  congestion_control: BBR}\n"
        "routing: {advertise_interval: 1s, route_ttl: 2s, max_hops: 3}\n"
        "limits: {stream_buffer: 1MiB, relay_buffer: 2MiB, pending_opens: 5, unauthenticated_links: 6}\n"
        "logging: {level: error, format: json, levels: {links: debug}}\n"
    )
    assert (config.agent.name, config.agent.data_dir) == ("a", Path("/etc/mesh/d"))
    assert (config.agent.drain_timeout_s, config.agent.relay) == (1.0, False)
    assert config.trust.certificate == Path("/etc/mesh/c.cert")
    assert config.accept[0].address == TcpAddress("", 4433)
    assert config.peers[0].address == TcpAddress("x", 1)
    assert [peer.id for peer in config.peers] == [b"Z" * 16, None]
    assert config.http.address == TcpAddress("127.0.0.1", 80)
    connections, routing, limits = config.connections, config.routing, config.limits
    assert (connections.timeout_s, connections.open_timeout_s) == (1.0, 2.0)
    assert (connections.reroute_timeout_s, connections.idle_probe_s) == (3.0, 4.0)
    assert connections.congestion_control == "bbr"
    assert (routing.advertise_interval_s, routing.route_ttl_s, routing.max_hops) == (1.0, 2.0, 3)
    assert (limits.stream_buffer_bytes, limits.relay_buffer_bytes) == (1024**2, 2 * 1024**2)
    assert (limits.pending_opens, limits.unauthenticated_links) == (5, 6)
    assert (config.logging.level, config.logging.format) == ("error", "json")
    assert (config.logging.levels.links, config.logging.levels.routes) == ("debug", None)


def test_an_endpoint_may_have_a_limit_and_a_health_check():
    text = "forward:\n  endpoints:\n    - {key: a, target: 'x:1'}\n    - key: b\n      target: x:1\n      "
    plain, checked = parse(text + "max_connections: 3\n      health_check:\n").forward.endpoints
    assert (plain.max_connections, plain.health_check) == (0, None)
    assert (checked.max_connections, checked.health_check) == (3, HealthCheckSection())
    settings = "{interval: 250ms, timeout: 100ms, unhealthy_after: 1, healthy_after: 4}"
    _, checked = parse(text + f"health_check: {settings}").forward.endpoints
    check = checked.health_check
    assert (check.interval_s, check.timeout_s, check.unhealthy_after, check.healthy_after) == (
        0.25,
        0.1,
        1,
        4,
    )
    (found,) = problems(text + "health_check: {healthy_after: 0}")
    assert "forward.endpoints[1].health_check.healthy_after: found 0 (int)" in found


def test_a_misplaced_key_is_told_the_nearest_place_that_has_it():
    for text, hint in [
        ("timeout: 1s", "did you mean connections.timeout?"),
        ("healthy_after: 1", "did you mean forward.endpoints[].health_check.healthy_after?"),
    ]:
        (found,) = problems(text)
        assert hint in found
    (found,) = problems("max_connections: 1")  # endpoints and listeners have it
    assert "forward" not in found.partition("did you mean")[2]


def test_empty_sections_and_lists_are_empty():
    config = parse("agent:\nforward:\n  endpoints:\n  listeners: []\nhttp:\npeers:\n")
    assert config.forward.endpoints == config.forward.listeners == config.peers == ()
    assert config.http.address == TcpAddress("127.0.0.1", 8080)


@pytest.mark.parametrize(
    ("name", "directory"),
    [("branch", "branch"), ("branch 1/x", "branch_1_x"), ("..", "agent"), ("ü", "_")],
)
def test_the_default_data_directory_is_named_after_the_agent(name, directory):
    assert parse(f"agent: {{name: '{name}'}}\n{TRUST}").agent.data_dir == Path("/etc/mesh/data") / directory


@pytest.mark.parametrize(("host_name", "name"), [("", "agent"), ("h" * 70, "h" * 64), ("a\nb", "agent")])
def test_a_host_name_that_is_no_name(host_name, name):
    assert parse("forward:\n", host_name=host_name).agent.name == name


def test_all_problems_are_told_at_once_in_the_order_of_the_file():
    found = problems(
        """agent: {relay: 1}
peer:
  - address: x:1
accept:
  - address: "0.0.0.0:4433"
forward:
  endponts: []
  endpoints:
    - key: a
      target: localhost
    - target: "x:1"
    - {key: a, target: "x:1", max_connection: 3}
  listeners:
    - {key: x, address: ":5432", max_connections: true}
    - {key: "a b", address: "127.0.0.1:5432", max_connections: -1}
    - text
logging: {levels: {link: debug}}
timeout: 4s
timeout: 5s
"""
    )
    assert [line.partition("; ")[0] for line in found] == [
        "f.yaml:1: agent.relay: found 1 (int)",
        "f.yaml:2: peer: found an unknown key",
        "f.yaml:4: trust: found accept but no trust",
        "f.yaml:7: forward.endponts: found an unknown key",
        'f.yaml:10: forward.endpoints[0].target: found "localhost"',
        "f.yaml:11: forward.endpoints[1].key: found no such key",
        "f.yaml:12: forward.endpoints[2].max_connection: found an unknown key",
        "f.yaml:12: forward.endpoints[2].key: found the same as on line 9",
        "f.yaml:14: forward.listeners[0].max_connections: found true (bool)",
        'f.yaml:15: forward.listeners[1].key: found "a b"',
        "f.yaml:15: forward.listeners[1].max_connections: found -1 (int)",
        'f.yaml:15: forward.listeners[1].address: found "127.0.0.1:5432"',
        'f.yaml:16: forward.listeners[2]: found "text"',
        "f.yaml:17: logging.levels.link: found an unknown key",
        "f.yaml:18: timeout: found an unknown key",
        "f.yaml:19: timeout: found the key a second time",
    ]
    assert all("expected " in line for line in found)
    hints = {line.split(": ")[1]: line.partition(" (did")[2] for line in found if "did you mean" in line}
    assert hints == {
        "peer": " you mean peers?)",
        "forward.endponts": " you mean endpoints?)",
        "forward.endpoints[2].max_connection": " you mean max_connections?)",
        "logging.levels.link": " you mean links?)",
        "timeout": " you mean connections.timeout?)",
    }


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("forward: 3", "forward: found 3 (int); expected a mapping with endpoints, listeners"),
        ("forward: []", "forward: found a list; expected a mapping"),
        ("peers: {address: 'x:1'}", "peers: found a mapping; expected a list (begin each entry with a dash)"),
        ("peers: x:1", 'peers: found "x:1"; expected a list'),
        ("agent: {name: [a]}", "agent.name: found a list; expected a name"),
        ("agent: {name: }", "agent.name: found nothing; expected a name"),
        ("agent: {name: ~}", "agent.name: found nothing; expected a name"),
        ("? [a]\n: b", "found a list as a key; expected a word and a colon"),
        ("'a b': 1", '"a b": found an unknown key'),
        ('"a\\e[2Jb": 1', '"a\\x1b[2Jb": found an unknown key'),
        ("<<: {}", "<<: found an unknown key"),
        (
            "connections: {timeout: 10 parsecs}",
            'connections.timeout: found "10 parsecs"; expected a duration',
        ),
        ("limits: {stream_buffer: 1}", "limits.stream_buffer: found 1 (int); expected a size from 1MiB"),
        ("routing: {max_hops: 0}", "routing.max_hops: found 0 (int); expected a whole number from 1 to 64"),
        ("routing: {route_ttl: 2m}", "routing.route_ttl: found 2m; expected more than"),
        (
            "routing: {advertise_interval: 10m}",
            "routing.route_ttl: found 5m; expected more than routing.advertise_interval, which is 10m (",
        ),
        ("http: {address: yes}", "http.address: found yes (bool); expected host:port"),
        ("agent: {data_dir: '" + "x" * 5000 + "'}", "(5000 characters)"),
    ],
)
def test_a_wrong_value_is_told(text, problem):
    (found,) = problems(text)
    assert problem in found
    assert found.startswith("f.yaml:1: ")


@pytest.mark.parametrize("section", ["accept: [{address: ':1'}]\n", "peers: [{address: 'x:1'}]\n"])
def test_links_need_trust(section):
    (found,) = problems(section)
    assert "trust: found " in found
    assert "expected trust.authorities and trust.certificate" in found
    assert parse(section + TRUST).trust is not None


def test_trust_needs_an_authority_and_a_certificate():
    assert (
        "an empty list; expected at least one public key"
        in problems("trust: {authorities: [], certificate: c}")[0]
    )
    found = problems("trust: {authorities: ['<public key>']}")
    assert len(found) == 2
    assert "trust.authorities[0]: found" in found[0]
    assert "trust.certificate: found no such key; expected a path" in found[1]
    assert "each authority once" in problems(TRUST.replace(f'["{KEY}"]', f'["{KEY}", "{KEY}"]'))[0]


@pytest.mark.parametrize(("one", "other", "clash"), CLASHES)
def test_two_listeners_cannot_have_one_port(one, other, clash):
    text = f"forward: {{listeners: [{{key: a, address: '{one}'}}, {{key: b, address: '{other}'}}]}}"
    if clash:
        (found,) = problems(text)
        assert "forward.listeners[1].address: found" in found
        assert "forward.listeners[0].address on line 1 has" in found
    else:
        assert len(parse(text).forward.listeners) == 2


@pytest.mark.parametrize(
    ("target", "listener", "is_own"),
    [
        ("127.0.0.1:80", "127.0.0.1:80", True),
        ("127.0.0.1:80", "127.0.0.1:81", False),
        ("127.0.0.1:80", "127.0.0.1:0", False),
        ("127.0.0.1:80", "127.0.0.2:80", False),
        ("127.0.0.1:80", ":80", True),
        ("127.9.9.9:80", ":80", True),
        ("127.0.0.1:80", "0.0.0.0:80", True),
        ("127.0.0.1:80", "[::]:80", False),  # takes IPv6 only
        ("127.0.0.1:80", "localhost:80", True),
        ("localhost:80", "127.0.0.1:80", True),
        ("LocalHost.:80", "localhost:80", True),
        ("db.localhost:80", "127.0.0.1:80", True),
        ("localhost:80", "[::1]:80", True),
        ("localhost:80", ":80", True),
        ("[::1]:80", "localhost:80", True),
        ("[::1]:80", "[0:0::1]:80", True),
        ("[::1]:80", "[::]:80", True),
        ("[::1]:80", "0.0.0.0:80", False),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80", True),
        ("[::ffff:127.0.0.1]:80", ":80", True),
        ("0.0.0.0:80", "127.0.0.1:80", True),
        ("[::]:80", "[::1]:80", True),
        ("10.0.0.1:80", "10.0.0.1:80", True),
        ("10.0.0.1:80", ":80", False),  # may be another machine
        ("db.example:80", ":80", False),  # would take a look-up
        ("unix:/run/x:80", ":80", False),
        ("unix:/run/x", "/run/x", True),
        ("unix:/run/x", "unix:/run/y", False),
    ],
)
def test_a_target_cannot_be_a_listener_of_the_same_agent(target, listener, is_own):
    text = (
        f"forward:\n  endpoints: [{{key: a, target: '{target}'}}]\n"
        f"  listeners: [{{key: b, address: '{listener}'}}]\n"
    )
    if is_own:
        (found,) = problems(text)
        assert "f.yaml:2: forward.endpoints[0].target: found" in found
        assert "forward.listeners[0].address on line 3 has" in found
        assert "circle" in found
    else:
        assert parse(text).forward.endpoints[0].key == "a"


def test_a_listener_is_at_a_path_too():
    text = "forward: {listeners: [{key: a, address: '%s'}]}"
    for written in ("/run/a.sock", "unix:/run/a.sock"):
        assert parse(text % written).forward.listeners[0].address == UnixAddress("/run/a.sock")
    for wrong in ("unix:run/a.sock", "/" + "x" * 107, "unix:"):
        (found,) = problems(text % wrong)
        assert "unix:/path with an absolute path" in found or "at most 107 bytes" in found


def test_a_path_is_one_listeners_alone():
    (found,) = problems(
        "forward:\n  listeners:\n  - {key: a, address: /run/a}\n  - {key: b, address: 'unix:/run/a'}\n"
    )
    assert "expected a path of its own" in found
    assert "forward.listeners[0].address on line 3" in found


def test_listeners_acceptor_and_http_share_the_ports_of_the_machine():
    text = TRUST + "accept: [{address: ':80'}]\nforward: {listeners: [{key: a, address: ':81'}]}\n"
    assert "accept[0].address on line 2" in problems(text + "http: {address: ':80'}\n")[0]
    assert "forward.listeners[0].address on line 3" in problems(text + "http: {address: ':81'}\n")[0]


def test_the_default_address_of_http_is_taken_too():
    text = "forward: {listeners: [{key: a, address: '127.0.0.1:8080'}]}\n"
    for http in ("http: {}\n", "http:\n"):
        (found,) = problems(text + http)
        assert found == (
            'f.yaml:2: http.address: found "127.0.0.1:8080", the default; expected a port of its own '
            '(forward.listeners[0].address on line 1 has "127.0.0.1:8080")'
        )
    assert parse(text).http is None
    assert "expected host:port" in problems(text + "http: {address: no-port}")[0]


def test_one_peer_twice_is_a_mistake():
    assert "expected each peer once" in problems(TRUST + "peers: [{address: 'x:1'}, {address: 'x:1'}]\n")[0]


def test_the_environment_fills_in_values_of_any_kind():
    text = """
agent: {name: "${NAME:-nobody}"}
forward:
  listeners:
    - key: ${KEY}
      address: "${HOST:-127.0.0.1}:${PORT}"
      max_connections: "${MAX}"
"""
    config = parse(text, KEY="a-key", PORT="81", MAX="7")
    (listener,) = config.forward.listeners
    assert (config.agent.name, listener.key, listener.max_connections) == ("nobody", "a-key", 7)
    assert listener.address == TcpAddress("127.0.0.1", 81)
    (found,) = problems(text, KEY="x\ny: 1", PORT="81", MAX="7")
    assert 'found the value of "${KEY}"; expected a routing key' in found
    assert len(problems(text)) == 3


def test_an_escaped_reference_is_text():
    assert parse('agent: {name: "$${NAME}"}').agent.name == "${NAME}"


def test_a_file_is_found_relative_to_itself(tmp_path):
    path = tmp_path / "c.yaml"
    path.write_text("agent: {data_dir: d}\n")
    assert load_config(path, environment={}, host_name="h").agent.data_dir == tmp_path / "d"


@pytest.mark.parametrize(
    ("name", "found"), [("missing.yaml", "no such file or directory"), (".", "a directory")]
)
def test_a_file_that_cannot_be_read(tmp_path, name, found):
    with pytest.raises(ConfigError, match=rf"found {found}; expected a configuration file$") as caught:
        load_config(tmp_path / name, environment={}, host_name="h")
    assert "\n" not in str(caught.value)


def test_shown_text_is_short_and_harmless():
    assert quoted("a\x1b[2J\u202eb") == '"a\\x1b[2J\\u202eb"'
    assert len(quoted("x" * 10_000)) < 100
