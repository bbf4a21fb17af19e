"""Node and the packages of npm, installed once into a folder that git ignores."""

import fcntl
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_INSTALL_SECONDS = 180
_OFFLINE_FIRST = ("--prefer-offline", "--fetch-retries=1", "--fetch-retry-mintimeout=1000")
_QUIET = ("--no-audit", "--no-fund", "--no-update-notifier", "--loglevel=error", "--logs-max=0")
_INSTALL = ("npm", "install", "--no-package-lock", "--ignore-scripts", *_OFFLINE_FIRST, *_QUIET)


class NodeUnavailable(Exception):
    """What runs on Node can't; the message says why."""


def unavailable() -> str | None:
    """Why nothing runs on Node here, as far as one can tell without the registry."""
    missing = [program for program in ("node", "npm") if shutil.which(program) is None]
    return f"{' and '.join(missing)} not found" if missing else None


def install(packages: Path, folder: Path) -> None:
    """Installs what `packages`, a package.json, asks for, unless `folder` has it.

    Blocks, for seconds at the first time. Raises NodeUnavailable.
    """
    if reason := unavailable():
        raise NodeUnavailable(reason)
    folder.mkdir(parents=True, exist_ok=True)
    wanted = packages.read_text()
    mark = folder / "installed.json"  # that node_modules and package.json belong together
    with _locked(folder / "lock"):
        if not mark.exists() or mark.read_text() != wanted:
            mark.unlink(missing_ok=True)
            shutil.copyfile(packages, folder / "package.json")
            _run_npm(folder)
            mark.write_text(wanted)


def _run_npm(folder: Path) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - all of it is ours
            _INSTALL,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=_INSTALL_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NodeUnavailable(f"npm took longer than {_INSTALL_SECONDS} s") from error
    if done.returncode:
        raise NodeUnavailable(f"npm can't install the packages: {_summary(done.stderr)}")


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
