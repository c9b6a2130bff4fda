"""The ways between client and server that the benchmark compares; each runs real processes on loopback."""

import contextlib
import getpass
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final

import msgspec
from bench_processes import (
    BenchmarkError,
    Process,
    Server,
    free_ports,
    wait_for_echo,
    wait_for_listener,
)

CIPHER: Final = "aes128-gcm@openssh.com"
"""The fastest that OpenSSH has on processors with AES instructions."""

PRIVILEGE_SEPARATION: Final = Path("/run/sshd")
"""sshd refuses to start as root without this empty directory, which Debian makes at boot."""

PROJECT: Final = Path(__file__).resolve().parent.parent
COMMAND_TIMEOUT_S: Final = 60.0


class Way(msgspec.Struct, frozen=True):
    """A way that is up: where to connect, and which processes carry the octets."""

    name: str
    bulk_port: int
    echo_port: int
    pids: Mapping[str, int]
    """Role to process; empty for plain TCP."""


Opener = Callable[[], "contextlib.AbstractContextManager[Way]"]


class Servers(msgspec.Struct, frozen=True):
    """What every way leads to; bulk and echo in two processes, so that neither delays the other."""

    bulk_port: int
    echo_port: int


@contextlib.contextmanager
def servers() -> Iterator[Servers]:
    """The load servers."""
    with contextlib.ExitStack() as stack:
        started = []
        for kind in ("bulk", "echo"):
            server = Server(kind)
            stack.callback(server.stop)
            started.append(server.port)
        yield Servers(*started)


@contextlib.contextmanager
def plain(services: Servers) -> Iterator[Way]:
    """No tunnel at all."""
    yield Way("plain TCP", services.bulk_port, services.echo_port, {})


def ssh_missing() -> str | None:
    """Why ``ssh`` cannot be measured here; ``None`` where it can."""
    missing = [name for name in ("ssh", "ssh-keygen") if shutil.which(name) is None]
    if _sshd() is None:
        missing.append("sshd")
    return f"{', '.join(missing)} not installed" if missing else None


@contextlib.contextmanager
def ssh(services: Servers, folder: Path, *, jump: bool) -> Iterator[Way]:
    """``ssh -L``, or ``ssh -J`` over a second sshd; keys and configurations are its own."""
    home = folder / ("ssh-J" if jump else "ssh-L")
    home.mkdir()
    for key in ("host", "user"):
        _run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(home / key)])
    server_ports = free_ports(2 if jump else 1)
    bulk_port, echo_port = free_ports(2)
    with contextlib.ExitStack() as stack:
        stack.enter_context(_privilege_separation())
        pids = {}
        processes = []
        for number, port in enumerate(server_ports):
            config = home / f"sshd{number}.conf"
            config.write_text(_sshd_config(home, port))
            process = Process([str(_sshd()), "-D", "-e", "-f", str(config)], home / f"sshd{number}.log")
            stack.callback(process.stop)
            pids[f"sshd {number + 1}"] = process.pid
            processes.append(process)
        (home / "ssh.conf").write_text(_ssh_config(home, server_ports))
        forwards = [
            f"-L127.0.0.1:{bulk_port}:127.0.0.1:{services.bulk_port}",
            f"-L127.0.0.1:{echo_port}:127.0.0.1:{services.echo_port}",
        ]
        through = ["-J", "server0"] if jump else []
        command = ["ssh", "-N", "-F", str(home / "ssh.conf"), *through, *forwards]
        for port in server_ports:
            wait_for_listener(port, processes)
        process = Process([*command, f"server{len(server_ports) - 1}"], home / "ssh.log")
        stack.callback(process.stop)
        pids["ssh"] = process.pid
        wait_for_echo(echo_port, [*processes, process])
        yield Way("ssh -J" if jump else "ssh -L", bulk_port, echo_port, pids)


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


def _sshd_config(home: Path, port: int) -> str:
    return f"""\
ListenAddress 127.0.0.1:{port}
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
KbdInteractiveAuthentication no
PermitRootLogin prohibit-password
AllowTcpForwarding yes
Ciphers {CIPHER}
LogLevel ERROR
"""


def _ssh_config(home: Path, ports: list[int]) -> str:
    host_key = (home / "host.pub").read_text()
    (home / "known_hosts").write_text("".join(f"[127.0.0.1]:{port} {host_key}" for port in ports))
    hosts = "".join(
        f"Host server{number}\n  HostName 127.0.0.1\n  Port {port}\n" for number, port in enumerate(ports)
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
  Ciphers {CIPHER}
  LogLevel ERROR
"""


@contextlib.contextmanager
def mesh(services: Servers, folder: Path, *, agents: int) -> Iterator[Way]:
    """A chain of agents: the first has the listeners, the last the endpoints, each dials the next."""
    home = folder / f"mesh-{agents}"
    names = [f"agent{number}" for number in range(1, agents + 1)]
    environment = {**os.environ, "PYTHONPATH": str(PROJECT)}
    _run([sys.executable, "-m", "mesh", "init", str(home), "--agents", ",".join(names)], environment)
    authority = (home / "authority.pub").read_text().strip()
    peer_ports = free_ports(agents)
    bulk_port, echo_port = free_ports(2)
    keys = ("bulk", "echo")
    with contextlib.ExitStack() as stack:
        processes = {}
        for number, name in enumerate(names):
            config: dict[str, object] = {
                "agent": {"name": name, "data_dir": ".", "drain_timeout": "0s"},
                "trust": {"authorities": [authority], "certificate": "agent.cert"},
                "accept": [{"address": f"127.0.0.1:{peer_ports[number]}"}],
                "http": {"address": "127.0.0.1:0"},
            }
            if name != names[-1]:
                config["peers"] = [{"address": f"127.0.0.1:{peer_ports[number + 1]}"}]
            forward: dict[str, object] = {}
            if name == names[0]:
                ports = zip(keys, (bulk_port, echo_port), strict=True)
                forward["listeners"] = [{"key": key, "address": f"127.0.0.1:{port}"} for key, port in ports]
            if name == names[-1]:
                ports = zip(keys, (services.bulk_port, services.echo_port), strict=True)
                forward["endpoints"] = [{"key": key, "target": f"127.0.0.1:{port}"} for key, port in ports]
            config["forward"] = forward
            path = home / name / "bench.yaml"
            path.write_text(json.dumps(config, indent=2))  # JSON is YAML
            process = Process(
                [sys.executable, "-m", "mesh.agent", str(path)], home / f"{name}.log", environment
            )
            stack.callback(process.stop)
            processes[_role(number, agents)] = process
        wait_for_echo(echo_port, list(processes.values()))
        yield Way(
            f"mesh, {agents} agents",
            bulk_port,
            echo_port,
            {role: process.pid for role, process in processes.items()},
        )


def _role(number: int, agents: int) -> str:
    if number == 0:
        return "ingress"
    if number == agents - 1:
        return "exit"
    return "transit" if agents == 3 else f"transit {number}"


def _run(command: list[str], environment: dict[str, str] | None = None) -> None:
    done = subprocess.run(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=COMMAND_TIMEOUT_S,
        check=False,
    )
    if done.returncode:
        raise BenchmarkError(f"{' '.join(command)} failed:\n{(done.stdout + done.stderr).decode().strip()}")
