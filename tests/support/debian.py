"""Programs of Debian's: one that this machine lacks is installed once, where that does no harm."""

import fcntl
import os
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

_SECONDS = 200.0  # for all that apt-get does, less than a test may take
_PATH = f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin"  # daemons are no user's
_CACHE = Path("/var/cache/apt")
_POLICY = Path("/usr/sbin/policy-rc.d")
_START_NOTHING = "#!/bin/sh\nexit 101\n"
_APT_GET = ("apt-get", "-qq", "-y", "-o=Dpkg::Use-Pty=0", "-o=DPkg::Lock::Timeout=60")
_INSTALL = (*_APT_GET, "install", "--no-install-recommends")


class NotInstalled(Exception):
    """The program is not there; the message says why."""


def installed(package: str, program: str | None = None) -> str:
    """The path of `program`, which `package` brings and which is called as it unless given.

    Blocks, for a minute perhaps at the first time. The test that asks is skipped if the program
    can't be had, and fails where nothing may be skipped.
    """
    try:
        return install(package, program or package)
    except NotInstalled as reason:
        if os.environ.get("UNRING_REQUIRE_ALL"):
            pytest.fail(f"{package} is required, and can't run: {reason}")
        pytest.skip(f"{package} can't run: {reason}")


def unavailable(package: str, program: str | None = None) -> str | None:
    """Why the program can't be had, as far as one can tell without Debian's servers."""
    program = program or package
    if _path_of(program):
        return None
    if shutil.which("apt-get") is None or not _CACHE.is_dir():
        return f"{program} not found, and no apt-get to install it"
    if os.geteuid() != 0:
        return f"{program} not found, and only root may install it"
    if Path("/run/systemd/system").exists():
        return f"{program} not found, and to install it on a machine with services is its owner's"
    return None


def install(package: str, program: str) -> str:
    """The path of `program`; installs `package` if it is not there. Raises NotInstalled."""
    if reason := unavailable(package, program):
        raise NotInstalled(reason)
    if not _path_of(program):
        with _alone(), _no_service_starts():
            if not _path_of(program):  # another process may have been here before us
                _install(package)
    path = _path_of(program)
    if not path:
        raise NotInstalled(f"{package} brings no program {program}")
    return path


def _path_of(program: str) -> str | None:
    return shutil.which(program, path=_PATH)


def _install(package: str) -> None:
    deadline = time.monotonic() + _SECONDS
    # Only what is fetched may take long, and may be cut off without leaving half of a package.
    fetch = (*_INSTALL, "--download-only", package)
    try:
        _run(fetch, deadline)
    except NotInstalled:  # the lists of packages are not there, or too old
        _run((*_APT_GET, "update"), deadline)
        _run(fetch, deadline)
    _run((*_INSTALL, "--no-download", package), deadline)


def _run(command: tuple[str, ...], deadline: float) -> None:
    try:
        done = subprocess.run(  # noqa: S603 - all of it is ours
            command,
            env={**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C.UTF-8"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=max(deadline - time.monotonic(), 0.0),
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise NotInstalled(f"apt-get took longer than {_SECONDS:.0f} s") from error
    if done.returncode:
        raise NotInstalled(f"apt-get failed: {done.stderr[-500:].strip()}")


@contextmanager
def _alone() -> Iterator[None]:
    """Lets one process in at a time; the lock goes with the process that holds it."""
    folder = os.open(_CACHE, os.O_RDONLY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        yield
    finally:
        os.close(folder)


@contextmanager
def _no_service_starts() -> Iterator[None]:
    """Has Debian's packages start nothing, as in its containers: a port would be taken."""
    if _POLICY.exists():
        yield
        return
    _POLICY.write_text(_START_NOTHING)
    _POLICY.chmod(0o755)
    try:
        yield
    finally:
        _POLICY.unlink()
