"""Node and the clients of npm, installed once into a folder that git ignores."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from infra import ROOT

PACKAGES = ROOT / "tests" / "e2e" / "socketio" / "package.json"
MODULES = ROOT / ".node"  # package.json, node_modules, and a mark that they belong together

_INSTALL_SECONDS = 180
_OFFLINE_FIRST = ("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--logs-max=0")
_INSTALL = ("npm", "install", "--no-package-lock", "--ignore-scripts", *_OFFLINE_FIRST, *_QUIET)


class NodeUnavailable(Exception):
    """The Node clients can't run; the message says why."""


def unavailable() -> str | None:
    """Why Node clients can't run here, as far as one can tell without the registry."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not found" if missing else None


def install() -> Path:
    """Installs what package.json asks for, unless it is there; gives the folder.

    Blocks, for seconds at the first time. Raises NodeUnavailable.
    """
    if reason := unavailable():
        raise NodeUnavailable(reason)
    MODULES.mkdir(exist_ok=True)
    wanted = PACKAGES.read_text()
    mark = MODULES / "installed.json"
    with _locked(MODULES / "lock"):
        if not mark.exists() or mark.read_text() != wanted:
            mark.unlink(missing_ok=True)
            shutil.copyfile(PACKAGES, MODULES / "package.json")
            _run_npm()
            mark.write_text(wanted)
    return MODULES


def _run_npm() -> None:
    try:
        done = subprocess.run(  # noqa: S603 - all of it is ours
            _INSTALL,
            cwd=MODULES,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NodeUnavailable(f"npm took longer than {_INSTALL_SECONDS} s") from error
    if done.returncode:
        raise NodeUnavailable(f"npm can't install the clients: {_summary(done.stderr)}")


def _summary(output: str) -> str:
    """What npm names as errors, the first of which say what is wrong."""
    prefix = "npm error "
    errors = [line.removeprefix(prefix) for line in output.splitlines() if line.startswith(prefix)]
    return "; ".join(errors[:4]) or output[-500:].strip()


@contextmanager
def _locked(file: Path) -> Iterator[None]:
    """Lets one process in at a time; the lock goes with the process that holds it."""
    with file.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
