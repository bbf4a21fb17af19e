"""Where running stacks leave their addresses, so that other commands find them."""

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress

from infra.local.functions import ROOT

_FOLDER = ROOT / ".unring" / "stacks"


@contextmanager
def kept(addresses: Mapping[str, str]) -> Iterator[None]:
    """Makes this process's stack the newest for as long as the block lasts."""
    _FOLDER.mkdir(parents=True, exist_ok=True)
    file = _FOLDER / f"{os.getpid()}.json"
    file.write_text(json.dumps(addresses))
    try:
        yield
    finally:
        file.unlink(missing_ok=True)


def newest() -> dict[str, str] | None:
    """The addresses of the stack that was started last and still runs, if there is one."""
    with suppress(FileNotFoundError):
        for file in sorted(_FOLDER.iterdir(), key=lambda file: -file.stat().st_mtime):
            if _runs(int(file.stem)):
                addresses: dict[str, str] = json.loads(file.read_text())
                return addresses
            file.unlink(missing_ok=True)  # its process was killed
    return None


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
