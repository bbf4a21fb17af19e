"""infra/cloud as Terraform computes it.

TERRAFORM names the command (default `terraform`). Without one that finds its providers, the tests
are skipped; where TERRAFORM is set, they must run.
"""

import os
import re
import shutil
from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from infra import ROOT
from tests.cloud.support import Checkout, Report, problems_in

REGISTRY_OUT_OF_REACH = "could not connect to registry"


@pytest.fixture(scope="session")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    named = os.environ.get("TERRAFORM")
    terraform = shutil.which(named or "terraform")
    if terraform is None:
        assert not named, f"TERRAFORM={named} is no command"
        pytest.skip("there is no terraform: install it, or name it in TERRAFORM")
    root = tmp_path_factory.mktemp("checkout")
    for folder in ("functions", "infra/cloud"):
        ignored = shutil.ignore_patterns("__pycache__", ".terraform*")
        shutil.copytree(ROOT / folder, root / folder, symlinks=True, ignore=ignored)
    for file in ("main.py", "requirements.txt"):
        shutil.copy(ROOT / file, root)
    copy = Checkout(terraform, root)
    # The root's state is in a bucket; the override is read last.
    (root / "infra/cloud/local_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    begun = copy.run("init", "-no-color")
    if begun.returncode and not named and REGISTRY_OUT_OF_REACH in begun.stderr.replace("\n", " "):
        pytest.skip("terraform can't reach the registry of its providers")
    assert begun.returncode == 0, begun.stderr
    return copy


@pytest.fixture(scope="session")
def report(checkout: Checkout) -> Report:
    messages = checkout.tested("deployment", "-verbose")
    of_type: dict[str, dict[str, Any]] = defaultdict(dict)
    for message in messages:
        of_type[message["type"]][message.get("@testrun", "")] = message
    problems = problems_in(messages)
    assert {"deployed", "with_every_option"} <= {*of_type["test_state"], *of_type["test_plan"]}, (
        "\n".join(problems)
    )
    state = of_type["test_state"]["deployed"]["test_state"]
    plan = of_type["test_plan"]["with_every_option"]["test_plan"]
    return Report(
        summary=of_type["test_summary"][""]["test_summary"],
        problems=problems,
        deployed=state["root_module"]["resources"],
        with_every_option=[
            {**change, "values": change["change"]["after"]} for change in plan["resource_changes"]
        ],
    )


@pytest.fixture(scope="session")
def edges(checkout: Checkout) -> Mapping[str, set[str]]:
    """What each resource waits for, where nothing else between them does."""
    graph = checkout.run("graph", "-no-color")
    assert graph.returncode == 0, graph.stderr
    waits_for: dict[str, set[str]] = defaultdict(set)
    for later, earlier in re.findall(r'^ *"([^"]+)" -> "([^"]+)";$', graph.stdout, re.M):
        waits_for[later].add(earlier)
    return waits_for
