"""The steps of cloudbuild.yaml, run as Cloud Build runs them, with stand-ins for the programs."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import AsyncIterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.responses import Response

from infra import ROOT
from infra.emulators.apigateway import AccessKeys
from infra.emulators.aws import AwsCredentials, Trust
from infra.emulators.http import serving
from tests.cloud.cloudbuild_schema import expand, read, values_of

BUILD = read(ROOT / "cloudbuild.yaml")
DRIFT = read(ROOT / "infra/build/drift.yaml")
STEPS = {step.id: (step, build) for build in (DRIFT, BUILD) for step in build.steps}
TRUST = Trust(role_arn="arn:aws:iam::123456789012:role/unring-deploy", audience="unring-deploy")
MAIN = {
    "PROJECT_ID": "app",
    "BUILD_ID": "0a1b2c3d-0000-1111-2222-333344445555",
    "BRANCH_NAME": "main",
    "_AWS_ROLE_ARN": TRUST.role_arn,
}
BRANCH = MAIN | {"BRANCH_NAME": "main-2"}
BY_HAND = MAIN | {"BRANCH_NAME": ""}
PULL_REQUEST = MAIN | {"_PR_NUMBER": "7"}

# Records how it was called. A plan is what it was called with, and only a plan can be shown and
# applied; neither says what the real terraform would.
PROGRAM = f"""#!{sys.executable}
import json, os, sys
from pathlib import Path

me, args = Path(sys.argv[0]), sys.argv[1:]
token = os.environ.get("AWS_WEB_IDENTITY_TOKEN_FILE")
call = {{
    "program": me.name,
    "args": args,
    "role": os.environ.get("AWS_ROLE_ARN"),
    "session": os.environ.get("AWS_ROLE_SESSION_NAME"),
    "token": token and Path(token).read_text(),
    "private": token and oct(Path(token).parent.stat().st_mode & 0o77) == "0o0",
}}
verb = next((arg for arg in args if arg in ("init", "plan", "show", "apply")), None)
if verb == "plan":
    [out] = [arg.removeprefix("-out=") for arg in args if arg.startswith("-out=")]
    Path(out).write_text("a plan of " + " ".join(args))
if verb in ("show", "apply"):
    call["plan"] = Path(args[-1]).read_text()
if verb == "show":
    print("to read:", call["plan"])
with me.with_name("calls").open("a") as calls:
    print(json.dumps(call), file=calls)
