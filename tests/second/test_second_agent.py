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

from mesh.agent.control.client import AgentClient
from mesh.agent.control.requests import INVITATIONS
from mesh.agent.control.socket_file import NAME as CONTROL
from scripts.lab.ports import LOOPBACK
from scripts.lab.services import Service, echo
from tests.second.agent import Agent, TurnedAwayError
from tests.second.joining import join
from tests.second.link import Party
from tests.second.revocations import Listed, Revoked, sign_list
from tests.second.wire import Grants, Identity, MayIssue, agent_id, certificate_text, sign_certificate

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


def member(authority, name):
    now, identity = int(time.time()), Identity(os.urandom(32))
    grants = Grants(
        identity.public_key, name, now - 60, now + 3_600, (), (), False, False, authority.public_key
    )
    authorities = frozenset({authority.public_key})
    return Party(identity, sign_certificate(authority, grants), os.urandom(16), os.urandom(32), authorities)


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


async def revoked(authority, one, other):
    """An agent that is told of its own end passes it on; its peer closes the link, and tells the others."""
    now_s = time.time()
    named = Revoked(agent_id(one.grants.subject), int(now_s))
    one.revoke(sign_list(authority, Listed(authority.public_key, int(now_s * 1_000), (named,))))
    await until(lambda: not one.links)
    await until(lambda: other.revocations.refuses(one.grants))
    assert other.links


async def told_so(own, port):
    """One that was away when it was revoked hears it from whoever it dials, with the proof."""
    async with Agent(own, {}) as away:
        assert not away.revocations.refuses(away.grants)
        with pytest.raises(TurnedAwayError, match="was revoked on"):
            await away.dial(LOOPBACK, port)
        assert away.revocations.refuses(away.grants)


async def rekeyed(link, *ports):
    """New keys for a link while it carries both ways, and once more with those."""
    for count in (1, 2):
        link.ask_for_new_keys()
        assert await asyncio.gather(*map(echoed, ports)) == [(MIB, True)] * len(ports)
        assert link.rekeyed == count


@pytest.mark.system
def test_the_second_implementation_joins_the_mesh_and_carries_both_ways(mesh):
    authority, identity = Identity(os.urandom(32)), Identity(os.urandom(32))
    real = mesh.agent("real").accept()
    real.config["trust"]["authorities"] = [base64.b64encode(authority.public_key).decode()]
    real.config["connections"] = {"timeout": "20s"}  # this process may be slow to answer beside other tests
    certificate = issuer_certificate(authority, real.identity.public_key)
    (real.folder / "agent.cert").write_text(certificate_text(certificate))
    with Service(echo) as near_real, Service(echo) as near_second:
        real.offer("at-real", near_real.port)
        port_at_real = real.listen("at-second")

        async def scenario():
            async with Agent(member(authority, "third"), {}) as third:
                real.config["peers"] = [{"address": f"{LOOPBACK}:{await third.accept()}"}]
                await asyncio.to_thread(mesh.start)
                wish = {"name": "second", "use": ["at-real"], "register": ["at-second"]}
                token = AgentClient(real.folder / CONTROL).post(INVITATIONS, dict, wish)["token"]
                own = await join(token, identity, time.time())
                async with Agent(own, {"at-second": (LOOPBACK, near_second.port)}) as second:
                    await second.dial(LOOPBACK, real.accept_port)
                    await until(lambda: second.records.candidates("at-real") == [real.identity.id])
                    await asyncio.to_thread(real.wait_for_route, "at-second")
                    port_at_second = await second.listen("at-real")
                    assert await echoed(port_at_real) == (MIB, True)
                    assert await echoed(port_at_second) == (MIB, True)
                    await rekeyed(second.links[real.identity.id], port_at_real, port_at_second)
                    assert all(second.shorts)  # the first connection each way has agreed on a pair session
                    await until(lambda: third.pongs)
                    await revoked(authority, second, third)
                await told_so(own, real.accept_port)
            await asyncio.to_thread(real.wait_for_no_route, "at-second")

        asyncio.run(scenario())


def test_the_second_implementation_has_nothing_of_the_first():
    own = [path for path in Path(__file__).parent.glob("*.py") if not path.name.startswith("test_")]
    imported = {
        node.module if isinstance(node, ast.ImportFrom) else alias.name
        for path in own
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
    }
    others = {name.partition(".")[0] for name in imported if not name.startswith("tests.second.")}
    assert others - set(sys.stdlib_module_names) == {"cryptography", "msgspec", "noise"}
