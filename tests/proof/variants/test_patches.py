"""The patches of the broken variants, as far as they can be told without running what they make."""

import subprocess
from pathlib import Path

import pytest

from infra import ROOT
from tests.proof.faults.variants import VARIANTS
from tests.proof.handshake.variants import VARIANTS as OF_HANDSHAKES
from tests.proof.variants import NAMES, NotApplied, apply, patched, text_of


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_applies_to_the_source_as_it_stands_and_leaves_python(
    name: str, tmp_path: Path
) -> None:
    copy = patched(name, tmp_path)
    sources = {path.relative_to(copy): path.read_text() for path in copy.rglob("*.py")}
    changed = {path for path, text in sources.items() if text != (ROOT / path).read_text()}
    assert changed == set(files_in(text_of(name)))
    for path, text in sources.items():
        compile(text, path, "exec")


@pytest.mark.parametrize("name", NAMES)
def test_a_patch_says_what_is_taken_out_and_what_must_be_seen(name: str) -> None:
    taken_out, seen, blank = text_of(name).splitlines()[:3]
    assert taken_out.startswith("Taken out: ")
    assert seen.startswith("Seen: ")
    assert blank == ""


def test_every_patch_is_held_against_the_proof() -> None:
    assert sorted(variant.name for variant in (*VARIANTS, *OF_HANDSHAKES)) == list(NAMES)


def test_a_patch_that_does_not_apply_is_refused_and_changes_nothing(tmp_path: Path) -> None:
    patch = text_of("one-mark-per-device")
    copy = patched("no-outbox", tmp_path)
    (copy / files_in(patch)[-1]).write_text("# rewritten since\n")
    before = {path: path.read_text() for path in copy.rglob("*.py")}
    with pytest.raises(NotApplied, match="patch does not apply"):
        apply(patch, copy)
    assert {path: path.read_text() for path in copy.rglob("*.py")} == before


def test_a_patch_applies_inside_of_a_checkout_of_something_else(tmp_path: Path) -> None:
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)  # noqa: S607
    calls = patched("no-outbox", tmp_path) / "functions/services/firestore/calls.py"
    assert "commit_all([call, *noted], [])" in calls.read_text()


def files_in(patch: str) -> list[Path]:
    """The files that a patch changes."""
    lines = patch.splitlines()
    return [Path(line.removeprefix("+++ b/")) for line in lines if line.startswith("+++ ")]
