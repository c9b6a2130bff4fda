"""ssh as a way: what the mesh is measured against."""

import contextlib
import getpass
import os
import shutil
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

from scripts.benchmark.processes import (
    HERE,
    Place,
    Process,
    command,
    free_ports,
    wait_for_echo,
    wait_for_listener,
)
from scripts.benchmark.ways import Servers, Way

AES: Final = "aes128-gcm@openssh.com"
"""The fastest that OpenSSH has on processors with AES instructions."""

CHACHA: Final = "chacha20-poly1305@openssh.com"
"""The cipher that the mesh uses, as OpenSSH has it."""

PRIVILEGE_SEPARATION: Final = Path("/run/sshd")
"""sshd refuses to start as root without this empty directory, which Debian makes at boot."""

ALL_HERE: Final = (HERE, HERE, HERE)


def ssh_missing() -> str | None:
    """Why ``ssh`` cannot be measured here; ``None`` where it can."""
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
    if _sshd() is None:
        missing.append("sshd")
    return f"{', '.join(missing)} not installed" if missing else None


@contextlib.contextmanager
def ssh(
    services: Servers, folder: Path, *, jump: bool, cipher: str, places: Sequence[Place] = ALL_HERE
) -> Iterator[Way]:
    """``ssh -L``, or ``ssh -J`` over a second sshd; keys and configurations are its own.

    The client runs in the first of ``places``, an sshd in each of the others; without a jump there are two.
    """
    servers = places[1:] if jump else places[-1:]
    folder.mkdir()
    for key in ("host", "user"):
        command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(folder / key)])
    server_ports = free_ports(len(servers))
    bulk_port, echo_port = free_ports(2)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_privilege_separation())
        pids = {}
        processes = []
        for number, (place, port) in enumerate(zip(servers, server_ports, strict=True)):
            config = folder / f"sshd{number}.conf"
            config.write_text(_sshd_config(folder, place.address, port, cipher))
            start = [*place.prefix, str(_sshd()), "-D", "-e", "-f", str(config)]
            process = Process(start, folder / f"sshd{number}.log")
            stack.callback(process.stop)
            pids[f"sshd {number + 1}"] = process.pid
            processes.append(process)
            wait_for_listener(place.address, port, processes, place)
        addresses = [(place.address, port) for place, port in zip(servers, server_ports, strict=True)]
        (folder / "ssh.conf").write_text(_ssh_config(folder, addresses, cipher))
        forwards = [
            f"-L127.0.0.1:{bulk_port}:127.0.0.1:{services.bulk_port}",
            f"-L127.0.0.1:{echo_port}:127.0.0.1:{services.echo_port}",
        ]
        through = ["-J", "server0"] if jump else []
        start = [*places[0].prefix, "ssh", "-N", "-F", str(folder / "ssh.conf"), *through, *forwards]
        process = Process([*start, f"server{len(servers) - 1}"], folder / "ssh.log")
        stack.callback(process.stop)
        pids["ssh"] = process.pid
        wait_for_echo(echo_port, [*processes, process], places[0])
        yield Way(bulk_port, echo_port, pids, place=places[0])


def _sshd() -> str | None:
    return shutil.which("sshd", path=os.pathsep.join((os.environ.get("PATH", ""), "/usr/sbin", "/sbin")))


@contextlib.contextmanager
def _privilege_separation() -> Iterator[None]:
    if os.geteuid() != 0 or PRIVILEGE_SEPARATION.exists():
        yield
        return
    PRIVILEGE_SEPARATION.mkdir(mode=0o755)
    try:
        yield
    finally:
        PRIVILEGE_SEPARATION.rmdir()


def _sshd_config(home: Path, address: str, port: int, cipher: str) -> str:
    return f"""\
ListenAddress {address}:{port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
Ciphers {cipher}
LogLevel ERROR
"""


def _ssh_config(home: Path, addresses: Sequence[tuple[str, int]], cipher: str) -> str:
    host_key = (home / "host.pub").read_text()
    (home / "known_hosts").write_text(
        "".join(f"[{address}]:{port} {host_key}" for address, port in addresses)
    )
    hosts = "".join(
        f"Host server{number}\n  HostName {address}\n  Port {port}\n"
        for number, (address, port) in enumerate(addresses)
    )
    return f"""\
{hosts}
Host *
  User {getpass.getuser()}
  IdentityFile {home}/user
  IdentitiesOnly yes
  IdentityAgent none
  GlobalKnownHostsFile none
  UserKnownHostsFile {home}/known_hosts
  StrictHostKeyChecking yes
  BatchMode yes
  ExitOnForwardFailure yes
  ControlMaster no
  ControlPath none
  Compression no
  Ciphers {cipher}
  LogLevel ERROR
"""
