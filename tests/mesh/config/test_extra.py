"""Services beside those of the file: what can stand together."""

import pytest

from mesh.addresses import TcpAddress, UnixAddress
from mesh.config import extra as extra_module
from mesh.config import local_ports
from mesh.config.extra import clash, merged, merged_or_clashes
from mesh.config.schema import (
    AcceptSection,
    Config,
    EndpointSection,
    ForwardSection,
    HttpSection,
    ListenerSection,
)


def endpoint(key, port, host="127.0.0.1"):
    return EndpointSection(key=key, target=TcpAddress(host, port))


def listener(key, port, host="127.0.0.1"):
    return ListenerSection(key=key, address=TcpAddress(host, port))


PATH = ListenerSection(key="u", address=UnixAddress("/run/a"))

BASE = Config(
    accept=(AcceptSection(address=TcpAddress("", 1)),),
    http=HttpSection(address=TcpAddress("127.0.0.1", 2)),
    forward=ForwardSection(endpoints=(endpoint("a", 80),), listeners=(listener("b", 3), PATH)),
)


@pytest.mark.parametrize(
    ("extra", "told"),
    [
        (endpoint("a", 81), "offers a already: it is 127.0.0.1:80"),
        (endpoint("c", 3), "own listener of b: a circle"),
        (listener("c", 1), "an acceptor of this agent has :1 already"),
        (listener("c", 2), "http.address of this agent has 127.0.0.1:2 already"),
        (listener("b", 3), "the listener of b of this agent has 127.0.0.1:3 already"),
        (listener("c", 3, "localhost"), "the listener of b of this agent has 127.0.0.1:3 already"),
        (listener("c", 80), "is the target of this agent's endpoint a"),
        (
            ListenerSection(key="c", address=UnixAddress("/run/a")),
            "the listener of u of this agent has unix:",
        ),
        (ListenerSection(key="c", address=UnixAddress("/run/b")), None),
        (EndpointSection(key="c", target=UnixAddress("/run/a")), "own listener of u: a circle"),
        (endpoint("c", 80), None),
        (listener("b", 4), None),
        (listener("c", 3, "127.0.0.2"), None),
        (listener("c", 0), None),
    ],
)
def test_what_cannot_stand_beside_the_rest_is_told(extra, told):
    why = clash(BASE, extra)
    assert (why is None) if told is None else (told in str(why))


@pytest.mark.parametrize(
    "place", [lambda n: ("127.0.0.1", n + 1000), lambda n: (f"127.1.{n // 250}.{n % 250}", 80)]
)
def test_one_is_compared_with_few_of_very_many(monkeypatch, place):
    work = 0

    def counted(judge):
        def count(*addresses):
            nonlocal work
            work += 1
            return judge(*addresses)

        return count

    for module, judge in ((local_ports, "cannot_both_listen"), (extra_module, "surely_reaches")):
        monkeypatch.setattr(module, judge, counted(getattr(module, judge)))
    many = [listener(f"k{number}", place(number)[1], place(number)[0]) for number in range(2_000)]
    file = merged(Config(), many[::2])
    config, clashes = merged_or_clashes(file, many[1::2])
    assert (len(config.forward.listeners), clashes) == (2_000, ())
    _, clashes = merged_or_clashes(config, many[1::2])
    assert len(clashes) == 1_000
    assert work <= 4 * len(many)


def test_what_can_is_merged_and_the_rest_left_out():
    extras = (endpoint("c", 81), endpoint("c", 82), listener("d", 5), listener("e", 5), endpoint("f", 5))
    config, clashes = merged_or_clashes(BASE, extras)
    assert config == merged(BASE, (extras[0], extras[2]))
    assert [each.partition(":")[0] for each in clashes] == [
        "endpoint c",
        "listener e 127.0.0.1",
        "endpoint f",
    ]
    assert config.forward.endpoints == (endpoint("a", 80), endpoint("c", 81))
    assert config.accept == BASE.accept
