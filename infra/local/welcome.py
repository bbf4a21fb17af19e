"""What a person reads once the stack is up: where everything is, and what to type next."""

import os
import sys
from pathlib import Path

from rich.console import Console

from infra.local.stack import Stack


def welcome(stack: Stack, logs: Path) -> None:
    python = os.path.relpath(sys.executable)
    console = Console(highlight=False, soft_wrap=True)
    console.print("\n[bold green]Unring is running.[/] Ctrl-C ends it.\n")
    for name, address in stack.addresses().items():
        if name != "project":
            console.print(f"  [bold]{name:<12}[/]{address}")
    console.print(f"  [bold]{'socket.io':<12}[/]{stack.socketio}")
    console.print(f"  [bold]{'logs':<12}[/]{os.path.relpath(logs)}/\n")
    console.print("See it work, in two more terminals:\n")
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


def _phone(python: str, stack: Stack, user: str) -> str:
    token = f"$({python} -m infra.local token {user})"
    return f'{python} -m websockets "{stack.websocket}?token={token}"'


def _step(console: Console, title: str, command: str) -> None:
    console.print(f"  {title}")
    console.print(f"   [cyan]{command}[/]\n", markup=True)
