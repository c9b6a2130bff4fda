"""The port of the dashboard."""

import contextlib
import socket

import pytest

from mesh.addresses import TcpAddress
from mesh.agent.files import AgentFileError
from mesh.agent.http import open_http
from mesh.config.schema import Config, HttpSection


@pytest.mark.parametrize(("written", "said"), [({}, "127.0.0.1:"), ({"http.address": "${HTTP}"}, "${HTTP}")])
def test_a_port_that_is_taken_is_told_as_the_file_has_it(written, said):
    with socket.create_server(("127.0.0.1", 0)) as taker, contextlib.ExitStack() as stack:
        port = taker.getsockname()[1]
        config = Config(http=HttpSection(address=TcpAddress("127.0.0.1", port)))
        with pytest.raises(AgentFileError) as caught:
            open_http(config, stack, written)
    assert str(caught.value).startswith(f"http.address: cannot listen on {said}")
    assert str(caught.value).endswith("does another agent run on this machine?")
    assert (str(port) in str(caught.value)) is (not written)
