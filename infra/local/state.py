"""Where running stacks leave their logs and addresses, so that people and commands find them."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from infra.local.functions import ROOT

_STACKS = ROOT / ".unring"
_ADDRESSES = "stack.json"


def folder() -> Path:
    """This process's own folder, empty; those that ended stacks have left are removed."""
    for left in _STACKS.glob("[0-9]*"):
        if not _runs(int(left.name)) or left.name == str(os.getpid()):
            shutil.rmtree(left, ignore_errors=True)
    own = _STACKS / str(os.getpid())
    own.mkdir(parents=True)
    return own


@contextmanager
def kept(folder: Path, addresses: Mapping[str, str]) -> Iterator[None]:
    """Makes this process's stack the newest for as long as the block lasts."""
    file = folder / _ADDRESSES
    file.write_text(json.dumps(addresses))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def newest() -> dict[str, str] | None:
    """The addresses of the stack that was started last and still runs, if there is one."""
    running = [file for file in _STACKS.glob(f"*/{_ADDRESSES}") if _runs(int(file.parent.name))]
    if not running:
        return None
    addresses: dict[str, str] = json.loads(max(running, key=_started).read_text())
    return addresses


def _started(file: Path) -> float:
    return file.stat().st_mtime


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
