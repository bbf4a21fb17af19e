"""cloudbuild.yaml is a build that Cloud Build's API takes, pinned, ordered, and without secrets."""

import re
import shutil
import subprocess
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from infra import ROOT
from tests.cloud.cloudbuild_schema import BuildStep, expand, parse, problems, read, values_of

TEXT = (ROOT / "cloudbuild.yaml").read_text()
DOCUMENT = yaml.safe_load(TEXT)
BUILD = parse(DOCUMENT)
BASH = shutil.which("bash") or "bash"
SCRIPTS = sorted((ROOT / "infra/build").glob("*.sh"))
STEPS = {step.id: step for step in BUILD.steps}


def needed(step: BuildStep) -> set[str | None]:
    """The steps that went well before this one starts."""
    return {
        earlier
        for other in step.wait_for
        if other in STEPS
        for earlier in (other, *needed(STEPS[other]))
    }


@pytest.mark.parametrize("file", ["cloudbuild.yaml", "infra/build/drift.yaml"])
def test_the_build_is_one_that_the_api_takes(file: str) -> None:
    assert list(problems(read(ROOT / file))) == []


def test_the_look_for_drift_runs_what_the_build_runs() -> None:
    drift = read(ROOT / "infra/build/drift.yaml")
    assert drift.steps[0] == STEPS["terraform"]
    assert drift.steps[1].name == STEPS["plan"].name
    assert [arg for step in drift.steps for arg in step.args][-1] == "infra/build/drift.sh"


Mutation = Callable[[dict[str, Any]], object]
WRONG: list[tuple[Mutation, str]] = [
    (lambda b: b.update(machineType="E2_HIGHCPU_8"), "unknown field `machineType`"),
    (lambda b: b["options"].update(machineType="E2_HIGHCPU_4"), "Invalid enum value"),
    (lambda b: b["options"].pop("logging"), "can't log to the default bucket"),
    (lambda b: b["options"].pop("dynamicSubstitutions"), "needs dynamicSubstitutions"),
    (lambda b: b["options"]["volumes"][0].update(path="/workspace"), "something of its own"),
    (lambda b: b["options"]["volumes"].append({"name": "to", "path": "/tools"}), "two volumes at"),
    (
        lambda b: b["steps"][0].update(volumes=[{"name": "lone", "path": "/x"}]),
        "only one step uses",
    ),
    (lambda b: b.update(timeout="1h"), "`$.timeout`"),
    (lambda b: b.update(timeout="60s"), "test may take longer than the build"),
    (lambda b: b.update(timeout="90000s"), "24 hours"),
    (lambda b: b.update(serviceAccount="build@project.iam"), "full name of a service account"),
    (lambda b: b["substitutions"].update(lower="x"), "Expected `str` matching regex"),
    (lambda b: b["substitutions"].update(_MORE="x"), "_MORE is not used"),
    (lambda b: b["substitutions"].pop("_PR_NUMBER"), "$_PR_NUMBER is not defined"),
    (lambda b: b["steps"][-1].update(id="plan"), "two steps are called plan"),
    (lambda b: b["steps"][-1].update(waitFor=["aply"]), "waits for aply, which is no earlier step"),
    (lambda b: b["steps"][4].update(waitFor=["plan"]), "waits for plan, which is no earlier step"),
    (lambda b: b["steps"][4]["waitFor"].append("-"), "for nothing and for something"),
    (lambda b: b["steps"][-1].update(script="true"), "has a script, and"),
    (lambda b: b["steps"][-1]["args"].append("$HOME"), "$HOME is not defined"),
    (lambda b: b["steps"][-1]["args"].append("${file}"), "$file is not defined"),
    (lambda b: b["steps"][-1]["env"].append("NAME"), "]*=' - at `$.steps[8].env"),
    (lambda b: b["steps"][-1]["env"].append("BRANCH_NAME=main"), "sets BRANCH_NAME twice"),
    (lambda b: b["steps"][-1].update(secretEnv=["KEY"]), "the secret KEY is not defined"),
    (lambda b: b["steps"][-1].update(when="main"), "unknown field `when`"),
    (lambda b: b.update(artifacts={"objects": {"location": "x", "paths": ["y"]}}), "location"),
]


@pytest.mark.parametrize(("mutation", "complaint"), WRONG, ids=[wrong for _, wrong in WRONG])
def test_a_mistake_is_found(mutation: Mutation, complaint: str) -> None:
    document = deepcopy(DOCUMENT)
    mutation(document)
    try:
        found = list(problems(parse(document)))
    except msgspec.ValidationError as error:
        found = [str(error)]
    assert any(complaint in problem for problem in found), found


def test_dollar_signs_are_read_as_cloud_build_reads_them() -> None:
    values = {"_A": "1", "_AB": "2"}
    assert expand("$_A ${_A}B $_AB $$_A $$(x) $$$_A $(x) ${_NOT}.", values) == (
        "1 1B 2 $_A $(x) $1 $(x) ."
    )


def test_a_substitution_may_name_another() -> None:
    assert values_of(BUILD, {"PROJECT_ID": "app"})["_STATE_BUCKET"] == "app-terraform"


def test_every_image_is_pinned_and_says_what_it_is() -> None:
    images = [line for line in TEXT.splitlines() if line.startswith("    name: ")]
    assert len(images) == len(BUILD.steps)
    for image in images:
        assert re.fullmatch(r" +name: [a-z0-9./-]+@sha256:[0-9a-f]{64} # \d[\w.-]+", image), image


