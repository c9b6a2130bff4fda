"""Who watches a link learns nothing from the sizes of what opens a connection, and sees no instance."""

from typing import Any, ClassVar

import pytest

from actors.links.output import LinkOutput
from mesh.addresses import TcpAddress
from mesh.link.frame_sealing import FrameWriter
from mesh.link.frames import OPENING_BODY_BYTES, SEALED_HEADER_BYTES, TAG_BYTES, Frame, FrameType
from scripts.simulation.conversation import Terms
from tests.simulation.mesh_world import SERVICE_PORT, mesh_world

OPENING_BYTES = SEALED_HEADER_BYTES + OPENING_BODY_BYTES + TAG_BYTES
KEYS = {"k": 7001, "hr-confidential-records": 7002, "x" * 200: 7003, "refused": 7004}


class WatchedWriter:
    """Keeps what is on the wire of each frame that opens a connection."""

    seen: ClassVar[list[tuple[int, bytes]]] = []

    def __init__(self, key: bytes) -> None:
        self._writer = FrameWriter(key)

    def seal(self, frame: Frame) -> tuple[bytes, ...]:
        sealed = self._writer.seal(frame)
        if frame.type in (FrameType.OPEN, FrameType.ACCEPT, FrameType.REJECT):
            self.seen.append((frame.type, b"".join(sealed)))
        return sealed


@pytest.fixture
def seen(monkeypatch: Any) -> list[tuple[int, bytes]]:
    WatchedWriter.seen = []

    def seal_with(self: LinkOutput, key: bytes) -> None:
        self._writer = WatchedWriter(key)

    monkeypatch.setattr(LinkOutput, "seal_with", seal_with)
    return WatchedWriter.seen


@pytest.mark.interpreted
def test_what_opens_a_connection_has_one_size_and_is_another_on_each_link(seen):
    with mesh_world(1) as mesh:
        mesh.plan("branch", peers=["relay"], listeners=KEYS)
        mesh.plan("relay")
        targets = {key: TcpAddress("service", SERVICE_PORT) for key in KEYS}
        targets["refused"] = TcpAddress("service", 9)
        mesh.plan("hq", peers=["relay"], endpoints=targets)
        mesh.serve("service")
        mesh.start()
        mesh.converge()
        for number, port in enumerate(KEYS.values()):
            mesh.converse(Terms(number, 100, 100), port=port)
        mesh.run(5.0)
        instances = {
            actor._settings.instance
            for name in mesh.plans
            for actor in mesh.actors_on(name)
            if hasattr(actor, "_output")
        }
    assert {kind for kind, _ in seen} == {FrameType.OPEN, FrameType.ACCEPT, FrameType.REJECT}
    assert {len(data) for _, data in seen} == {OPENING_BYTES}
    assert len({data[SEALED_HEADER_BYTES:] for _, data in seen}) == len(seen) >= 2 * 2 * len(KEYS)
    assert len(instances) == 3
    assert not any(instance in data for instance in instances for _, data in seen)
