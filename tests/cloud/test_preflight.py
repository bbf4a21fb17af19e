"""The pre-flight check, with stand-ins for gcloud, aws and curl: what it says of a project."""

import asyncio
import json
import os
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from functions.collections import OURS as COLLECTIONS
from infra import ROOT
from infra.build.rules import reaching

API = "firebaserules.googleapis.com/v1/projects/app"
DENIED = "match /{all=**} { allow read, write: if false; }"
OPEN = "match /{all=**} { allow read, write: if request.auth != null; }"
DATABASE = {"type": "FIRESTORE_NATIVE", "locationId": "nam5"}

BUILDS = [
    {
        "quotaId": "ConcurrentBuilds",
        "dimensionsInfos": [
            {"details": {"value": "30"}},
            {"dimensions": {"region": "us-east4"}, "details": {"value": "0"}},
        ],
    }
]

FIELDS = "projects/app/databases/(default)/collectionGroups/calls/fields"
TTLS = "gcloud firestore fields ttls list --collection-group=calls --database=(default)"
THEIRS = [{"name": f"{FIELDS}/deleteAt", "ttlConfig": {"state": "ACTIVE"}}]
OURS = [{"name": f"{FIELDS}/unringExpiresAt", "ttlConfig": {"state": "CREATING"}}]

# A project that Unring may be deployed into: how each command, or URL, begins, and what it says.
EMPTY: Mapping[str, Any] = {
    "gcloud projects describe app": "123",
    "gcloud billing projects describe app": "True",
    "gcloud services list": "cloudresourcemanager.googleapis.com\nserviceusage.googleapis.com",
    "gcloud resource-manager org-policies": {},
    "gcloud storage buckets describe gs://state": "there",
    "gcloud auth print-access-token": "token",
    "aws sts get-caller-identity": {"Account": "1", "Arn": "arn:aws:iam::1:user/me"},
    "aws apigateway get-account": {},
    "https://firebase.googleapis.com/v1beta1/projects/app": {"projectId": "app"},
}
IN_USE: Mapping[str, Any] = {
    **EMPTY,
    "gcloud firestore databases describe": DATABASE,
    TTLS: [],
    f"https://{API}/releases/cloud.firestore": {"rulesetName": "projects/app/rulesets/1"},
    f"https://{API}/rulesets/1": {"source": {"files": [{"content": DENIED}]}},
}

# Whatever nobody knows of is not there.
STAND_IN = f"""#!{sys.executable}
import json, sys
from pathlib import Path

me = Path(sys.argv[0])
answers = json.loads(me.with_name("answers").read_text())
is_curl = me.name == "curl"
if is_curl:
    assert 'Authorization: Bearer token' in sys.stdin.read()
    assert not any("token" in argument for argument in sys.argv)
asked = sys.argv[-1] if is_curl else " ".join([me.name, *sys.argv[1:]])
known = [said for start, said in answers.items() if asked == start or asked.startswith(start + " ")]
if not known and not is_curl:
    sys.exit("ERROR: (gcloud) " + "it is somewhere else. " * 40 + "NOT_FOUND")
said = known[0] if known else {{"error": "no such thing"}}
status = said.get("status", 200 if known else 404) if is_curl else None
said = said.get("body", said) if is_curl else said
print(said if isinstance(said, str) else json.dumps(said))
if is_curl:
    print(status, end="")
"""


