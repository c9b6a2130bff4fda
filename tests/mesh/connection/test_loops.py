"""Which clients are exits' sockets, as far as their addresses tell."""

import pytest

from mesh.connection.loops import TAG_BYTES, LoopWatch, ends_of, plain, socket_tag
from mesh.trust.identity import AgentId, Instance
from tests.work.instructions import instructions

HERE, THERE = Instance(b"h" * 16), Instance(b"t" * 16)
ONE, TWO = AgentId(b"1" * 16), AgentId(b"2" * 16)


@pytest.mark.parametrize(
    ("name", "spelling"),
    [
        ("127.0.0.1:80", "127.0.0.1:80"),
        ("[::ffff:127.0.0.1]:80", "127.0.0.1:80"),
        ("[::ffff:1]:80", "[::ffff:1]:80"),
        ("0.0.0.0:80", "127.0.0.1:80"),
        ("[::ffff:0.0.0.0]:80", "127.0.0.1:80"),
        ("[::]:80", "[::1]:80"),
        ("[2001:db8::1]:80", "[2001:db8::1]:80"),
        ("[fe80::1%eth0]:80", "[fe80::1]:80"),
        ("closed", "closed"),
    ],
)
def test_an_address_has_one_spelling(name, spelling):
    assert plain(name) == spelling


def test_both_ends_of_a_socket_make_one_tag_and_others_do_not():
    tag = socket_tag(HERE, ends_of("127.0.0.1:40000", "0.0.0.0:80"), b"")
    assert tag == socket_tag(HERE, ends_of("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:80"), b"")
    assert len(tag) == TAG_BYTES
    others = {
        socket_tag(THERE, ends_of("127.0.0.1:40000", "127.0.0.1:80"), b""),
        socket_tag(HERE, ends_of("127.0.0.1:40001", "127.0.0.1:80"), b""),
        socket_tag(HERE, ends_of("127.0.0.1:40000", "127.0.0.1:81"), b""),
        socket_tag(HERE, ends_of("127.0.0.1:80", "127.0.0.1:40000"), b""),
    }
    assert len(others | {tag}) == 5


def test_an_exit_of_ones_own_is_known_by_both_addresses_while_it_is_open():
    watch: LoopWatch[str] = LoopWatch()
    assert not watch.has_exits
    watch.exit_opened(ends_of("127.0.0.1:40000", "0.0.0.0:80"))
    assert watch.has_exits
    assert watch.is_own_exit(ends_of("[::ffff:127.0.0.1]:40000", "[::ffff:127.0.0.1]:80"))
    assert not watch.is_own_exit(ends_of("127.0.0.1:40000", "127.0.0.1:81"))  # the kernel gives a port twice
    watch.exit_closed(ends_of("127.0.0.1:40000", "0.0.0.0:80"))
    assert not watch.has_exits


def test_client_and_exit_meet_whichever_comes_first():
    watch: LoopWatch[str] = LoopWatch()
    assert watch.client_came(b"first", "client 1") == ()
    assert watch.exit_said(b"first", ONE, 7) == "client 1"
    assert watch.exit_said(b"later", ONE, 8) is None
    assert watch.client_came(b"later", "client 2") == (ONE,)
    assert watch.exit_said(b"", ONE, 9) is None
    assert watch.client_came(b"", "client 3") == ()


def test_who_says_so_last_does_not_hide_who_said_so_before():
    watch: LoopWatch[str] = LoopWatch()
    watch.exit_said(b"tag", ONE, 7)
    watch.exit_said(b"tag", TWO, 8)
    assert watch.client_came(b"tag", "client") == (ONE, TWO)
    watch.connection_ended(b"tag", TWO, 8)
    assert watch.client_came(b"tag", "client") == (ONE,)


def test_of_one_exit_the_latest_connection_counts():
    watch: LoopWatch[str] = LoopWatch()
    watch.exit_said(b"tag", ONE, 7)
    watch.exit_said(b"tag", ONE, 8)  # its socket has the port of the one before
    watch.connection_ended(b"tag", ONE, 7)
    assert watch.client_came(b"tag", "client") == (ONE,)
    watch.connection_ended(b"tag", ONE, 8)
    assert watch._said == {}


def test_exits_that_all_say_the_same_cost_no_more_each_than_one_and_are_forgotten():
    def work(count):
        watch: LoopWatch[str] = LoopWatch()
        exits = [AgentId(number.to_bytes(16, "big")) for number in range(count)]
        for exit_id in exits:
            watch.exit_said(b"tag", exit_id, 1)
        assert watch.client_came(b"tag", "client") == tuple(exits)
        return instructions(lambda: say_and_end_all(watch, exits)) / count

    def say_and_end_all(watch, exits):
        for exit_id in exits:
            watch.exit_said(b"tag", exit_id, 2)
        for exit_id in exits:
            watch.connection_ended(b"tag", exit_id, 1)
            watch.connection_ended(b"tag", exit_id, 2)
        assert watch._said == {}

    assert work(1_000) <= work(10) * 1.1


def test_clients_of_a_unix_socket_are_not_told_apart_so_nobody_leads_them_in_a_circle():
    watch: LoopWatch[str] = LoopWatch()
    tag = socket_tag(Instance(b"i" * 8), ends_of("unix:", "unix:/run/app.sock"), b"")
    watch.client_came(tag, "client")
    assert watch.exit_said(tag, ONE, 7) is None
    watch.client_left(tag, "client")
    assert (watch._clients, watch._said) == ({}, {})


def test_nothing_is_left_of_those_that_are_gone():
    watch: LoopWatch[str] = LoopWatch()
    client, other = "client", "other"
    watch.client_came(b"tag", client)
    watch.client_left(b"tag", other)
    assert watch.exit_said(b"tag", ONE, 7) is client
    watch.client_left(b"tag", client)
    watch.connection_ended(b"tag", ONE, 8)
    watch.connection_ended(b"tag", TWO, 7)
    assert watch.client_came(b"tag", client) == (ONE,)
    watch.connection_ended(b"tag", ONE, 7)
    watch.client_left(b"tag", client)
    watch.client_left(b"tag", client)
    assert (watch._clients, watch._said) == ({}, {})
