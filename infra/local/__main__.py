"""The command line: `python -m infra.local` runs the stack; the rest goes with it."""

import argparse
import asyncio
import contextlib
import json
import os
import re
import sys
from collections.abc import Coroutine
from ipaddress import ip_address
from typing import Any

from infra.loopback import spare_loopback

PROJECT = "unring-local"
_BACKEND = ("/unring",)  # where the app's backend takes webhooks, if we play it


def main() -> int:
    # Read when gRPC is first imported; without it, every channel that closes says so.
    os.environ.setdefault("GRPC_VERBOSITY", "ERROR")
    spare_loopback(os.environ)
    arguments = _parser().parse_args()
    try:
        match arguments.command:
            case "token":
                return _token(arguments)
            case "call":
                return _run(_call(arguments))
            case "demo":
                from infra.local.demo import demo

                return _run(demo(google=arguments.google))
            case "smoke":
                return _run(_smoke(google=arguments.google))
            case "load":
                from infra.local.load import load

                return _run(load(arguments.seconds))
            case _:
                return _run(_stay(arguments))
    except KeyboardInterrupt:  # before the event loop has the signals
        return 130


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m infra.local",
        description="Unring on one machine: the deployed functions, and the clouds around them.",
    )
    parser.add_argument(
        "--port", type=_port, default=8080, help="of the WebSocket endpoint; 0 takes a free one"
    )
    parser.add_argument(
        "--host",
        type=_host,
        default="127.0.0.1",
        metavar="ADDRESS",
        help="to listen on; 0.0.0.0 lets the phones of your network in, and everybody else in it",
    )
    parser.add_argument(
        "--json", action="store_true", help="print one line of JSON once all is ready"
    )
    parser.add_argument(
        "--google", action="store_true", help="run on Google's Firestore and Pub/Sub emulators"
    )
    parser.add_argument(
        "--signed", action="store_true", help="check who calls what, by signatures and tokens"
    )
    parser.add_argument(
        "--set",
        dest="settings",
        type=_setting,
        action="append",
        default=[],
        metavar="NAME[=VALUE]",
        help="a variable of the functions, as docs/settings.md has them; without a value, that of "
        "the environment, where `ps` does not show it; may be repeated",
    )
    parser.set_defaults(command=None)
    commands = parser.add_subparsers(metavar="COMMAND")

    demo = commands.add_parser("demo", help="play the test cases and say whether they hold")
    demo.add_argument("--google", action="store_true", help="on Google's emulators")
    demo.set_defaults(command="demo")

    smoke = commands.add_parser("smoke", help="run the smoke test on a stack of its own")
    smoke.add_argument("--google", action="store_true", help="on Google's emulators")
    smoke.set_defaults(command="smoke")

    load = commands.add_parser("load", help="send more cancels than this machine can carry out")
    load.add_argument("--seconds", type=_seconds, default=10.0, help="of each part; 10 by default")
    load.set_defaults(command="load")

    token = commands.add_parser("token", help="print an ID token that the stack accepts")
    token.add_argument("user", metavar="USER")
    token.add_argument("--project", default=PROJECT)
    token.add_argument(
        "--identity",
        choices=("firebase", "oidc", "secret", "introspection"),
        default="firebase",
        help="who says whose it is, where the stack runs with that IDENTITY",
    )
    token.set_defaults(command="token")

    call = commands.add_parser("call", help="make a call ring in the running stack")
    call.add_argument("id", metavar="CALL")
    call.add_argument("caller", metavar="CALLER")
    call.add_argument("receiver", metavar="RECEIVER")
    call.set_defaults(command="call")
    return parser


def _port(text: str) -> int:
    if not text.isdecimal() or int(text) > 65535:
        raise argparse.ArgumentTypeError(f"a port is a number from 0 to 65535, not {text!r}")
    return int(text)


def _setting(text: str) -> tuple[str, str]:
    from functions.settings import every_variable

    name, is_set, value = text.partition("=")
    if name not in {variable.name for variable in every_variable()}:
        raise argparse.ArgumentTypeError(f"{text!r} sets no variable of docs/settings.md")
    if not is_set and name not in os.environ:
        raise argparse.ArgumentTypeError(f"{text!r} has no value, and the environment has none")
    return name, value if is_set else os.environ[name]


