"""What the first apply would stumble over, or do harm to. It needs gcloud, aws and curl.

Each check asks one thing of the project or of the AWS account, and says how it stands: well, or
what is wrong and which line mends it. Nothing is changed.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from infra import ROOT
from infra.build.rules import reaching
from infra.build.text import without_comments

CLOUD = ROOT / "infra/cloud"
DECLARATIONS = CLOUD / "modules/unring/variables.tf"

_PROGRAMS = ("gcloud", "aws", "curl")
_FIRST_APIS = ("cloudresourcemanager.googleapis.com", "serviceusage.googleapis.com")
# What Google says of what is not there, or of all things of an API that is off.
_NOT_THERE = ("NOT_FOUND", "SERVICE_DISABLED")
_RULES = "https://firebaserules.googleapis.com/v1"
_QUOTAS = (
    ("Cloud Run", "run.googleapis.com", ("instance", "cpualloc", "memalloc")),
    ("Cloud Build", "cloudbuild.googleapis.com", ("concurrent",)),
)
# By which calls expire that Unring has created: modules/unring/firestore.tf.
_EXPIRES_AT = "unringExpiresAt"
_BLANK = r"[ \t]*"
_SCALAR = r'("[^"\n]*"|true|false|null|[0-9.]+)[ \t]*$'


@dataclass(frozen=True)
class Finding:
    """How one thing stands. `mend` is the line that mends what is wrong; None: nothing is."""

    what: str
    mend: str | None = None


class Failed(Exception):
    """A program said no; the message is what it wrote."""


Findings = Iterator[Finding]
Settings = Mapping[str, str | None]


def main() -> int:
    """0 if nothing is in the way, 1 if something is, 2 if nobody could look."""
    try:
        settings = settings_of(os.environ.get("ENVIRONMENT", ""))
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    findings = list(missing_programs())
    findings += [] if findings else check_all(settings, os.environ.get("STATE_BUCKET", ""))
    for finding in findings:
        if finding.mend is None:
            print(f"ok    {finding.what}")
        else:
            print(f"FAIL  {finding.what}\n      {finding.mend}")
    wrong = sum(finding.mend is not None for finding in findings)
    print(f"\n{wrong} of {len(findings)} checks failed." if wrong else "\nNothing is in the way.")
    return 1 if wrong else 0


def settings_of(environment: str) -> Settings:
    """An environment's variables over their defaults, of those that are a text, a number or a
    switch. Raises ValueError."""
    if not re.fullmatch(r"[a-z0-9][a-z0-9-]*", environment):
        raise ValueError("ENVIRONMENT must name a file infra/cloud/NAME.tfvars.")
    file = CLOUD / f"{environment}.tfvars"
    if not file.is_file():
        raise ValueError(
            f"infra/cloud/{file.name} is missing; terraform.tfvars.example is its model."
        )
    blocks = re.findall(
        r'^variable "(\w+)" \{\n(.*?)^\}', DECLARATIONS.read_text(), re.MULTILINE | re.DOTALL
    )
    defaults = {name: _scalars(block).get("default") for name, block in blocks}
    settings = {**defaults, **_scalars(file.read_text())}
    if not settings["project"]:
        raise ValueError(f"infra/cloud/{file.name} names no project.")
    return settings


def _scalars(text: str) -> dict[str, str | None]:
    """Those that stand on a line of their own, and in no block."""
    found: dict[str, str | None] = {}
    depth = 0
    for line in without_comments(text, "#|//").splitlines():
        assigned = re.fullmatch(rf"[ \t]*(\w+)[ \t]*={_BLANK}{_SCALAR}", line)
        if assigned and depth == 0:
            found[assigned[1]] = None if assigned[2] == "null" else assigned[2].strip('"')
        depth += sum(map(line.count, "{[(")) - sum(map(line.count, "}])"))
    return found


def missing_programs() -> Findings:
    for program in _PROGRAMS:
        if shutil.which(program) is None:
            yield Finding(f"there is no {program}", f"install {program}, and have it in PATH")


def check_all(settings: Settings, bucket: str) -> Findings:
    project = Project(settings)
    checks: tuple[tuple[str, Callable[[], Findings]], ...] = (
        ("the project", project.is_there),
        ("billing", project.has_billing),
        ("APIs", project.has_first_apis),
        ("Firebase", project.is_of_firebase),
        ("who may call", project.may_be_called_by_all),
        ("quotas", project.has_quotas),
        ("the database", project.has_its_database),
        ("the calls", project.lets_calls_expire),
        ("the rules", project.keeps_clients_out),
        ("Terraform's state", lambda: state_bucket(bucket, settings)),
        ("AWS", lambda: aws_account(settings)),
    )
    for name, check in checks:
        try:
            yield from check()
        except Failed as error:
            said = f"{name}: {str(error)[:400]}"
            yield Finding(said, "sign in, or get the right to look, and try again")


class Project:
    """The Google Cloud project."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._id = str(settings["project"])
        self._region = str(settings["region"])
        self._database = str(settings["firestore_database"])
        self._creates = settings["create_firestore_database"] == "true"

    def is_there(self) -> Findings:
        number = _gcloud("projects", "describe", self._id, "--format=value(projectNumber)")
        yield Finding(f"project {self._id} is there, its number is {number}")

    def has_billing(self) -> Findings:
        asked = ("billing", "projects", "describe", self._id, "--format=value(billingEnabled)")
        if _gcloud(*asked) == "True":
            yield Finding("billing is on")
        else:
            mend = f"gcloud billing projects link {self._id} --billing-account=ACCOUNT"
            yield Finding("billing is off", mend)

    def has_first_apis(self) -> Findings:
        enabled = self._asked("services", "list", "--enabled", "--format=value(config.name)")
        missing = [api for api in _FIRST_APIS if api not in enabled.split()]
        if missing:
            mend = f"gcloud services enable {' '.join(missing)} --project={self._id}"
            yield Finding(f"off: {', '.join(missing)}", mend)
        else:
            yield Finding("the APIs are on by which Terraform turns on the others")

    def is_of_firebase(self) -> Findings:
        if self._get(f"https://firebase.googleapis.com/v1beta1/projects/{self._id}"):
            yield Finding("it is a Firebase project")
        else:
            mend = f"firebase projects:addfirebase {self._id}   # or in the Firebase console"
            yield Finding("it is no Firebase project", mend)

    def may_be_called_by_all(self) -> Findings:
        if self._settings["allow_all_users"] == "false":
            yield Finding("allUsers gets no role")
            return
        constraint = ("iam.allowedPolicyMemberDomains", "--effective", "--format=json")
        policy = self._asked("resource-manager", "org-policies", "describe", *constraint)
        listed = json.loads(policy or "{}").get("listPolicy", {})
        if listed.get("allowedValues") or listed.get("allValues") == "DENY":
            mend = "allow_all_users = false   # docs/operations.md says what to do instead"
            yield Finding("the organisation forbids roles for allUsers", mend)
        else:
            yield Finding("allUsers may get a role")

    def has_quotas(self) -> Findings:
        """Whether any quota of the region is 0; the others are told, for a person to judge."""
        for title, service, words in _QUOTAS:
            found = self._quotas(service, words)
            if found is None:
                yield Finding(f"{title}: nobody can look, as cloudquotas.googleapis.com is off")
                continue
            told = ", ".join(f"{name} {value}" for name, value in sorted(found.items()))
            if 0 in found.values():
                mend = "ask Google for more there, or take another region"
                yield Finding(f"{title} has no quota in {self._region}: {told}", mend)
            else:
                yield Finding(f"{title}'s quotas in {self._region}: {told or 'none is known'}")

    def has_its_database(self) -> Findings:
        found = self._existing_database()
        if found is None and self._creates:
            where = self._settings["firestore_location"] or self._region
            yield Finding(f"database {self._database} will be created in {where}, for ever")
        elif found is None:
            mend = "create_firestore_database = true"
            yield Finding(f"there is no database {self._database}", mend)
        elif found.get("type") != "FIRESTORE_NATIVE":
            mend = 'firestore_database = "unring"   # one of its own, beside it'
            yield Finding(f"database {self._database} is in Datastore mode", mend)
        elif self._creates and not self._is_deployed():
            mend = "create_firestore_database = false   # it, and its rules, stay as they are"
            yield Finding(f"database {self._database} is there already", mend)
        else:
            yield Finding(f"database {self._database} is in {found.get('locationId')}")

    def lets_calls_expire(self) -> Findings:
        """Whether the collection of the calls may get our TTL policy: Firestore takes one for all
        collections of a name."""
        calls = self._settings["calls_collection"]
        if self._settings["expire_calls"] == "false":
            yield Finding(f"what a backend creates in {calls} stays until the app deletes it")
            return
        theirs = [field for field in self._expiring(calls) if field != _EXPIRES_AT]
        if theirs:
            mend = "expire_calls = false   # calls then stay until the app deletes them"
            yield Finding(f"{calls} has a TTL policy already, on its field {theirs[0]}", mend)
        else:
            yield Finding(f"what a backend creates in {calls} may expire by {_EXPIRES_AT}")

    def keeps_clients_out(self) -> Findings:
        """Whether the rules that are released reach our collections."""
        suffix = "" if self._database == "(default)" else f"/{self._database}"
        release = self._get(f"{_RULES}/projects/{self._id}/releases/cloud.firestore{suffix}")
        if release is None:
            yield Finding("no rules are released for the database, so clients are kept out")
            return
        releases = self._creates and self._settings["manage_firestore_rules"] != "false"
        if releases and not self._is_deployed():
            mend = "manage_firestore_rules = false"
            yield Finding("rules are released already, and Terraform can't replace them", mend)
        ruleset = self._get(f"{_RULES}/{release['rulesetName']}") or {}
        files = ruleset.get("source", {}).get("files", [])
        prefix = self._settings["collection_prefix"] or ""
        reached = [path for file in files for path in reaching(file["content"], prefix)]
        for path in reached:
            mend = "rewrite it: docs/operations.md, Into a project that is in use"
            yield Finding(f"the rule for {path} may let clients into {prefix or 'our '}…", mend)
        if not reached:
            yield Finding("the released rules keep clients out of our collections")

    def _existing_database(self) -> dict[str, Any] | None:
        named = f"--database={self._database}"
        try:
            described = self._asked("firestore", "databases", "describe", named, "--format=json")
        except Failed as error:
            if any(reason in str(error) for reason in _NOT_THERE):
                return None
            raise
        return dict(json.loads(described))

    def _expiring(self, collection: str | None) -> list[str]:
        """The fields on which a collection of the database that exists has a TTL policy."""
        if self._existing_database() is None:
            return []
        of = (f"--collection-group={collection}", f"--database={self._database}")
        listed = self._asked("firestore", "fields", "ttls", "list", *of, "--format=json")
        names = [str(field["name"]) for field in json.loads(listed or "[]")]
        return [name.rpartition("/fields/")[2] for name in names]

    def _is_deployed(self) -> bool:
        """Whether Unring is here already, so that the database may be its own."""
        account = f"{self._settings['name']}-gateway@{self._id}.iam.gserviceaccount.com"
        try:
            self._asked("iam", "service-accounts", "describe", account)
        except Failed:
            return False
        return True

    def _quotas(self, service: str, words: Sequence[str]) -> dict[str, int] | None:
        """The region's quotas whose names have one of `words` in them; None if nobody can look."""
        named = f"--service={service}"
        try:
            listed = self._asked("beta", "quotas", "info", "list", named, "--format=json")
        except Failed:
            return None
        found = {}
        for quota in json.loads(listed or "[]"):
            value = _value_of(quota, self._region)
            if value is not None and any(word in quota["quotaId"].lower() for word in words):
                found[str(quota["quotaId"])] = value
        return found

    def _asked(self, *arguments: str) -> str:
        return _gcloud(*arguments, f"--project={self._id}")

    def _get(self, url: str) -> dict[str, Any] | None:
        """What an API of Google's answers; None if there is no such thing."""
        # By standard input, as everybody on this machine can read a command's arguments.
        headers = (
            f'header = "Authorization: Bearer {_gcloud("auth", "print-access-token")}"\n'
            f'header = "X-Goog-User-Project: {self._id}"\n'
        )
        options = ("--silent", "--show-error", "--max-time", "20", "--write-out", "\n%{http_code}")
        said = _said("curl", *options, "--config", "-", url, stdin=headers)
        body, _, status = said.rpartition("\n")
        if status == "404" or (status == "403" and "SERVICE_DISABLED" in body):
            return None
        if status != "200":
            raise Failed(f"{url} answers {status}: {' '.join(body.split())[:300]}")
        return dict(json.loads(body))


