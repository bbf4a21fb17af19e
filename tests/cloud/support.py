"""What the tests of infra/cloud share: a checkout to run Terraform in, and what it computed."""

import json
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

MODULE = "infra/cloud/modules/unring"
FRONT = "infra/cloud/modules/front"
# In the run `deployed`.
WEBHOOK_URLS = ("https://app.example/hook", "https://audit.example/?key=a%2Fb")

Message = Mapping[str, Any]  # of Terraform, by its type


@dataclass(frozen=True)
class Checkout:
    """A copy of what infra/cloud deploys and of itself, so that nothing is left in the tree."""

    terraform: str
    root: Path

    def run(self, *arguments: str, folder: str = MODULE) -> subprocess.CompletedProcess[str]:
        """Runs Terraform in a folder of the checkout, which is the module unless it is named."""
        return subprocess.run(  # noqa: S603 - whoever runs the tests names the command
            [self.terraform, f"-chdir={self.root / folder}", *arguments],
            capture_output=True,
            text=True,
        )

    def tested(self, file: str, *arguments: str, folder: str = MODULE) -> list[Message]:
        """What `terraform test` says of one file of a module's tests."""
        named = f"-filter=tests/{file}.tftest.hcl"
        lines = self.run("test", named, "-json", *arguments, folder=folder).stdout.splitlines()
        return [json.loads(line) for line in lines]


@dataclass(frozen=True)
class Report:
    """What `terraform test` found, and what it computed in the runs of deployment.tftest.hcl."""

    summary: Mapping[str, Any]
    problems: list[str]
    deployed: list[dict[str, Any]]  # resources: type, name, index, values
    with_every_option: list[dict[str, Any]]

    def values(self, kind: str) -> dict[str, dict[str, Any]]:
        return values_of(self.deployed, kind)


def problems_in(messages: list[Message]) -> list[str]:
    return [
        "{}: {summary}: {detail}".format(message.get("@testrun", ""), **message["diagnostic"])
        for message in messages
        if message["type"] == "diagnostic"
    ]


def values_of(resources: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The values of all resources of a kind, by their key, or their name where there is none."""
    return {
        str(resource.get("index", resource["name"])): resource["values"]
        for resource in resources
        if resource["type"] == kind
    }