def _host(text: str) -> str:
    """An address in its whole form, as it becomes a part of URLs, or the name of a host."""
    is_name = bool(re.fullmatch(r"[A-Za-z0-9.-]*[A-Za-z][A-Za-z0-9.-]*", text))
    try:
        return text if is_name else str(ip_address(text))
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no address") from error


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 1 <= seconds <= 60:
        raise argparse.ArgumentTypeError("each part takes from 1 to 60 seconds")
    return seconds


def _token(arguments: argparse.Namespace) -> int:
    from infra.emulators.auth.tokens import unsigned_token
    from infra.local import state

    stack = state.newest() or {}
    urls = {"firebase": "tokens", "oidc": "oidc_tokens", "introspection": "opaque_tokens"}
    url = stack.get(urls.get(arguments.identity, ""))
    match arguments.identity:
        case "secret":
            from infra.local.identities import signed_token

            print(signed_token(arguments.user))
        case "firebase" if url is None or arguments.project != stack["project"]:
            print(unsigned_token(arguments.user, arguments.project))
        case other if url is None:
            message = f"No stack is running with --set IDENTITY={other}."
            print(message, file=sys.stderr)
            return 1
        case _:
            print(_issued_token(url, arguments.user))
    return 0


def _issued_token(url: str, user: str) -> str:
    """A token of the running stack, which takes no others."""
    from urllib.parse import quote

    import httpx

    return httpx.get(url + quote(user, safe=""), trust_env=False).raise_for_status().text


async def _call(arguments: argparse.Namespace) -> int:
    from infra.client.calls import Calls
    from infra.local import state

    stack = state.newest()
    if stack is None:
        print("No stack is running. Start one with: make run", file=sys.stderr)
        return 1
    calls = Calls(stack["firestore"], stack["project"])
    try:
        await calls.ring(arguments.id, arguments.caller, arguments.receiver)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 1
    print(f"{arguments.id} is ringing: {arguments.caller} calls {arguments.receiver}")
    return 0


async def _smoke(google: bool) -> int:
    """The smoke test that deployers run, on a local stack."""
    from infra.emulators.auth.tokens import unsigned_token
    from infra.local.stack import passing_stack
    from infra.smoke import User, smoke

    async with passing_stack(google) as stack:
        users = [User.of(unsigned_token(user, stack.project)) for user in ("USR_1", "USR_2")]
        return await smoke(stack.websocket, stack.functions["api"], stack.values["API_KEY"], *users)


async def _stay(arguments: argparse.Namespace) -> int:
    """Runs the stack until a signal ends it."""
    from infra.emulators.watching import WatchedFaults
    from infra.local import state
    from infra.local.console.console import console
    from infra.local.stack import Options, running

    folder, faults = state.folder(), WatchedFaults()
    settings = dict(arguments.settings)
    options = Options(
        host=arguments.host,
        port=arguments.port,
        google=arguments.google,
        signed=arguments.signed,
        project=PROJECT,
        webhook_paths=() if "WEBHOOK_URLS" in settings else _BACKEND,
        settings=settings,
        faults=faults,
        logs=folder,
    )
    async with running(options) as stack, console(stack, faults) as page:
        # By the front, requests to `api` are seen, too.
        addresses = {**stack.addresses(), "api": stack.socketio, "console": page}
        with state.kept(folder, addresses):
            if arguments.json:
                print(json.dumps(addresses), flush=True)
            else:
                from infra.local.welcome import welcome

                welcome(stack, options, addresses)
            with contextlib.suppress(asyncio.CancelledError):  # which is how it is meant to end
                await asyncio.Event().wait()
    return 0


def _run(work: Coroutine[Any, Any, int]) -> int:
    from infra.local.functions import NotStarted
    from infra.local.signals import run

    async def told_if_not_started() -> int:
        try:
            return await work
        except NotStarted as error:
            print(error, file=sys.stderr)
            return 1

    return run(told_if_not_started())


if __name__ == "__main__":
    sys.exit(main())
