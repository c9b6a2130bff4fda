"""What people get wrong, and what they are told: each answer says what to write."""

import pytest

from mesh.config.loading import schema_keys
from mesh.config.near_misses import duration_meant, number_meant, size_meant
from mesh.config.suggestions import hint_for_key
from tests.mesh.config.test_loading import KEY, TRUST, problems


def told(text, **environment):
    """Everything that is said of a file, in one text."""
    return "\n".join(problems(text, **environment))


def endpoint(fields):
    return f"forward: {{endpoints: [{{{fields}}}]}}"


def listener(fields):
    return f"forward: {{listeners: [{{{fields}}}]}}"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        # other programs' words
        ("listen: ':4433'", "local ports for services elsewhere are in forward.listeners"),
        ("connect: relay:4433", "agents to dial are in peers"),
        ("proxies: []", "services near this agent are in forward.endpoints"),
        ("port: 80", "the port for other agents is in accept"),
        ("log_level: debug", "did you mean logging.level?"),
        ("dashboard: {}", "did you mean http?"),
        ("tls: {}", "trust.authorities"),
        ("agent: {id: x}", "identity.key in agent.data_dir"),
        ("forward: {remote: []}", "did you mean listeners?"),
        ("forward: {services: []}", "did you mean endpoints?"),
        (endpoint("name: a, target: 'x:1'"), "the name of a service is its key"),
        (endpoint("key: a, host: x, port: 1"), 'write target: "host:port"'),
        (endpoint("key: a, address: 'x:1'"), 'write target: "host:port"'),
        (endpoint("key: a, target: 'x:1', protocol: udp"), "only TCP is carried"),
        (listener("key: a, port: 1"), 'write address: "host:port"'),
        (listener("key: a, target: 'x:1'"), "a target belongs to an endpoint"),
        ("http: {enabled: true}", "http: {} is enough"),
        ("logging: {file: x}", "logs go to standard error"),
        # other spellings and places
        ("Forward: {}", "did you mean forward?"),
        ("agent: {dataDir: x}", "did you mean data_dir?"),
        ("agent: {data-dir: x}", "did you mean data_dir?"),
        (listener("key: a, address: ':1', maxConnections: 3"), "did you mean max_connections?"),
        ("listener: []", "did you mean forward.listeners?"),
        ("certificate: c", "did you mean trust.certificate?"),
        ("agent.name: x", "write name: below agent:, indented"),
        ("forward:\nendpoints: []", "did you mean forward.endpoints?"),
        ("${A}: x", "variables are filled into values"),
        ("agent:\n\u00a0\u00a0name: x", "it has the character U+00A0"),
        ("agent: {}\n\ufeffforward: {}", "it has the character U+FEFF"),
        # shapes
        ("forward: {endpoints: {my-api: 'x:1'}}", 'write - {key: "my-api", target: "x:1"}'),
        ("forward: {endpoints: ['my-api=x:1']}", 'write {key: "my-api", target: "x:1"}'),
        ("forward: {endpoints: {key: a, target: 'x:1'}}", "begin each entry with a dash"),
        ("forward: {endpoints: [{my-api: {target: 'x:1'}}]}", "write key: my-api beside the others"),
        (TRUST + "peers: ['x:1']", 'write - address: "x:1"'),
        (TRUST + "peers: x:1", 'write - address: "x:1"'),
        (f"trust: {{authorities: '{KEY}', certificate: c}}", f'write ["{KEY}"]'),
        ("http: ':80'", 'write address: ":80"'),
        ("http: true", "write http: {}"),
        ("http: 8080", 'write address: ":8080"'),
        (TRUST + "accept: [4433]", 'write - address: ":4433"'),
        (TRUST + "peers: [{address: 'relay:1'}, {address: 'Relay.:1'}]", "each peer once"),
        (endpoint("key: a, target: 'x:1', health_check: true"), "write health_check: {}"),
        (endpoint("key: a, target: 'x:1', health_check: {path: /}"), "while it accepts TCP connections"),
        (endpoint("key: a, target: 'x:1', agents: [b]"), "who may use it is in allow"),
        (endpoint("key: a, target: 'x:1', allow: b"), "["),
        (endpoint("key: a, target: 'x:1', allow: []"), "at least one name, ID or group"),
        (endpoint("key: a, target: 'x:1', allow: ['b*']"), "no wildcards here"),
        (endpoint("key: a, target: ':1', source_address: 10.0.0.0/16"), "a subnet of 127.0.0.0/8"),
        (endpoint("key: a, target: 'localhost:1', source_address: 127.0.0.0/28"), "254 addresses or more"),
        (endpoint("key: a, target: 'db:1', source_address: 127.64.0.0/16"), "a target at localhost or in"),
        (endpoint("key: a, target: 'x:1', allow: ['group:b*']"), "no wildcards here"),
        (listener("key: a, address: ':1', agents: ['group:']"), "group: and a name"),
        (listener("key: a, address: ':1', allow: [b]"), "whose offers it believes is in agents"),
        (listener("key: a, address: ':1', agents: "), "at least one name, ID or group"),
        ("trust: {verify: false}", "every link needs a certificate"),
        ("routing: {max_hops: 0x10}", "; write 16"),
        ("logging: {level: off}", "did you mean error?"),
        ("http:\n  - address: ':80'", "leave out the dash"),
        ("logging: debug", "write level: debug below logging:"),
        ("agent:\n  name:x", "a colon needs a space after it: name: x"),
        ("agent:\n  name:\u00a0x", "stands U+00A0; write an ordinary space"),
        (listener("key: a, address: {host: x, port: 1}"), 'write it in one: "host:port"'),
        ('agent: {data_dir: "C:\\mesh"}', "between double quotes \\ begins an escape"),
        (endpoint("key: a #b, target: 'x:1'"), "a # after a space begins a comment"),
        # values
        ("connections: {timeout: 10 sec}", "; write 10s"),
        ("connections: {timeout: 5min}", "; write 5m"),
        ("limits: {stream_buffer: 64MB}", "; write 64MiB"),
        ("limits: {stream_buffer: 1.5GiB}", "; write 1536MiB"),
        ("routing: {max_hops: '5'}", "; write 5"),
        ("routing: {max_hops: 010}", "; write 10"),
        ("agent: {relay: 'true'}", "; write true"),
        ("logging: {level: fatal}", "did you mean error?"),
        ("logging: {format: plain}", "did you mean text?"),
        ("trust: {authorities: [authority.pub], certificate: c}", "the text in the file, not its path"),
        (
            "trust: {authorities: ['BEGIN MESH AUTHORITY KEY'], certificate: c}",
            "never a private key",
        ),
        ("agent: {data_dir: $HOME/x}", "the variable is ${HOME}"),
        ("agent: {data_dir: ~bob/x}", "~/ is the home directory of this user"),
        (listener("key: a, address: $HOST:3000"), ": ${HOST}:3000"),
        (TRUST + "accept: [{address: 'unix:/run/x'}]", "only listeners and endpoints can have a unix socket"),
        (listener("key: a, address: '[127.0.0.1]:3000'"), "IPv6 address only: 127.0.0.1:3000"),
        (listener("key: a, address: '300.0.0.1:80'"), "an IPv4 address of four numbers"),
        (listener("key: a, address: '[::ffff:127.0.0.1]:80'"), "the IPv4 address as such, 127.0.0.1:80"),
        (endpoint("key: a, target: 'udp://x:53'"), "only TCP is carried, not udp"),
        (endpoint("key: a, target: '3000'"), "localhost:3000"),
        (endpoint("key: '\u201cmy-api\u201d', target: 'x:1'"), "without quotation marks"),
        (TRUST + f"peers: [{{address: 'x:1', id: {'AB' * 16}}}]", f"; write {'ab' * 16}"),
        (TRUST + "peers: [{address: 'x:1', id: deadbeef}]", "the first 8, as in logs, are no proof"),
        (TRUST + f"peers: [{{address: 'x:1', id: '{KEY}'}}]", "not a public key"),
        (TRUST + "peers: [{address: 'x:1', name: relay}]", "id holds it to one agent"),
        (TRUST + "peers: [{address: 'unix:/run/x'}]", "links run over TCP"),
    ],
)
def test_a_mistake_is_told_with_what_to_write(text, hint):
    found = told(text)
    assert hint in found
    assert all(line.isprintable() for line in found.split("\n"))


