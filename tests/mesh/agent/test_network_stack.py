"""What names the network stack of a process."""

import subprocess
import sys

from mesh.agent.network_stack import NAMESPACE, network_stack
from mesh.connection.loops import ends_of, socket_tag
from mesh.trust.identity import Instance


def test_processes_that_share_loopback_have_one_name_for_it():
    ask = "from mesh.agent.network_stack import network_stack as it; print(it().decode())"
    done = subprocess.run([sys.executable, "-c", ask], capture_output=True, check=True, text=True, timeout=30)
    assert done.stdout.strip().encode() == network_stack() != b""


def test_another_kernel_and_another_namespace_have_other_names(tmp_path):
    boot, other = tmp_path / "boot", tmp_path / "namespace"
    boot.write_text("0b5c0b1e\n")
    other.write_bytes(b"")
    names = {network_stack(), network_stack(boot, NAMESPACE), network_stack(boot, other)}
    assert len(names) == 3
    assert network_stack(boot, other) == f"0b5c0b1e {other.stat().st_ino}".encode()


def test_what_is_not_known_has_no_name(tmp_path):
    (tmp_path / "boot").write_bytes(b"\xff")
    assert network_stack(tmp_path / "boot") == network_stack(namespace=tmp_path / "none") == b""


def test_a_loopback_socket_of_another_machine_has_another_tag():
    here = Instance(b"h" * 16)
    for near, far in (("127.0.0.1:40000", "127.0.0.1:5432"), ("[::1]:40000", "[::]:5432")):
        ends = ends_of(near, far)
        tags = {socket_tag(here, ends, network) for network in (b"one 4026531840", b"two 4026531840", b"")}
        assert len(tags) == 3
    ends = ends_of("10.0.0.1:40000", "10.0.0.2:5432")  # these two may stand on two machines
    assert socket_tag(here, ends, b"one") == socket_tag(here, ends, b"two")
