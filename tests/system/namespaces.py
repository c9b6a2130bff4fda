"""Network namespaces: hosts with a router between them that can be made to lose packets by their size.

    near -- router -- far

They need root and the programs ``ip`` and ``nft``; what is here makes namespaces of its own and nothing else.
"""

import concurrent.futures
import ctypes
import os
import shutil
import subprocess
from pathlib import Path

import pytest

CLONE_NEWNET = 0x4000_0000
PREFIX = {"near": "10.211.1", "far": "10.211.2"}
FULL_MTU = 1500

needs_namespaces = pytest.mark.skipif(
    os.geteuid() != 0
    or not all(map(shutil.which, ("ip", "nft")))
    or subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True).returncode != 0,
    reason="needs root, network namespaces, ip and nft",
)


class Line:
    """Two hosts, ``near`` and ``far``, in namespaces of their own, and the way between them."""

    def __init__(self):
        self.names = {host: f"mesh-{os.getpid()}-{host}" for host in ("near", "router", "far")}
        self.addresses = {host: f"{prefix}.2" for host, prefix in PREFIX.items()}

    def __enter__(self):
        try:
            for name in self.names.values():
                ip("netns", "add", name)
                ip("-n", name, "link", "set", "lo", "up")
            for host, prefix in PREFIX.items():
                router, end = self.names["router"], self.names[host]
                ip(
                    "-n",
                    router,
                    "link",
                    "add",
                    f"to-{host}",
                    "type",
                    "veth",
                    *("peer", "name", "eth0", "netns", end),
                )
                ip("-n", router, "address", "add", f"{prefix}.1/24", "dev", f"to-{host}")
                ip("-n", end, "address", "add", f"{prefix}.2/24", "dev", "eth0")
                ip("-n", router, "link", "set", f"to-{host}", "up")
                ip("-n", end, "link", "set", "eth0", "up")
                ip("-n", end, "route", "add", "default", "via", f"{prefix}.1")
            self._run("router", "sysctl", "-qw", "net.ipv4.ip_forward=1")
            # The kernel of the hosts is not to find out by itself, nor to be told by the router.
            for host in PREFIX:
                self._run(host, "sysctl", "-qw", "net.ipv4.tcp_mtu_probing=0")
            self._run("router", "nft", "add table ip filter")
            self._run("router", "nft", "add chain ip filter output { type filter hook output priority 0 ; }")
            self._run("router", "nft", "add rule ip filter output icmp type destination-unreachable drop")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception):
        for name in self.names.values():
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)

    def lose_larger_than(self, byte_count, *towards):
        """Drop larger packets on the way to these hosts, without a word."""
        for host in towards:
            route = (f"{PREFIX[host]}.0/24", "dev", f"to-{host}")
            ip("-n", self.names["router"], "route", "replace", *route, "mtu", "lock", str(byte_count))

    def command(self, host):
        """What to put before a command so that it runs on a host."""
        return ["ip", "netns", "exec", self.names[host]]

    def on(self, host, function, *arguments):
        """The result of a function that opens its sockets on a host."""
        with concurrent.futures.ThreadPoolExecutor(1) as threads:
            return threads.submit(self._enter_and_call, host, function, *arguments).result()

    def _enter_and_call(self, host, function, *arguments):
        with Path(f"/run/netns/{self.names[host]}").open("rb") as namespace:
            if ctypes.CDLL(None, use_errno=True).setns(namespace.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return function(*arguments)

    def _run(self, host, *command):
        subprocess.run([*self.command(host), *command], check=True, capture_output=True)


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