def _value_of(quota: Mapping[str, Any], region: str) -> int | None:
    """The quota of a region: its own, or else that of all others; None if there is no limit."""
    values = {
        each.get("dimensions", {}).get("region"): int(each.get("details", {}).get("value", -1))
        for each in quota.get("dimensionsInfos", [])
    }
    value = values.get(region, values.get(None, -1))
    return None if value < 0 else value  # -1 is no limit


def state_bucket(bucket: str, settings: Settings) -> Findings:
    if not bucket:
        mend = "STATE_BUCKET=NAME, as for plan.sh"
        yield Finding("no bucket is named for Terraform's state", mend)
        return
    try:
        _gcloud("storage", "buckets", "describe", f"gs://{bucket}")
    except Failed:
        mend = (
            f"gcloud storage buckets create gs://{bucket} --project={settings['project']} "
            f"--location={settings['region']} --uniform-bucket-level-access "
            "--public-access-prevention"
        )
        yield Finding(f"there is no bucket {bucket} for Terraform's state", mend)
    else:
        yield Finding(f"Terraform's state lies in {bucket}")


def aws_account(settings: Settings) -> Findings:
    identity = json.loads(_said("aws", "sts", "get-caller-identity", "--output=json"))
    yield Finding(f"AWS account {identity['Account']}, as {identity['Arn']}")
    region = f"--region={settings['aws_region']}"
    account = _said("aws", "apigateway", "get-account", region, "--output=json")
    role = json.loads(account or "{}").get("cloudwatchRoleArn")
    manages = settings["manage_api_gateway_account"] == "true"
    if manages and role and not role.endswith(f"/{settings['name']}-api-gateway-logs"):
        mend = "manage_api_gateway_account = false   # access_log = true will do"
        yield Finding(f"API Gateway logs as {role}, which Terraform would replace", mend)
    elif settings["access_log"] == "true" and not role and not manages:
        mend = "manage_api_gateway_account = true"
        yield Finding("API Gateway has no role to write the access log as", mend)
    else:
        yield Finding(f"API Gateway's role for logs: {role or 'none, and none is needed'}")


def _gcloud(*arguments: str) -> str:
    return _said("gcloud", *arguments)


def _said(program: str, *arguments: str, stdin: str = "") -> str:
    """What a program writes. Raises Failed."""
    done = subprocess.run(  # noqa: S603 - the programs that are named above
        [program, *arguments], input=stdin, capture_output=True, text=True, timeout=60
    )
    if done.returncode:
        said = " ".join(done.stderr.split())
        raise Failed(said or f"{program} ended with status {done.returncode}")
    return done.stdout.strip()


if __name__ == "__main__":
    sys.exit(main())
