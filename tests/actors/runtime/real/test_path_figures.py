"""What sockets know of their path, and how large their segments are."""

import socket
from collections.abc import Iterator
from typing import Any

import pytest

from actors.runtime.real.socket_options import set_options
from actors.runtime.seam import SocketOptions
from mesh.black_hole import Evidence, evidence
from tests.actors.runtime.socket_contract import PLACES, Side, make_pair

LOCAL = "127.0.0.1"


@pytest.fixture(params=PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[Any]:
    with request.param() as made:
        yield made


def test_a_path_that_works_shows_no_sign_of_a_black_hole(place: Any):
    pair = make_pair(place, Side(place, place.near), Side(place, place.far))
    pair.near.send(pair.client, b"ping")
    assert pair.far.receive_exactly(pair.server, 4) == b"ping"
    pair.far.send(pair.server, b"pong")
    assert pair.near.receive_exactly(pair.client, 4) == b"pong"
    figures = pair.near.do(lambda _: pair.client.path_figures())
    assert evidence(figures, 60.0) is Evidence.NONE
    if figures is not None:
        assert figures.timeouts == 0
        assert 0 <= figures.since_data_s < 30
        assert 0 <= figures.since_ack_s < 30
    pair.near.do(lambda _: pair.client.close())
    assert pair.near.do(lambda _: pair.client.path_figures()) is None


def test_the_end_that_dials_sets_the_size_of_segments_for_both():
    with socket.socket() as listening, socket.socket() as dialing:
        listening.bind((LOCAL, 0))
        listening.listen()
        set_options(dialing, SocketOptions(max_segment_bytes=1220))
        dialing.connect(listening.getsockname())
        accepted, _ = listening.accept()
        with accepted:
            for each in (dialing, accepted):
                assert each.getsockopt(socket.IPPROTO_TCP, socket.TCP_MAXSEG) <= 1220
