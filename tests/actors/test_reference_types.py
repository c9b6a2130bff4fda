"""What a reference takes is part of its type: mypy rejects a message that its receiver does not take."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]

PROGRAM = """
from actors.links.dialer import Dialer
from actors.links.loopback import Loopback
from actors.messages import connection, connection_table, dialer, endpoint, listener, peer_link, route_table
from actors.runtime.actor import Actor
from actors.runtime.reference import AskRef
from actors.runtime.seam import AnyRef, Connected, Dispatcher, Ref, StreamSocket
from mesh.addresses import TcpAddress
from mesh.trust.identity import AgentId


def others(
    table: Ref[route_table.Inbound],
    link: Ref[peer_link.Inbound],
    subscriber: Ref[listener.Inbound],
    ends: Ref[connection_table.Inbound],
) -> None:
    table.tell(route_table.StopRelaying())
    table.tell(dialer.DialDue())  # wrong: a dialer's message for the route table
    table.tell(route_table.Subscribe(subscriber))
    table.tell(route_table.Subscribe(link))  # wrong: a link takes no routes
    table.tell(route_table.Withdraw(table))  # wrong: it does not take the answer
    link.tell(peer_link.CloseLink("bye", peer_link.Blame.NONE))
    link.tell(peer_link.CloseLink("bye", True))  # wrong: no enum
    only_frames: Ref[peer_link.SendFrames] = link
    only_frames.tell(peer_link.AdmitLink())  # wrong: whoever holds it may send frames, and no more
    any_actor: AnyRef = link
    any_actor.tell(peer_link.AdmitLink())  # wrong: nothing can be told through it
    connection.PathChanged(b"", ends)  # wrong: a table is no link, and bytes are no agent


def actors(
    dispatcher: Dispatcher, own: AgentId, table: Ref[connection_table.Inbound], ends: Ref[endpoint.Inbound]
) -> None:
    Loopback.start(dispatcher, own_id=own, connection_table=table)
    Loopback.start(dispatcher, own_id=own, connection_table=ends)  # wrong: endpoints take no frames
    Loopback.start(dispatcher, own_id=own)  # wrong: it lacks a reference
    dispatcher.schedule(ends, 1.0, endpoint.CheckDue())
    dispatcher.schedule(ends, 1.0, dialer.DialDue())  # wrong: a timer tells, too
    dispatcher.resolve(ends, "localhost", 80, 1)
    dispatcher.resolve(table, "localhost", 80, 1)  # wrong: it takes no answer of the resolver


class Curious(Actor[endpoint.Inbound]):
    def on_start(self) -> None:
        self.schedule(1.0, endpoint.CheckDue())
        self.schedule(1.0, dialer.DialDue())  # wrong: it does not take this itself
        self.watch(self.ref, endpoint.CheckDue())
        self.watch(self.ref, dialer.DialDue())  # wrong: nor when somebody ends


def outside(root: AskRef[route_table.Inbound], message: Connected, socket: StreamSocket) -> None:
    root.ask(route_table.GetCounts(), block=False)
    root.ask(dialer.DialDue(), block=False)  # wrong: a question for somebody else
    message.socket.abort()
    message.socket.listen()  # wrong: a stream does not listen
"""
"""Each line with a ``# wrong`` is to be rejected, and no other."""


@pytest.mark.timeout(300)
def test_mypy_rejects_a_message_for_somebody_else(tmp_path, monkeypatch):
    """Mypy reads all that the program imports, without a cache: that takes a while."""
    mypy = pytest.importorskip("mypy.api")
    monkeypatch.chdir(ROOT)
    options = ["--strict", "--config-file=", "--python-version=3.11", f"--cache-dir={tmp_path}"]
    output, errors, _ = mypy.run([*options, "-c", PROGRAM])
    assert errors == ""
    found = {int(line) for line in re.findall(r"^<string>:(\d+): error: ", output, re.MULTILINE)}
    wanted = {number for number, line in enumerate(PROGRAM.splitlines(), 1) if "# wrong" in line}
    assert found == wanted, output