"""


@dataclass(frozen=True)
class Result:
    status: int
    output: str


class Workspace:
    """A checkout of what the steps need, and the volume of tools."""

    def __init__(self, folder: Path, metadata_host: str) -> None:
        self.root = folder / "workspace"
        self.tools = folder / "tools"
        self._metadata_host = metadata_host
        self.tools.mkdir()
        shutil.copytree(ROOT / "infra/build", self.root / "infra/build")
        variables = self.root / "infra/cloud/production.tfvars"
        variables.parent.mkdir()
        variables.write_text('project = "app"\n')
        (self.root / "infra/cloud/.terraform.lock.hcl").touch()
        (self.root / ".unring").mkdir()
        (self.root / ".unring/sbom.json").write_text("{}")
        for name in ("terraform", "gcloud"):
            program = self.tools / name
            program.write_text(PROGRAM)
            program.chmod(0o755)

    @property
    def calls(self) -> list[dict[str, Any]]:
        file = self.tools / "calls"
        return list(map(json.loads, file.read_text().splitlines())) if file.exists() else []

    @property
    def verbs(self) -> list[str]:
        known = ("init", "plan", "show", "apply", "storage")
        return [arg for call in self.calls for arg in call["args"] if arg in known]

    async def run(self, name: str, given: Mapping[str, str], **more: str) -> Result:
        """Runs a step of cloudbuild.yaml with what the trigger or the person gives."""
        step, build = STEPS[name]
        values = values_of(build, given)
        arguments = [self._here(expand(arg, values)) for arg in step.args]
        environment = {
            "PATH": f"{self.tools}:{os.environ['PATH']}",
            "HOME": str(self.root.parent),
            "GCE_METADATA_HOST": self._metadata_host,
            **dict(self._here(expand(entry, values)).split("=", 1) for entry in step.env),
            **more,
        }
        process = await asyncio.create_subprocess_exec(
            step.entrypoint or "",
            *arguments,
            cwd=self.root,
            env=environment,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
        )
        output, _ = await process.communicate()
        return Result(process.returncode or 0, output.decode())

    def _here(self, text: str) -> str:
        return text.replace("/tools/", f"{self.tools}/")


@pytest.fixture(scope="module")
async def aws() -> AsyncIterator[AwsCredentials]:
    async with AwsCredentials(AccessKeys(), TRUST) as aws:
        yield aws


@pytest.fixture
def workspace(tmp_path: Path, aws: AwsCredentials) -> Workspace:
    return Workspace(tmp_path, aws.metadata_host)


def option(call: dict[str, Any], name: str) -> str:
    [value] = [arg.removeprefix(f"{name}=") for arg in call["args"] if arg.startswith(f"{name}=")]
    return str(value)


async def test_main_is_planned_kept_and_applied_with_one_and_the_same_plan(
    workspace: Workspace,
) -> None:
    for name in ("plan", "keep", "apply"):
        assert (await workspace.run(name, MAIN)).status == 0
    assert workspace.verbs == ["init", "plan", "show", "storage", "apply"]
    init, plan, show, keep, apply = workspace.calls
    file = workspace.root / ".unring/plans/production.tfplan"
    assert option(plan, "-out") == show["args"][-1] == apply["args"][-1] == str(file)
    assert apply["plan"] == file.read_text()
    binary, text, sbom = map(Path, keep["args"][-4:-1])
    assert binary == file
    assert text.read_text() == f"to read: {file.read_text()}\n"
    assert sbom == workspace.root / ".unring/sbom.json"
    assert keep["args"][-1] == f"gs://app-terraform/plans/production/{MAIN['BUILD_ID']}/"
    assert f"-chdir={workspace.root}/infra/cloud" in init["args"]
    assert "-backend-config=bucket=app-terraform" in init["args"]
    assert "-backend-config=prefix=unring/production" in init["args"]
    assert "-lockfile=readonly" in init["args"]
    assert option(plan, "-lock-timeout") == "300s"
    assert option(plan, "-var-file") == f"{workspace.root}/infra/cloud/production.tfvars"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        (BRANCH, "Only main is applied, and this is main-2: nothing was changed."),
        (BY_HAND, "Only main is applied, and this is no branch: nothing was changed."),
        (PULL_REQUEST, "Only main is applied, and this is pull request 7: nothing was changed."),
    ],
    ids=["another branch", "no branch", "a pull request from a branch called main"],
)
async def test_nothing_but_main_is_applied(
    workspace: Workspace, given: Mapping[str, str], said: str
) -> None:
    for name in ("plan", "keep"):
        assert (await workspace.run(name, given)).status == 0
    result = await workspace.run("apply", given)
    assert (result.status, result.output) == (0, f"{said}\n")
    assert "apply" not in workspace.verbs


async def test_of_a_pull_request_the_plan_is_shown_and_nothing_is_written(
    workspace: Workspace,
) -> None:
    assert (await workspace.run("plan", PULL_REQUEST)).status == 0
    shown = await workspace.run("keep", PULL_REQUEST)
    assert (shown.status, "to read: a plan of" in shown.output) == (0, True)
    _, plan, _ = workspace.calls
    assert option(plan, "-lock") == "false"
    assert workspace.verbs == ["init", "plan", "show"]


async def test_providers_that_nobody_has_pinned_are_not_installed(workspace: Workspace) -> None:
    (workspace.root / "infra/cloud/.terraform.lock.hcl").unlink()
    for name in ("plan", "drift"):
        result = await workspace.run(name, MAIN)
        assert result.status == 1
        assert "providers lock -platform=linux_amd64" in result.output
    assert workspace.calls == []


@pytest.mark.parametrize(
    ("status", "ends", "says"),
    [
        (0, 0, "What is there is what the code says."),
        (2, 1, "Something has been changed by hand, or was never applied"),
        (1, 1, ""),
    ],
)
async def test_what_has_drifted_fails_and_changes_nothing(
    workspace: Workspace, status: int, ends: int, says: str
) -> None:
    program = workspace.tools / "terraform"
    ending = f'\nif verb == "plan":\n    sys.exit({status})\n'
    planned = 'if verb == "plan":\n    [out] = [arg'
    recording = program.read_text()
    assert planned in recording
    program.write_text(recording.replace(planned, "if False:\n    [out] = [arg") + ending)
    result = await workspace.run("drift", MAIN)
    assert (result.status, says in result.output) == (ends, True)
    init, plan = workspace.calls
    assert "-detailed-exitcode" in plan["args"]
    assert option(plan, "-lock") == "false"
    assert not any(arg.startswith("-out") for arg in plan["args"])
    assert init["role"] == plan["role"] == TRUST.role_arn


async def test_nothing_asks_and_nothing_waits_for_a_person(workspace: Workspace) -> None:
    await workspace.run("plan", MAIN)
    await workspace.run("apply", MAIN)
    init, plan, _, apply = workspace.calls
    for call in (init, plan, apply):
        assert "-input=false" in call["args"]
    assert not [call for call in workspace.calls if "-auto-approve" in call["args"]]


@pytest.mark.parametrize("name", ["plan", "apply"])
async def test_terraform_takes_on_the_role_with_a_token_that_aws_accepts(
    workspace: Workspace, aws: AwsCredentials, name: str
) -> None:
    await workspace.run("plan", MAIN)
    result = await workspace.run(name, MAIN)
    call = workspace.calls[-1]
    assert call["role"] == TRUST.role_arn
    assert call["private"]
    async with httpx.AsyncClient(trust_env=False) as http:
        answer = await http.post(
            aws.sts_url,
            data={
                "Action": "AssumeRoleWithWebIdentity",
                "Version": "2011-06-15",
                "RoleArn": call["role"],
                "RoleSessionName": call["session"],
                "WebIdentityToken": call["token"],
            },
        )
    assert answer.status_code == 200, answer.text
    assert call["token"] not in result.output


async def test_the_token_is_gone_after_the_step(workspace: Workspace, tmp_path: Path) -> None:
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    await workspace.run("plan", MAIN, TMPDIR=str(temporary))
    assert workspace.calls[-1]["token"]
    assert list(temporary.iterdir()) == []


async def test_a_plan_is_for_its_owner_only(workspace: Workspace) -> None:
    await workspace.run("plan", MAIN)
    modes = {f.stat().st_mode & 0o77 for f in (workspace.root / ".unring/plans").iterdir()}
    assert modes == {0}


async def test_without_an_identity_terraform_does_not_start(tmp_path: Path) -> None:
    async with serving(Response(status_code=404), lifespan="off") as url:
        workspace = Workspace(tmp_path, url.removeprefix("http://"))
        result = await workspace.run("plan", MAIN)
    assert result.status == 1
    assert "roles/iam.serviceAccountOpenIdTokenCreator on itself" in result.output
    assert workspace.calls == []


async def test_a_build_without_a_role_says_what_to_set(workspace: Workspace) -> None:
    result = await workspace.run("plan", MAIN | {"_AWS_ROLE_ARN": ""})
    assert (result.status, result.output) == (
        1,
        "The build needs an AWS role: set _AWS_ROLE_ARN.\n",
    )
    assert workspace.calls == []


async def test_a_person_uses_their_own_aws_credentials(workspace: Workspace) -> None:
    result = await workspace.run("plan", MAIN | {"_AWS_ROLE_ARN": "", "BUILD_ID": ""})
    assert result.status == 0
    assert {(call["role"], call["token"]) for call in workspace.calls} == {(None, None)}


@pytest.mark.parametrize("name", ["staging", "../production", "", "Production", "a b"])
async def test_an_environment_without_variables_is_refused(workspace: Workspace, name: str) -> None:
    result = await workspace.run("plan", MAIN | {"_ENVIRONMENT": name})
    assert result.status == 1
    assert "infra/cloud/" in result.output
    assert workspace.calls == []


async def test_a_plan_that_fails_leaves_nothing_to_apply(workspace: Workspace) -> None:
    await workspace.run("plan", MAIN)
    program = workspace.tools / "terraform"
    recording = program.read_text()
    program.write_text("#!/usr/bin/env bash\nexit 3\n")
    assert (await workspace.run("plan", MAIN)).status == 3
    program.write_text(recording)
    result = await workspace.run("apply", MAIN)
    assert result.status == 1
    assert "run infra/build/plan.sh first" in result.output
    assert "apply" not in workspace.verbs


async def test_the_real_terraform_plans_and_applies_like_this(workspace: Workspace) -> None:
    if (terraform := shutil.which(os.environ.get("TERRAFORM", "terraform"))) is None:
        pytest.skip("terraform is not installed")
    # All but the backend is as in the build: there is no bucket here.
    (workspace.tools / "terraform").write_text(
        f"#!/usr/bin/env bash\nexport PATH={os.environ['PATH']!r} HOME={os.environ['HOME']!r}\n"
        'for arg; do [[ $arg == -backend-config=* ]] || args+=("$arg"); done\n'
        f'CHECKPOINT_DISABLE=1 exec {terraform} "${{args[@]}}"\n'
    )
    (workspace.root / "infra/cloud/main.tf").write_text(
        'variable "project" { type = string }\n'
        'resource "terraform_data" "all" { input = var.project }\n'
    )
    plan = await workspace.run("plan", MAIN)
    assert plan.status == 0, plan.output
    assert "1 to add" in (workspace.root / ".unring/plans/production.txt").read_text()
    apply = await workspace.run("apply", MAIN)
    assert apply.status == 0, apply.output
    assert "1 added" in apply.output


async def test_the_emulators_are_taken_from_wherever_the_sdk_lies(workspace: Workspace) -> None:
    sdk = workspace.root.parent / "usr/lib/google-cloud-sdk"
    for name in ("bin/gcloud", "platform/pubsub-emulator/lib/cloud-pubsub-emulator-1.jar"):
        (sdk / name).parent.mkdir(parents=True, exist_ok=True)
        (sdk / name).touch(mode=0o755)
    (workspace.tools / "gcloud").unlink()
    (workspace.tools / "gcloud").symlink_to(sdk / "bin/gcloud")
    assert await workspace.run("emulators", MAIN) == Result(0, "")
    copy = workspace.tools / "google-cloud-sdk"
    assert (copy / "bin/gcloud").is_file()
    assert list((copy / "platform/pubsub-emulator/lib").glob("*.jar"))
