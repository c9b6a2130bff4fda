"""Two machines with a cable between them, as network namespaces: for what is to be seen from both ends."""

import ctypes
import os
import shutil
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, Self, TypeVar

T = TypeVar("T")

NETWORK: Final = "10.212.0"
"""Nobody else sees it: each namespace has addresses of its own."""
CLONE_NEWNET: Final = 0x4000_0000
"""From ``<linux/sched.h>``."""


def missing() -> str:
    """What is not there that namespaces need, for people; empty if nothing is missing."""
    if os.geteuid() != 0:
        return "root"
    if shutil.which("ip") is None:
        return "the program ip (package iproute2)"
    made = subprocess.run(["unshare", "--net", "true"], check=False, capture_output=True, text=True)
    return f"network namespaces: {made.stderr.strip()}" if made.returncode else ""


class TwoHosts:
    """Machines by name, each with an address, while the block runs; it does not end what runs on them."""

    def __init__(self, first: str, second: str) -> None:
        self.addresses = {first: f"{NETWORK}.1", second: f"{NETWORK}.2"}
        self._spaces = {name: f"mesh-{os.getpid()}-{name}" for name in self.addresses}

    def __enter__(self) -> Self:
        first, second = self._spaces.values()
        try:
            for space in (first, second):
                _ip("netns", "add", space)
                _ip("-n", space, "link", "set", "lo", "up")
            peer = ("peer", "name", "eth0", "netns", second)
            _ip("-n", first, "link", "add", "eth0", "type", "veth", *peer)
            for name, space in self._spaces.items():
                _ip("-n", space, "address", "add", f"{self.addresses[name]}/24", "dev", "eth0")
                _ip("-n", space, "link", "set", "eth0", "up")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for space in self._spaces.values():
            subprocess.run(["ip", "netns", "delete", space], check=False, capture_output=True)

    def on(self, name: str) -> list[object]:
        """What to put before a command, so that it runs on a machine."""
        return ["ip", "netns", "exec", self._spaces[name]]

    def call(self, name: str, function: Callable[[], T]) -> T:
        """The result of a function whose sockets and processes are on a machine."""
        with ThreadPoolExecutor(1) as threads:
            return threads.submit(self._enter_and_call, name, function).result()

    def _enter_and_call(self, name: str, function: Callable[[], T]) -> T:
        with Path(f"/run/netns/{self._spaces[name]}").open("rb") as space:
            if ctypes.CDLL(None, use_errno=True).setns(space.fileno(), CLONE_NEWNET):
                raise OSError(ctypes.get_errno(), "setns")
        return function()


def _ip(*arguments: str) -> None:
    subprocess.run(["ip", *arguments], check=True, capture_output=True)
