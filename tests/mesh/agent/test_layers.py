"""What an agent should be: its file, what was saved, what commands hold."""

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.layers import MAX_HELD, Layers
from mesh.agent.outcome import RefusedError
from mesh.config.schema import Config, EndpointSection, ForwardSection


def endpoint(key, port=80):
    return EndpointSection(key=key, target=TcpAddress("127.0.0.1", port))


FILE = Config(forward=ForwardSection(endpoints=(endpoint("a"),)))


def keys(layers):
    return [each.key for each in layers.desired()[0].forward.endpoints]


def test_all_layers_make_the_whole_and_the_lower_has_its_way():
    layers = Layers(FILE, (endpoint("b"), endpoint("a", 81)))
    layers.hold(endpoint("c"), 10.0)
    layers.hold(endpoint("b", 82), 10.0)
    config, clashes = layers.desired()
    assert keys(layers) == ["a", "b", "c"]
    assert {str(each.target) for each in config.forward.endpoints} == {"127.0.0.1:80"}
    assert len(clashes) == 2


def test_what_is_held_goes_when_it_is_not_renewed():
    layers = Layers(FILE, ())
    assert layers.next_expiry() == float("inf")
    first, second = layers.hold(endpoint("b"), 10.0), layers.hold(endpoint("c"), 12.0)
    assert first != second
    assert layers.next_expiry() == 10.0
    assert layers.renew(first, 20.0)
    assert not layers.expire(11.9)
    assert [held.service for held in layers.expire(12.0)] == [endpoint("c")]
    assert keys(layers) == ["a", "b"]
    assert not layers.renew(second, 30.0)
    assert layers.release(second) is None
    assert layers.release(first).service == endpoint("b")
    assert keys(layers) == ["a"]


def test_only_so_many_are_held():
    layers = Layers(FILE, ())
    leases = [layers.hold(endpoint(f"k{number}"), 10.0) for number in range(MAX_HELD)]
    with pytest.raises(RefusedError, match="are held by commands already"):
        layers.hold(endpoint("more"), 10.0)
    layers.release(leases[0])
    layers.hold(endpoint("more"), 10.0)


def test_what_was_taken_out_is_not_as_what_nobody_knows():
    layers = Layers(FILE, ())
    lease = layers.hold(endpoint("b"), 10.0)
    layers.take_out(lease)
    assert keys(layers) == ["a"]
    assert not layers.renew("1f", 20.0)
    for _ in range(2):
        with pytest.raises(RefusedError, match="taken it out"):
            layers.renew(lease, 20.0)
    assert layers.release(lease) is None
