"""Which agent a command means."""

import socket

import pytest

from mesh.agent.finding import CONTROL_NAME, control_socket
from mesh.config import ConfigError


@pytest.fixture
def config(tmp_path):
    file = tmp_path / "config.yaml"
    file.write_text("agent: {data_dir: data}\n")
    return file


def test_the_socket_is_in_the_data_directory_of_the_configuration(config):
    assert control_socket(config, None) == config.parent / "data" / CONTROL_NAME


def test_with_a_mistake_in_the_file_the_agent_that_runs_beside_it_can_be_asked(config, monkeypatch):
    config.write_text("agent: [\n")
    with pytest.raises(ConfigError):
        control_socket(config, None)
    (config.parent / CONTROL_NAME).write_text("no socket")
    with pytest.raises(ConfigError):
        control_socket(config, None)
    (config.parent / CONTROL_NAME).unlink()
    monkeypatch.chdir(config.parent)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(CONTROL_NAME)
        assert control_socket(config, None) == config.parent / CONTROL_NAME
