"""Whose a port is."""

import asyncio
import os
import socket
import sys
from collections.abc import Callable, Mapping

import pytest

from infra.local.console.owners import Owners
from infra.local.console.ports import _by_psutil, ports_of

_CONNECTS = """
import socket, sys
made = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
print(made.getsockname()[1], flush=True)
sys.stdin.read()
"""


async def test_a_port_is_the_functions_whose_process_has_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = str(server.getsockname()[1])
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _CONNECTS, port),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
        )
        assert process.stdin
        assert process.stdout
        made = int(await process.stdout.readline())
        owners = Owners(lambda: {"gateway": process.pid}, lambda: 10.0)
        assert owners.known(made) is None
        # Two who ask at once share a look.
        found = await asyncio.gather(owners.find(made), owners.find(made))
        assert set(found) == {"gateway"}
        assert owners.known(made) == "gateway"
        process.stdin.close()
        await process.wait()


@pytest.mark.parametrize("look", [ports_of, _by_psutil], ids=["as it is", "by psutil"])
async def test_whichever_way_the_system_lets_one_look(
    look: Callable[[Mapping[str, int]], dict[int, str]],
) -> None:
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as made,
    ):
        found = look({"push": os.getpid()})
        assert found[made.getsockname()[1]] == "push"
    assert look({"push": 2**22 + 1}) == {}


async def test_what_was_known_is_looked_up_again_after_some_seconds() -> None:
    now = 10.0
    pids = {"deliver": os.getpid()}
    owners = Owners(lambda: pids, lambda: now)
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        socket.create_connection(server.getsockname()) as made,
    ):
        port = made.getsockname()[1]
        assert await owners.find(port) == "deliver"
        now = 100.0
        assert owners.known(port) is None
        pids = {"push": os.getpid()}
        assert await owners.find(port) == "push"


@pytest.mark.parametrize("pid", [None, 2**22 + 1])
async def test_the_port_of_no_function_is_nobodys(pid: int | None) -> None:
    owners = Owners(lambda: {} if pid is None else {"gateway": pid}, lambda: 10.0)
    assert await owners.find(1) is None


async def test_who_nobody_had_is_not_looked_for_again_until_the_next_look() -> None:
    now = 10.0
    looks = 0

    def pids() -> Mapping[str, int]:
        nonlocal looks
        looks += 1
        return {}

    owners = Owners(pids, lambda: now)
    for _ in range(2):
        assert await owners.find(1) is None
    assert looks == 2
    assert await owners.find(2) is None
    assert await owners.find(1) is None
    assert looks == 6
    now = 100.0
    assert await owners.find(1) is None
    assert looks == 8
