"""A real agent and the second implementation in one mesh: they link, tell records, and carry both ways."""

import ast
import asyncio
import base64
import hashlib
import os
import sys
import time
from pathlib import Path

import pytest

from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo
from tests.second.agent import Agent
from tests.second.joining import join
from tests.second.wire import Grants, Identity, MayIssue, certificate_text, sign_certificate

MIB = 1 << 20
PATIENCE_S = 15


def issuer_certificate(authority, subject):
    now = int(time.time())
    may_issue = MayIssue(3_600, ("*",), ("*",), False, False, ("*",))
    return sign_certificate(
        authority,
        Grants(
            *(subject, "real", now - 60, now + 7_200, ("*",), ("*",), False, False, authority.public_key),
            may_issue=may_issue,
        ),
    )


async def until(condition):
    async with asyncio.timeout(PATIENCE_S):
        while not condition():  # noqa: ASYNC110 -- what is waited for happens in another process
            await asyncio.sleep(0.01)


async def echoed(port):
    """Whether 1 MiB comes back as it went, and the end of stream behind it."""
    octets = os.urandom(MIB)
    reader, writer = await asyncio.open_connection(LOOPBACK, port)

    async def send():
        writer.write(octets)
        await writer.drain()
        writer.write_eof()

    async with asyncio.timeout(PATIENCE_S):
        _, found = await asyncio.gather(send(), reader.read(-1))
    writer.close()
    await writer.wait_closed()
    return len(found), hashlib.sha256(found).digest() == hashlib.sha256(octets).digest()


@pytest.mark.system
def test_the_second_implementation_joins_the_mesh_and_carries_both_ways(mesh):
    authority, identity = Identity(os.urandom(32)), Identity(os.urandom(32))
    real = mesh.agent("real").accept()
    real.config["trust"]["authorities"] = [base64.b64encode(authority.public_key).decode()]
    certificate = issuer_certificate(authority, real.identity.public_key)
    (real.folder / "agent.cert").write_text(certificate_text(certificate))
    with Service(echo) as near_real, Service(echo) as near_second:
        real.offer("at-real", near_real.port)
        port_at_real = real.listen("at-second")
        mesh.start()
        invited = real.ask("invite", "second", "--use", "at-real", "--register", "at-second")
        assert invited.returncode == 0, invited.stderr

        async def scenario():
            own = await join(invited.stdout, identity, time.time())
            second = Agent(own, {"at-second": (LOOPBACK, near_second.port)})
            await second.dial(LOOPBACK, real.accept_port)
            try:
                await until(lambda: second.records.candidates("at-real") == [real.identity.id])
                await asyncio.to_thread(real.wait_for_route, "at-second")
                assert await echoed(port_at_real) == (MIB, True)
                assert await echoed(await second.listen("at-real")) == (MIB, True)
                assert second.pongs
            finally:
                await second.close()

        asyncio.run(scenario())
        real.wait_for_no_route("at-second")


def test_the_second_implementation_has_nothing_of_the_first():
    own = [path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
    imported = {
        node.module.partition(".")[0] if isinstance(node, ast.ImportFrom) else alias.name.partition(".")[0]
        for path in own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    assert imported - set(sys.stdlib_module_names) == {"cryptography", "msgspec", "noise", "tests"}
