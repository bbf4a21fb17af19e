"""The broken variants: copies of the source with one safeguard taken out, each by a patch here.

The first lines of a patch say what is taken out, and what the proof must see of it. To add one,
change the source, write `git diff functions` to NAME.patch below such lines, and take the change
back. Where the source has changed since, `git apply --3way` shows what is to be made of the patch.
"""

import os
import shutil
import subprocess
from pathlib import Path

from infra import ROOT

_PATCHES = Path(__file__).parent

NAMES = tuple(sorted(patch.stem for patch in _PATCHES.glob("*.patch")))


class NotApplied(Exception):
    """The source is not what the patch was made of; the message is git's."""


def patched(variant: str, folder: Path) -> Path:
    """A copy of what is deployed, in a new folder inside of `folder`, with the variant's patch.

    Raises NotApplied.
    """
    copy = folder / variant
    caches = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "functions", copy / "functions", ignore=caches)
    shutil.copy(ROOT / "main.py", copy)
    apply(text_of(variant), copy)
    return copy


def text_of(variant: str) -> str:
    return (_PATCHES / f"{variant}.patch").read_text()


def apply(patch: str, source: Path) -> None:
    """Changes all the files in `source` that the patch names, or none.

    Raises NotApplied: each line around a change must be there as the patch has it, though it may
    have moved.
    """
    done = subprocess.run(
        ["git", "apply", "-"],  # noqa: S607 - whichever git is there
        cwd=source,
        env={
            "PATH": os.environ["PATH"],
            # In a checkout, git would pass over the files that are not the checkout's.
            "GIT_CEILING_DIRECTORIES": str(source.resolve().parent),
            # Nobody's settings make it lenient.
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
        },
        input=patch,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        raise NotApplied(done.stderr)
