"""The command line, as other programs and people use it: real processes, real signals."""

import asyncio
import json
import os
import re
import signal
import socket
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import quote

import httpx
import pytest
from websockets.asyncio.client import connect

from infra import ROOT
from infra.client.phone import JsonPhone

COMMAND = (sys.executable, "-m", "infra.local")
_COMMAND_SECONDS = 100.0  # only a command that hangs takes so long, whatever else the machine does


# Nobody listens there, and no library of ours speaks SOCKS.
PROXIES = {
    "http_proxy": "http://127.0.0.1:9",
    "HTTPS_PROXY": "http://127.0.0.1:9",
    "ALL_PROXY": "socks5://127.0.0.1:9",
    "grpc_proxy": "http://127.0.0.1:9",
    "no_grpc_proxy": "example.com",
    "NO_PROXY": "example.com",
}


@asynccontextmanager
async def started(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """The stack as a process of its own, which must have ended by the time this is left."""
    process = await asyncio.create_subprocess_exec(
        *COMMAND,
        *arguments,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()


@asynccontextmanager
async def running(
    *arguments: str,
    ended_by: signal.Signals,
    environment: Mapping[str, str] | None = None,
    functions: int = 7,
) -> AsyncIterator[asyncio.subprocess.Process]:
    """A stack on a free port, which that signal then ends, and of which it must leave no process.

    Each test has its stack ended in another way. At its end, so many functions run.
    """
    async with started("--port", "0", *arguments, environment=environment) as process:
        yield process
        children = descendants(process.pid)
        if sys.platform == "linux":
            assert len(children) >= 2 * functions  # each a master and its worker
        process.send_signal(ended_by)
        await process.wait()
        await all_gone(children)
        assert process.returncode == (0 if ended_by is not signal.SIGKILL else -ended_by)


async def addresses(process: asyncio.subprocess.Process) -> dict[str, str]:
    assert process.stdout
    async with asyncio.timeout(_COMMAND_SECONDS):
        line = await process.stdout.readline()
    found: dict[str, str] = json.loads(line)
    return found


async def run(
    *arguments: str, environment: Mapping[str, str] | None = None
) -> tuple[int | None, str, str]:
    """Runs a command to its end: exit status, stdout and stderr."""
    async with started(*arguments, environment=environment) as process:
        output, errors = await process.communicate()
        return process.returncode, output.decode(), errors.decode()


def descendants(of: int) -> set[int]:
    """The processes that `of` has started, and those that they have; none without a /proc."""
    parents: dict[int, int] = {}
    for status in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parents[int(status.parent.name)] = int(fields[1])
    found = {of}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {of}


async def all_gone(processes: set[int]) -> None:
    async with asyncio.timeout(_COMMAND_SECONDS):
        while any(map(_lives, processes)):  # noqa: ASYNC110 - they are not ours to wait for
            await asyncio.sleep(0.05)


def _lives(process: int) -> bool:
    return Path(f"/proc/{process}").exists()


async def test_one_line_of_json_tells_where_everything_is_whatever_proxy_there_is() -> None:
    # One function is killed by the console when the stack ends.
    ends = running("--json", ended_by=signal.SIGTERM, environment=PROXIES, functions=6)
    async with ends as process:
        found = await addresses(process)
        assert list(found) == [
            "websocket",
            "connections",
            "firestore",
            "pubsub",
            "fcm",
            "project",
            "api",
            "cloudtasks",
            "console",
        ]
        assert found["api"] == found["websocket"].removesuffix("/dev").replace("ws://", "http://")
        assert found["websocket"].startswith("ws://127.0.0.1:")
        assert found["websocket"].endswith("/dev")
        assert found["connections"] == (
            found["websocket"].replace("ws://", "http://") + "/@connections"
        )
        assert found["project"] == "unring-local"

        async with httpx.AsyncClient(base_url=found["console"], trust_env=False) as http:
            about = (await http.get("/api/stack")).json()
            assert about["websocket"] == found["websocket"]
            assert all(fault["available"] for fault in about["faults"])
            switched = await http.post("/api/faults/push-killed", json={"on": True})
            assert switched.json()["on"]

        status, token, _ = await run("token", "USR_2", environment=PROXIES)
        assert status == 0
        status, output, _ = await run("call", "CALL_1", "USR_1", "USR_2", environment=PROXIES)
        assert (status, output) == (0, "CALL_1 is ringing: USR_1 calls USR_2\n")
        async with connect(f"{found['websocket']}?token={token.strip()}") as socket:
            verdict = await JsonPhone(socket).emit("call:reject", callId="CALL_1")
            assert verdict["outcome"] == "rejected"

        bad = ("CALL/1", ".", "__x__")
        tried = await asyncio.gather(*(run("call", id, "USR_1", "USR_2") for id in bad))
        for status, _, errors in tried:
            assert (status, "Traceback" in errors) == (1, False)
            assert "call id" in errors


@pytest.mark.thorough
async def test_a_signed_stack_takes_the_token_that_is_printed_for_it() -> None:
    async with running("--json", "--signed", ended_by=signal.SIGHUP) as process:
        found = await addresses(process)
        status, token, _ = await run("token", "USR/é?")
        assert status == 0
        async with connect(f"{found['websocket']}?token={token.strip()}&userId=USR/é?"):
            pass
        status, others, _ = await run("token", "USR_2", "--project", "another")
        assert (status, others.strip()[-1]) == (0, ".")


@pytest.mark.thorough
async def test_a_signed_stack_can_not_be_googles() -> None:
    status, _, errors = await run("--port", "0", "--signed", "--google")
    assert status == 1
    assert "--signed can't go with --google" in errors
    assert "Traceback" not in errors


@pytest.mark.thorough
@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_a_stack_for_the_network_is_reached_by_it_and_leaves_no_process_if_killed() -> None:
    everywhere = ("--host", "0.0.0.0")  # noqa: S104 - which is what is tested
    async with running("--json", *everywhere, ended_by=signal.SIGKILL) as process:
        found = await addresses(process)
        assert found["websocket"].startswith("ws://127.0.0.1:")
        _, token, _ = await run("token", "USR_1")
        elsewhere = found["websocket"].replace("127.0.0.1", "127.0.0.2")  # this machine's, too
        async with connect(f"{elsewhere}?token={token.strip()}"):
            pass


@pytest.mark.thorough
async def test_a_person_is_told_what_to_type_next_and_an_impatient_ctrl_c_changes_nothing() -> None:
    async with running(ended_by=signal.SIGINT) as process:
        assert process.stdout
        async with asyncio.timeout(_COMMAND_SECONDS):
            said = ""
            while "curl" not in (line := (await process.stdout.readline()).decode()):
                assert line
                said += line
        (console, *_) = re.findall(r"http://\S+", said)
        async with httpx.AsyncClient(base_url=console, trust_env=False) as http:
            assert (await http.get("/api/stack")).json()["project"] == "unring-local"
        (websocket,) = re.findall(r"^  websocket +ws://(\S+)$", said, re.MULTILINE)
        # boto3 and the SDK for JavaScript add the path of @connections themselves.
        assert re.search(rf"^  AWS SDKs +http://{websocket}$", said, re.MULTILINE)
        assert re.search(rf"^  connections +http://{websocket}/@connections$", said, re.MULTILINE)
        assert "no_proxy" not in said
        for _ in range(2):
            process.send_signal(signal.SIGINT)
            await asyncio.sleep(0)
    assert process.stderr
    assert await process.stderr.read() == b""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
async def test_ctrl_c_while_starting_leaves_no_process() -> None:
    async with started("--json", "--port", "0") as process:
        async with asyncio.timeout(_COMMAND_SECONDS):
            while len(children := descendants(process.pid)) < 4:  # noqa: ASYNC110 - as above
                await asyncio.sleep(0.01)
        process.send_signal(signal.SIGINT)
        output, errors = await process.communicate()
        assert (process.returncode, output, errors) == (130, b"", b"")
        await all_gone(children)


@pytest.mark.parametrize("port", ["99999", "-1", "eighty"])
async def test_what_is_no_port_is_a_usage_error(port: str) -> None:
    status, _, errors = await run(f"--port={port}")
    assert (status, "Traceback" in errors) == (2, False)
    assert f"not '{port}'" in errors


@pytest.mark.parametrize("host", ["", "127.1", "1.2.3.4.5", "::zz"])
async def test_what_is_no_address_is_a_usage_error(host: str) -> None:
    status, _, errors = await run(f"--host={host}")
    assert (status, "Traceback" in errors) == (2, False)
    assert f"'{host}' is no address" in errors


@pytest.mark.thorough
async def test_a_stack_of_other_users_issues_their_tokens() -> None:
    kinds = ("oidc", "secret", "introspection")
    arguments = ("--json", "--set", f"IDENTITY={','.join(kinds)}")
    async with running(*arguments, ended_by=signal.SIGTERM) as process:
        found = await addresses(process)
        assert {"oidc_tokens", "opaque_tokens"} <= set(found)
        for kind in kinds:
            status, token, errors = await run("token", "USR_2", "--identity", kind)
            assert (status, errors) == (0, "")
            async with connect(f"{found['websocket']}?token={quote(token.strip())}"):
                pass


async def test_a_token_of_an_issuer_that_is_not_there_is_not_to_be_had() -> None:
    status, _, errors = await run("token", "USR_2", "--identity", "oidc")
    assert (status, errors) == (1, "No stack is running with --set IDENTITY=oidc.\n")


@pytest.mark.parametrize("setting", ["IDENTITI", "IDENTITI=oidc", "=oidc"])
async def test_what_sets_no_variable_is_a_usage_error(setting: str) -> None:
    status, _, errors = await run("--set", setting)
    assert (status, "Traceback" in errors) == (2, False)
    assert f"'{setting}' sets no variable" in errors


async def test_a_variable_without_a_value_that_the_environment_has_not_is_a_usage_error() -> None:
    status, _, errors = await run("--set", "OIDC_ISSUER")
    assert (status, "Traceback" in errors) == (2, False)
    assert "'OIDC_ISSUER' has no value, and the environment has none" in errors


@pytest.mark.parametrize(
    "given", ["OIDC_ISSUER=x", pytest.param("OIDC_ISSUER", marks=pytest.mark.thorough)]
)
async def test_a_setting_that_a_function_will_not_take_is_named(given: str) -> None:
    arguments = ("--port", "0", "--set", "IDENTITY=oidc", "--set", given)
    elsewhere = {"OIDC_ISSUER": "https://issuer.example" if "=" in given else "x"}
    status, _, errors = await run(*arguments, environment=elsewhere)
    assert (status, "Traceback" in errors) == (1, False)
    assert "OIDC_ISSUER must be a URL" in errors
    assert "OIDC_AUDIENCE is missing, which IDENTITY=oidc needs" in errors


async def test_an_address_that_is_not_this_machines_is_named() -> None:
    status, _, errors = await run("--host", "203.0.113.1", "--port", "0")
    assert (status, "Traceback" in errors) == (1, False)
    assert "203.0.113.1" in errors


async def test_a_port_that_is_taken_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        status, _, errors = await run("--port", port)
    assert status == 1
    assert port in errors
    assert "Traceback" not in errors


async def test_a_call_needs_a_running_stack(tmp_path: Path) -> None:
    from infra.local import state

    if state.newest():
        pytest.skip("a stack is running on this machine")
    status, _, errors = await run("call", "CALL_1", "USR_1", "USR_2")
    assert (status, "make run" in errors) == (1, True)


async def test_the_demo_holds() -> None:
    status, output, errors = await run("demo")
    assert (status, errors) == (0, "")
    cases = ("Socket connected", "Socket disconnected", "App killed", "Call rejected")
    rings = ("Answered elsewhere", "No answer for 5 s", "Caller gone for 1 s")
    for line in (*cases, "Cancel over HTTPS", "Cancel by a backend", *rings):
        assert line in output
    app = output[output.index("The app that asked") :]
    assert app.index("Socket.IO") < app.index("only its URL is new") < app.index("FCM")
    late = output[output.index("Connects 1 s late") :]
    assert late.index("call_cancelled") < late.index("call:cancelled")  # a push, and a second later
    assert "All cases hold" in output


@pytest.mark.thorough
async def test_what_comes_faster_than_it_can_be_carried_out_is_not_lost() -> None:
    status, output, errors = await run("load", "--seconds", "2")
    assert (status, errors) == (0, "")
    assert "Nothing was lost" in output


@pytest.mark.parametrize(
    "number",
    [
        pytest.param(signal.SIGINT, id="SIGINT"),
        pytest.param(signal.SIGTERM, id="SIGTERM", marks=pytest.mark.thorough),
    ],
)
async def test_a_demo_that_was_interrupted_has_not_succeeded(number: signal.Signals) -> None:
    async with started("demo") as process:
        assert process.stdout
        await process.stdout.readuntil(b"Starting")
        process.send_signal(number)
        _, errors = await process.communicate()
        assert (process.returncode, errors.decode()) == (128 + number, "")
