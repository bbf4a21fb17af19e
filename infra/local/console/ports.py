"""Which process has which port, as cheaply as the system lets one look."""

import os
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

import psutil

_PROC = Path("/proc")
_TABLES = ("net/tcp", "net/tcp6")
# Of a connection that is established: the port at this end, and the socket's inode.
# https://docs.kernel.org/networking/proc_net_tcp.html
_ROW = re.compile(
    rb"^ *\d+: [0-9A-F]+:([0-9A-F]{4}) [0-9A-F]+:[0-9A-F]{4} 01 (?:\S+ +){5}(\d+)", re.MULTILINE
)
_SOCKET = re.compile(r"socket:\[(\d+)\]")


def ports_of(pids: Mapping[str, int]) -> dict[int, str]:
    """The ports of the connections of these processes, and of those that they have started, each
    with the name that its process has in `pids`."""
    if (_PROC / _TABLES[0]).exists():
        return _by_proc(pids)
    return _by_psutil(pids)


def _by_proc(pids: Mapping[str, int]) -> dict[int, str]:
    """Reads each table once: psutil reads it once a process, and looks at every row in Python."""
    names = {
        inode: name
        for name, pid in pids.items()
        for member in _family(pid)
        for inode in _sockets(member)
    }
    found = {}
    for table in _TABLES:
        with suppress(OSError):
            for port, inode in _ROW.findall((_PROC / table).read_bytes()):
                if name := names.get(int(inode)):
                    found[int(port, 16)] = name
    return found


def _family(pid: int) -> Iterator[int]:
    """The process, and those that it has started."""
    yield pid
    with suppress(OSError):
        for child in (_PROC / f"{pid}/task/{pid}/children").read_text().split():
            yield from _family(int(child))


def _sockets(pid: int) -> Iterator[int]:
    """The inodes of a process's sockets."""
    folder = f"{_PROC}/{pid}/fd"
    with suppress(OSError):
        for entry in os.scandir(folder):
            with suppress(OSError):  # it is closed meanwhile
                if socket := _SOCKET.fullmatch(os.readlink(entry.path)):
                    yield int(socket[1])


def _by_psutil(pids: Mapping[str, int]) -> dict[int, str]:
    found = {}
    for name, pid in pids.items():
        with suppress(psutil.Error):
            process = psutil.Process(pid)
            for each in (process, *process.children(recursive=True)):
                with suppress(psutil.Error):
                    found.update({one.laddr.port: name for one in each.net_connections("tcp")})
    return found
