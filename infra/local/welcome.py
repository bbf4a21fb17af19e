"""What a person reads once the stack is up: where everything is, and what to type next."""

import os
import socket
import sys
from collections.abc import Mapping

from rich.console import Console

from infra.local.stack import Options, Stack
from infra.loopback import LOOPBACK, names_proxy

_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not listened on


def welcome(stack: Stack, options: Options, addresses: Mapping[str, str]) -> None:
    """`addresses` are those that other programs are told."""
    python = os.path.relpath(sys.executable)
    console = Console(highlight=False, soft_wrap=True)
    console.print("\n[bold green]Unring is running.[/] Ctrl-C ends it.\n")
    console.print(f"  See it work, in your browser: [bold cyan]{addresses['console']}[/]\n")
    for name, address in addresses.items():
        if name not in ("project", "console"):
            console.print(f"  [bold]{name:<12}[/]{address}")
    console.print(f"  [bold]{'AWS SDKs':<12}[/]{stack.sdk_endpoint}")
    console.print(f"  [bold]{'socket.io':<12}[/]{stack.socketio}")
    if options.host in _EVERY_ADDRESS and (network := _network_address()):
        url = stack.websocket.replace("127.0.0.1", network)
        console.print(f"  [bold]{'network':<12}[/]{url}")
    console.print(f"  [bold]{'logs':<12}[/]{os.path.relpath(options.logs)}/\n")
    if options.host not in LOOPBACK and not options.signed:
        console.print("[yellow]Whoever is in your network can come in, as whomever he likes.[/]\n")
    if names_proxy(os.environ):
        console.print("Your environment names a proxy. So that nothing here asks it, say first:\n")
        console.print(f"   [cyan]export no_proxy={os.environ['no_proxy']}[/]\n")
    console.print("Or by hand, in two more terminals:\n")
    _step(console, "1. The receiver's phone", _phone(python, stack, "USR_2"))
    _step(console, "2. The caller's phone", _phone(python, stack, "USR_1"))
    register = '{"event": "device:register", "data": {"token": "T", "platform": "android"}}'
    _step(console, "3. It wants to be pushed, too: type this on the receiver's phone", register)
    _step(console, "4. A call that rings", f"{python} -m infra.local call CALL_1 USR_1 USR_2")
    cancel = '{"event": "call:cancel", "data": {"callId": "CALL_1"}, "id": 1}'
    _step(console, "5. The caller gives up: type this on the caller's phone", cancel)
    _step(console, "6. What FCM was sent", f"curl {stack.fcm.url}/messages")
    console.print("The receiver's phone has been told. End it with Ctrl-D and play 4 to 6 again")
    console.print("with CALL_2: the push still comes.\n")


def _network_address() -> str | None:
    """This machine's address in its network; None if it has none."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.connect(("192.0.2.1", 9))  # sends nothing, and only finds the way
        except OSError:
            return None
        address: str = probe.getsockname()[0]
    return address


def _phone(python: str, stack: Stack, user: str) -> str:
    token = f"$({python} -m infra.local token {user})"
    return f'{python} -m websockets "{stack.websocket}?token={token}"'


def _step(console: Console, title: str, command: str) -> None:
    console.print(f"  {title}")
    console.print(f"   [cyan]{command}[/]\n", markup=True)
