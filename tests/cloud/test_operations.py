"""The commands and the configuration that the documentation of operations has people type."""

import re
import subprocess
from importlib.util import find_spec

import pytest

from infra import ROOT

# What whoever follows the page makes.
MADE = ("infra/cloud/production.tfvars", "infra/cloud/.terraform.lock.hcl")


def read(name: str) -> str:
    return (ROOT / name).read_text()


def typed(kind: str, *pages: str) -> list[str]:
    return [
        snippet
        for page in pages
        for snippet in re.findall(rf"```{kind}\n(.*?)```", read(page), re.DOTALL)
    ]


@pytest.mark.parametrize("snippet", typed("sh", "docs/operations.md", "docs/cloudfront.md"))
def test_what_is_to_be_typed_is_well_formed_and_names_what_there_is(snippet: str) -> None:
    checked = subprocess.run(["bash", "-n"], input=snippet, text=True, capture_output=True)  # noqa: S607
    assert not checked.stderr
    for path in re.findall(r"\b(?:infra|tests|docs|functions)/[\w./-]+", snippet):
        assert (ROOT / path).exists() or path in MADE, path
    for module in re.findall(r"-m (infra[\w.]*)", snippet):
        assert find_spec(module), module
    for target in re.findall(r"^make (\w+)", snippet, re.MULTILINE):
        assert re.search(rf"^{target}:", read("Makefile"), re.MULTILINE), target


@pytest.mark.parametrize("snippet", typed("hcl", "docs/cloudfront.md"))
def test_the_front_is_added_as_the_example_does_it(snippet: str) -> None:
    assert snippet in read("infra/cloud/examples/one-host/main.tf")
