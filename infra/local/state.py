"""Where running stacks leave their logs and addresses, so that people and commands find them."""

import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path

from infra import ROOT

_STACKS = ROOT / ".unring"
_ADDRESSES = "stack.json"


def folder() -> Path:
    """This process's own folder, empty; those that ended stacks have left are removed."""
    for left in _STACKS.glob("*"):
        if not _is_running(left) or left.name == str(os.getpid()):
            shutil.rmtree(left, ignore_errors=True)
    own = _STACKS / str(os.getpid())
    own.mkdir(parents=True)
    return own


@contextmanager
def kept(folder: Path, addresses: Mapping[str, str]) -> Iterator[None]:
    """Makes this process's stack the newest for as long as the block lasts."""
    file = folder / _ADDRESSES
    draft = file.with_suffix(".draft")
    draft.write_text(json.dumps(addresses))
    draft.rename(file)  # so that nobody reads half of it
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def newest() -> dict[str, str] | None:
    """The addresses of the stack that was started last and still runs, if there is one."""
    running = filter(_is_running, _STACKS.glob("*"))
    for file in sorted((folder / _ADDRESSES for folder in running), key=_started, reverse=True):
        with suppress(FileNotFoundError):  # it is starting, or it has just ended
            addresses: dict[str, str] = json.loads(file.read_text())
            return addresses
    return None


def _started(file: Path) -> float:
    with suppress(FileNotFoundError):
        return file.stat().st_mtime
    return 0


def _is_running(folder: Path) -> bool:
    if not folder.name.isdecimal():
        return False
    try:
        os.kill(int(folder.name), 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
