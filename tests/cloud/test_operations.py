"""The commands that the documentation of operations has people type."""

import re
import subprocess
from importlib.util import find_spec

import pytest

from infra import ROOT

# What whoever follows the page makes.
MADE = ("infra/cloud/production.tfvars", "infra/cloud/.terraform.lock.hcl")


def read(name: str) -> str:
    return (ROOT / name).read_text()


@pytest.mark.parametrize(
    "snippet", re.findall(r"```sh\n(.*?)```", read("docs/operations.md"), re.DOTALL)
)
def test_what_is_to_be_typed_is_well_formed_and_names_what_there_is(snippet: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=snippet, text=True, capture_output=True)  # noqa: S607
    assert not checked.stderr
    for path in re.findall(r"\b(?:infra|tests|docs|functions)/[\w./-]+", snippet):
        assert (ROOT / path).exists() or path in MADE, path
    for module in re.findall(r"-m (infra[\w.]*)", snippet):
        assert find_spec(module), module
    for target in re.findall(r"^make (\w+)", snippet, re.MULTILINE):
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target