def test_apply_comes_after_keep_after_plan_after_test() -> None:
    assert STEPS["apply"].wait_for == ["keep"]
    assert STEPS["keep"].wait_for == ["plan"]
    assert STEPS["plan"].wait_for == ["audit"]
    assert STEPS["audit"].wait_for == ["test"]
    assert needed(STEPS["apply"]) == STEPS.keys() - {"apply"}


def test_no_step_may_fail_unnoticed() -> None:
    assert not [step.id for step in BUILD.steps if step.allow_failure or step.allow_exit_codes]


def test_the_tests_run_whole_with_all_that_they_need() -> None:
    step = STEPS["test"]
    environment = dict(entry.split("=", 1) for entry in step.env)
    assert [step.entrypoint, *step.args] == ["make", "test", "thorough"]
    assert environment["UNRING_REQUIRE_ALL"] == "1"
    used = set(re.findall(r"/tools/[a-z-]+", f"{environment['PATH']} {environment['TERRAFORM']}"))
    brought = [arg for other in needed(step) for arg in STEPS[other].args]
    assert used == {f"/tools/{tool}" for tool in ("terraform", "node", "java", "google-cloud-sdk")}
    assert [tool for tool in used if not any(arg.strip().endswith(tool) for arg in brought)] == []
    assert "AWS_ROLE_ARN" not in environment  # the functions under test read it, too


def test_the_build_runs_as_an_account_of_its_own() -> None:
    account = expand(BUILD.service_account or "", values_of(BUILD, {"PROJECT_ID": "app"}))
    assert account == "projects/app/serviceAccounts/unring-deploy@app.iam.gserviceaccount.com"


def shell(step: BuildStep) -> str | None:
    """What a step gives to a shell by itself, after substitution."""
    if step.script is not None:
        return step.script
    if step.entrypoint in ("bash", "sh") and step.args[0].startswith("-"):
        return expand(step.args[-1], values_of(BUILD, {}))
    return None


INLINE = {f"step {step.id}": text for step in BUILD.steps if (text := shell(step))}
FILES = {script.name: script.read_text() for script in SCRIPTS}


@pytest.mark.parametrize("text", [*INLINE.values(), *FILES.values()], ids=[*INLINE, *FILES])
def test_every_script_is_one_that_bash_reads(text: str) -> None:
    done = subprocess.run(  # noqa: S603 -- it reads our script, and runs nothing
        [BASH, "-n"], input=text, text=True, capture_output=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    "text",
    [TEXT, *FILES.values()],
    ids=["cloudbuild.yaml", *FILES],
)
def test_nothing_brings_a_secret_or_prints_one(text: str) -> None:
    for word in (
        *("xtrace", "set -x", "bash -x", "-eux", "TF_LOG", "TF_VAR_", "--verbose", "printenv"),
        *("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN", "GOOGLE_CREDENTIALS"),
        *("GOOGLE_APPLICATION_CREDENTIALS", "terraform output", "state pull", "show -json"),
    ):
        assert word not in text, word


def test_every_script_that_a_step_runs_is_there() -> None:
    named = {arg for step in BUILD.steps for arg in step.args if arg.endswith(".sh")}
    assert named == {f"infra/build/{name}.sh" for name in ("plan", "keep", "apply")}
    for script in named | {"infra/build/drift.sh", "infra/build/preflight.sh"}:
        assert (ROOT / script).stat().st_mode & 0o111, script


def test_what_is_uploaded_is_what_the_build_needs(tmp_path: Path) -> None:
    if (gcloud := shutil.which("gcloud")) is None:
        pytest.skip("gcloud is not installed")
    for name in (".gcloudignore", ".gitignore"):
        shutil.copy(ROOT / name, tmp_path)
    needed = {
        *("Makefile", "cloudbuild.yaml", "pyproject.toml", "requirements-dev.txt", "README.md"),
        *("main.py", "functions/gateway.py", "functions/wire/json.py", "docs/settings.md"),
        *("tests/e2e/socketio/package.json", "tests/unit/test_docs.py"),
        "tests/emulators/test_aws.py",
        *("infra/build/plan.sh", "infra/cloud/main.tf", "infra/cloud/production.tfvars"),
        *("infra/cloud/terraform.tfvars.example", "infra/cloud/.terraform.lock.hcl"),
        *("infra/cloud/modules/unring/functions.tf", ".gitignore", ".gcloudignore", ".ci/run"),
        "infra/cloud/modules/unring/tests/variables.tftest.hcl",
    }
    left = {
        *(".git/config", ".venv/bin/python", ".node/package.json", ".unring/plans/production.txt"),
        *("functions/__pycache__/gateway.pyc", ".mypy_cache/x", ".ruff_cache/x", ".hypothesis/x"),
        "infra/cloud/modules/unring/.terraform.lock.hcl",
    }
    for name in needed | left:
        file = tmp_path / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()
    listed = subprocess.run(  # noqa: S603 -- gcloud as found on the PATH
        [gcloud, "meta", "list-files-for-upload", str(tmp_path)],
        capture_output=True,
        check=True,
        text=True,
    )
    assert {Path(line).as_posix() for line in listed.stdout.split()} == needed