async def preflight(
    folder: Path, answers: Mapping[str, Any], variables: str = "", bucket: str = "state"
) -> tuple[int, str]:
    """Runs the script in a checkout of what it reads; gives its status, and what it says."""
    root, tools = folder / "checkout", folder / "tools"
    shutil.copytree(ROOT / "infra/build", root / "infra/build", dirs_exist_ok=True)
    (root / "infra/cloud/modules/unring").mkdir(parents=True, exist_ok=True)
    for file in ("infra/__init__.py", "infra/cloud/modules/unring/variables.tf"):
        shutil.copy(ROOT / file, root / file)
    (root / "infra/cloud/production.tfvars").write_text(f'project = "app"\n{variables}')
    tools.mkdir(exist_ok=True)
    (tools / "answers").write_text(json.dumps(answers))
    for name in ("gcloud", "aws", "curl"):
        (tools / name).write_text(STAND_IN)
        (tools / name).chmod(0o755)
    environment = {"ENVIRONMENT": "production", "STATE_BUCKET": bucket, "PYTHON": sys.executable}
    process = await asyncio.create_subprocess_exec(
        str(root / "infra/build/preflight.sh"),
        env={**environment, "PATH": f"{tools}:{os.environ['PATH']}"},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


def wrong(said: str) -> list[str]:
    return [line.removeprefix("FAIL  ") for line in said.splitlines() if line.startswith("FAIL")]


async def test_nothing_is_in_the_way_of_an_empty_project(tmp_path: Path) -> None:
    status, said = await preflight(tmp_path, EMPTY)
    assert (status, wrong(said)) == (0, [])
    assert "database (default) will be created in us-east4, for ever" in said
    assert "Nothing is in the way." in said


async def test_a_project_in_use_is_to_keep_its_database_and_its_rules(tmp_path: Path) -> None:
    status, said = await preflight(tmp_path, IN_USE)
    assert status == 1
    assert wrong(said) == [
        "database (default) is there already",
        "rules are released already, and Terraform can't replace them",
    ]
    status, said = await preflight(tmp_path, IN_USE, "create_firestore_database = false\n")
    assert (status, wrong(said)) == (0, [])
    assert "database (default) is in nam5" in said


async def test_a_database_that_terraform_has_created_is_no_surprise(tmp_path: Path) -> None:
    account = "gcloud iam service-accounts describe unring-gateway@app.iam.gserviceaccount.com"
    status, said = await preflight(tmp_path, {**IN_USE, account: "there"})
    assert (status, wrong(said)) == (0, [])


@pytest.mark.parametrize(
    ("changes", "variables", "says", "mend"),
    [
        (
            {"gcloud billing projects describe app": "False"},
            "",
            "billing is off",
            "billing-account",
        ),
        ({"gcloud services list": ""}, "", "off: cloudresourcemanager", "gcloud services enable"),
        (
            {"https://firebase.googleapis.com/v1beta1/projects/app": None},
            "",
            "no Firebase",
            "addfire",
        ),
        (
            {"gcloud resource-manager org-policies": {"listPolicy": {"allowedValues": ["C1"]}}},
            "",
            "forbids roles for allUsers",
            "allow_all_users = false",
        ),
        (
            {"gcloud beta quotas info list --service=cloudbuild.googleapis.com": BUILDS},
            "",
            "Cloud Build has no quota in us-east4: ConcurrentBuilds 0",
            "another region",
        ),
        (
            {
                "gcloud firestore databases describe": {**DATABASE, "type": "DATASTORE_MODE"},
                TTLS: [],
            },
            "create_firestore_database = false\n",
            "in Datastore mode",
            'firestore_database = "unring"',
        ),
        (
            {},
            'create_firestore_database = false\nfirestore_database = "rings"\n',
            "there is no database rings",
            "create_firestore_database = true",
        ),
        (
            {"gcloud firestore databases describe": DATABASE, TTLS: THEIRS},
            "create_firestore_database = false\n",
            "calls has a TTL policy already, on its field deleteAt",
            "expire_calls = false",
        ),
        (
            {"gcloud storage buckets describe gs://state": None},
            "",
            "no bucket state",
            "gcloud storage buckets create gs://state",
        ),
        (
            {"aws apigateway get-account": {"cloudwatchRoleArn": "arn:aws:iam::1:role/theirs"}},
            "access_log = true\nmanage_api_gateway_account = true\n",
            "Terraform would replace",
            "manage_api_gateway_account = false",
        ),
        (
            {},
            "access_log = true\n",
            "no role to write the access log",
            "manage_api_gateway_account = true",
        ),
        ({"aws sts get-caller-identity": None}, "", "AWS: ERROR: (gcloud) it is", "sign in"),
    ],
)
async def test_what_is_in_the_way_is_named_with_the_line_that_mends_it(
    tmp_path: Path, changes: Mapping[str, Any], variables: str, says: str, mend: str
) -> None:
    answers = {key: value for key, value in {**EMPTY, **changes}.items() if value is not None}
    status, said = await preflight(tmp_path, answers, variables)
    (failure,) = wrong(said)
    assert status == 1
    assert says in failure
    assert mend in said[said.index(failure) :]


async def test_a_rule_that_reaches_our_collections_is_in_the_way(tmp_path: Path) -> None:
    rules = {"source": {"files": [{"content": OPEN}]}}
    answers = {**IN_USE, f"https://{API}/rulesets/1": rules}
    status, said = await preflight(tmp_path, answers, "create_firestore_database = false\n")
    assert (status, wrong(said)) == (1, ["the rule for /{all=**} may let clients into unring_…"])


@pytest.mark.parametrize(
    ("policies", "variables"), [(OURS, ""), (THEIRS, "expire_calls = false\n")]
)
async def test_calls_may_expire_by_our_field_or_by_the_apps(
    tmp_path: Path, policies: list[Any], variables: str
) -> None:
    answers = {**IN_USE, TTLS: policies}
    existing = "create_firestore_database = false\n"
    status, said = await preflight(tmp_path, answers, existing + variables)
    assert (status, wrong(said)) == (0, [])


async def test_policies_are_looked_for_in_the_collection_and_database_that_are_named(
    tmp_path: Path,
) -> None:
    database = 'create_firestore_database = false\nfirestore_database = "rings"\n'
    asked = "gcloud firestore fields ttls list --collection-group=theirs --database=rings"
    answers = {**EMPTY, "gcloud firestore databases describe --database=rings": DATABASE}
    variables = f'{database}calls_collection = "theirs"\n'
    _, said = await preflight(tmp_path, {**answers, asked: THEIRS}, variables)
    assert wrong(said) == ["theirs has a TTL policy already, on its field deleteAt"]


@pytest.mark.parametrize(
    "line",
    [
        "create_firestore_database = false // theirs",
        "  create_firestore_database\t=\tfalse\t",
        "create_firestore_database = false # theirs",
        "/*\ncreate_firestore_database = true\n*/\ncreate_firestore_database = false",
        "create_firestore_database = false\nfunctions = {\n  create_firestore_database = true\n}",
    ],
)
async def test_variables_are_read_as_terraform_reads_them(tmp_path: Path, line: str) -> None:
    status, said = await preflight(tmp_path, IN_USE, f"{line}\n")
    assert (status, wrong(said)) == (0, [])


async def test_an_api_that_is_off_has_nothing_of_what_is_asked(tmp_path: Path) -> None:
    disabled = {"error": {"status": "PERMISSION_DENIED", "reason": "SERVICE_DISABLED"}}
    firebase = "https://firebase.googleapis.com/v1beta1/projects/app"
    answers = {**EMPTY, firebase: {"status": 403, "body": disabled}}
    _, said = await preflight(tmp_path, answers)
    assert wrong(said) == ["it is no Firebase project"]


async def test_without_an_environment_it_says_what_is_missing(tmp_path: Path) -> None:
    (tmp_path / "checkout").mkdir()
    process = await asyncio.create_subprocess_exec(
        str(ROOT / "infra/build/preflight.sh"),
        env={"PATH": os.environ["PATH"], "PYTHON": sys.executable, "ENVIRONMENT": "nowhere"},
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    assert process.returncode == 2
    assert errors.decode() == (
        "infra/cloud/nowhere.tfvars is missing; terraform.tfvars.example is its model.\n"
    )


def rules(*blocks: str) -> str:
    inside = "\n".join(blocks)
    return (
        "rules_version = '2';\nservice cloud.firestore {\n"
        f"  match /databases/{{database}}/documents {{\n{inside}\n}}\n}}\n"
    )


@pytest.mark.parametrize(
    ("blocks", "reached"),
    [
        ((DENIED,), []),
        ((OPEN,), ["/{all=**}"]),
        (("match /{collection}/{id} { allow get; }",), ["/{collection}/{id}"]),
        (("match /{collection} { match /{id} { allow get: if true; } }",), ["/{collection}/{id}"]),
        (("match /users/{user}/{rest=**} { allow read, write: if true; }",), []),
        (
            ("match /calls/{call} { allow read: if request.auth.uid == resource.data.callerId; }",),
            [],
        ),
        (("match /unring_devices/{device} { allow read; }",), ["/unring_devices/{device}"]),
        ((DENIED, "// " + OPEN, "/* " + OPEN + " */"), []),
        (("function mine() { return request.auth != null; }", OPEN), ["/{all=**}"]),
        (
            ("match /{c}/{rest=**} { allow read: if !c.matches('unring_.*') && signedIn(); }",),
            [],
        ),
        (("match /{a}/{b=**} { allow read: if false; allow write: if true; }",), ["/{a}/{b=**}"]),
        # A comment in a string hides nothing.
        (("match /l/{id} { allow write: if u.matches('https://.*'); }", OPEN), ["/{all=**}"]),
        (("match /l/{id} { allow write: if t.matches('image/*'); }", OPEN, "/* */"), ["/{all=**}"]),
        (("match /{all = **} { allow read }",), ["/{all = **}"]),
        # What may be none of our documents, whose paths have two parts.
        (("match /{path=**}/comments/{id} { allow read; }",), []),
        (("match /{c}/{id}/history/{h} { allow read; }",), []),
        (("match /{c} { allow read; }",), []),
        # What is excluded, and what only looks so.
        (("match /{c}/{id} { allow read: if c != 'unring_devices'; }",), ["/{c}/{id}"]),
        (("match /{c}/{id} { allow read: if c.matches('unring_.*'); }",), ["/{c}/{id}"]),
        (("match /{c}/{id} { allow read: if !c.matches('unring_.*') || mine(); }",), ["/{c}/{id}"]),
        (("match /{c}/{id} { allow read: if !c.matches('unring_dev.*'); }",), ["/{c}/{id}"]),
    ],
)
def test_a_rule_reaches_our_collections_if_it_stands_for_any(
    blocks: tuple[str, ...], reached: list[str]
) -> None:
    assert list(reaching(rules(*blocks), "unring_")) == reached


@pytest.mark.parametrize("collection", COLLECTIONS)
def test_a_rule_for_any_collection_of_ours_is_found(collection: str) -> None:
    one = rules(f"match /unring_{collection}/{{id}} {{ allow read; }}")
    assert list(reaching(one, "unring_")) == [f"/unring_{collection}/{{id}}"]


def test_without_a_prefix_a_rule_for_a_collection_of_ours_is_found_all_the_same() -> None:
    both = rules("match /devices/{id} { allow read; }", "match /users/{id} { allow read; }")
    assert list(reaching(both, "")) == ["/devices/{id}"]