def test_quotation_marks_out_of_an_env_file_are_told():
    text = listener('key: "${KEY}", address: "${ADDRESS}"')
    found = told(text, KEY='"my-api"', ADDRESS='"127.0.0.1:80"')
    assert found.count("it has quotation marks in it") == 2


def test_an_empty_variable_does_not_open_a_port_to_everybody():
    text = listener('key: a, address: "${HOST}:80"')
    assert 'a host before the port; "${HOST}:80" leaves it empty' in told(text, HOST="")
    assert problems(listener('key: a, address: ":${PORT}"'), PORT="x")


@pytest.mark.parametrize("word", ["proxies", "port", "remote", "rout", "locals", "zzz"])
@pytest.mark.parametrize("place", ["", "forward", "forward.listeners[0]", "http", "agent"])
def test_no_suggestion_is_far_away(word, place):
    assert "logging." not in hint_for_key(word, (), place, schema_keys())


def test_a_suggestion_is_near_or_written_right():
    schema = ("forward.listeners[]", "forward.listeners[].key", "logging.levels.links", "routing.max_hops")
    assert hint_for_key("listners", (), "", schema) == "did you mean forward.listeners?"
    assert hint_for_key("max_hops", (), "", schema) == "did you mean routing.max_hops?"
    assert hint_for_key("max_hop", (), "forward", schema) == ""
    assert hint_for_key("link", (), "", schema) == ""
    assert hint_for_key("link", (), "logging", schema) == "did you mean logging.levels.links?"


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("10 s", "10s"),
        ("1h 30min", "1h30m"),
        ("1,5 Hours", "1.5h"),
        ("500us", None),
        ("never", None),
        ("10s later", None),
        ("", None),
    ],
)
def test_durations_that_are_nearly_right(text, meant):
    assert duration_meant(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("64mb", "64MiB"),
        ("512 K", "512KiB"),
        ("2TB", "2048GiB"),
        ("0.5 GiB", "512MiB"),
        ("1.5", None),
        ("big", None),
    ],
)
def test_sizes_that_are_nearly_right(text, meant):
    assert size_meant(text) == meant


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("5", "5"),
        ("1_000", "1000"),
        ("1,000", "1000"),
        ("10.0", "10"),
        ("2k", "2000"),
        ("x", None),
        ("1.5", None),
    ],
)
def test_numbers_that_are_nearly_right(text, meant):
    assert number_meant(text) == meant
