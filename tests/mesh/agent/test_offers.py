"""What of a configuration the mesh cannot be told of."""

import pytest
from click.testing import CliRunner

from mesh.addresses import TcpAddress
from mesh.agent.cli import main
from mesh.agent.offers import offer_problems
from mesh.config.schema import Config, EndpointSection, ForwardSection, ListenerSection
from mesh.routing import service_layout

HERE = TcpAddress("127.0.0.1", 80)


def config(endpoints: int, listeners: int = 0, key: str = "key") -> Config:
    return Config(
        forward=ForwardSection(
            endpoints=tuple(EndpointSection(key=f"{n:05}-{key}", target=HERE) for n in range(endpoints)),
            listeners=tuple(ListenerSection(key=f"{n:05}-{key}", address=HERE) for n in range(listeners)),
        )
    )


def test_ten_thousand_of_each_are_fine():
    assert offer_problems(config(10_000, 10_000)) == ()


def test_one_more_is_a_problem_of_its_field():
    assert offer_problems(config(10_001, 10_002)) == (
        ("forward.endpoints: 1 endpoint not told to the mesh (an agent has at most 10,000): '10000-key'"),
        (
            "forward.listeners: 2 listeners not told to the mesh (an agent has at most 10,000): "
            "'10000-key', '10001-key'"
        ),
    )


def test_keys_that_are_too_much_together_are_a_problem():
    [problem] = offer_problems(config(5_000, key="\U0001f980" * 240))
    assert problem.startswith("forward.endpoints: ")
    assert "not told to the mesh (all together take at most 4,194,304 bytes)" in problem


@pytest.mark.parametrize("command", [("agent", "--check"), ("check",)])
def test_a_check_ends_with_status_2(tmp_path, monkeypatch, command):
    monkeypatch.setattr(service_layout, "MAX_ENDPOINTS", 1)
    path = tmp_path / "config.yaml"
    path.write_text("forward: {endpoints: [{key: a, target: 'x:1'}, {key: b, target: 'x:1'}]}\n")
    result = CliRunner().invoke(main, [*command, str(path)])
    assert result.exit_code == 2
    assert result.stderr == (
        f"{path}: forward.endpoints: 1 endpoint not told to the mesh (an agent has at most 1): 'b'\n"
    )
