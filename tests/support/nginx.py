"""A real nginx, in a process of its own."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

from infra import ROOT
from infra.emulators.processes import child
from tests.support import debian

RECIPE = (ROOT / "infra/front/nginx.conf.template").read_text()

_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
_MAIN = """\
daemon off;
pid {folder}/pid;
error_log stderr info;
{user}
events {{}}
http {{
{temporary}
    include {folder}/conf.d/*.conf;
}}
"""


@asynccontextmanager
async def nginx(folder: Path, conf_at: Callable[[str], str]) -> AsyncIterator[str]:
    """Runs nginx while the block lasts; gives its base URL, "http://127.0.0.1:1234".

    Its conf.d is what `conf_at` gives for the address at which it is to listen. `folder`, in which
    no other nginx has been, has its errors.log. The test is skipped where nginx can't be had, and
    fails with what nginx says of a configuration that it can't read.
    """
    program = await asyncio.to_thread(debian.installed, "nginx")
    async with AsyncExitStack() as life:
        with socket.create_server(("127.0.0.1", 0)) as listener:
            address = f"127.0.0.1:{listener.getsockname()[1]}"
            command = (program, "-p", str(folder), "-c", str(_configured(folder, conf_at(address))))
            # As an nginx that is replaced hands its sockets on to the next one: so nobody has to
            # wait until it listens.
            fd = listener.fileno()
            environment = {"NGINX": f"{fd};"}
            await _check(command, environment, fd)
            log = folder / "errors.log"
            await life.enter_async_context(child(command, environment, log, pass_fds=(fd,)))
        yield f"http://{address}"


def recipe(
    address: str, api: str, websocket: str, resolver: str = "127.0.0.1", template: str = RECIPE
) -> str:
    """Our recipe, listening at `address`, in front of these two. `resolver` is asked for names
    alone, and not for addresses."""
    values = {
        "UNRING_LISTEN": address,
        "UNRING_HOST": "_",
        "UNRING_API": api,
        "UNRING_WEBSOCKET": websocket,
        "UNRING_RESOLVER": resolver,
    }
    for name, value in values.items():  # as envsubst does it
        template = template.replace(f"${{{name}}}", value)
    assert "${" not in template
    return template


def _configured(folder: Path, conf: str) -> Path:
    """Writes all that nginx reads; gives the file that it is to begin with."""
    (folder / "conf.d").mkdir()
    (folder / "conf.d/front.conf").write_text(conf)
    temporary = (f"    {name}_temp_path {folder}/{name};" for name in _TEMPORARY)
    user = "user root;" if os.geteuid() == 0 else ""  # nobody else may enter the folder
    main = folder / "nginx.conf"
    main.write_text(_MAIN.format(folder=folder, user=user, temporary="\n".join(temporary)))
    return main


async def _check(command: tuple[str, ...], environment: Mapping[str, str], fd: int) -> None:
    process = await asyncio.create_subprocess_exec(
        *command,
        "-t",
        env=environment,
        pass_fds=(fd,),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    assert process.returncode == 0, output.decode()
