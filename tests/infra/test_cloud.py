"""infra/cloud, by what Terraform computes of it, held against the code that it deploys.

TERRAFORM names the command (default `terraform`). Without one that finds its providers, these tests
are skipped; where TERRAFORM is set, they must run.
"""

import inspect
import json
import os
import re
import shutil
import subprocess
from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from functions.calls.signals import EVENTS, PUSHES
from functions.forwarded import Forwarded, Handshake, is_from_api_gateway
from functions.published import CONNECTION_OPENED
from functions.settings import FUNCTIONS, Need, load, variables_of
from infra.local import topology
from infra.local.pubsub import compile_filter

ROOT = Path(__file__).resolve().parents[2]
REGISTRY_OUT_OF_REACH = "could not connect to registry"
HEADER = "integration.request.header."

pytestmark = pytest.mark.timeout(300)  # Terraform starts its providers again and again


@dataclass(frozen=True)
class Checkout:
    """A copy of what infra/cloud deploys and of itself, so that nothing is left in the tree."""

    terraform: str
    root: Path

    def run(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(  # noqa: S603 - whoever runs the tests names the command
            [self.terraform, f"-chdir={self.root / 'infra/cloud'}", *arguments],
            capture_output=True,
            text=True,
        )


@dataclass(frozen=True)
class Report:
    """What `terraform test` found, and what it computed in the runs of deployment.tftest.hcl."""

    summary: Mapping[str, Any]
    problems: list[str]
    deployed: list[dict[str, Any]]  # resources: type, name, index, values
    with_every_option: list[dict[str, Any]]

    def values(self, kind: str) -> dict[str, dict[str, Any]]:
        return _values(self.deployed, kind)


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
    begun = copy.run("init", "-backend=false", "-no-color")
    if begun.returncode and not named and REGISTRY_OUT_OF_REACH in begun.stderr.replace("\n", " "):
        pytest.skip("terraform can't reach the registry of its providers")
    assert begun.returncode == 0, begun.stderr
    return copy


@pytest.fixture(scope="session")
def report(checkout: Checkout) -> Report:
    lines = checkout.run("test", "-json", "-verbose").stdout.splitlines()
    messages = [json.loads(line) for line in lines]
    of_type: dict[str, dict[str, Any]] = defaultdict(dict)
    for message in messages:
        of_type[message["type"]][message.get("@testrun", "")] = message
    problems = [
        "{}: {summary}: {detail}".format(message.get("@testrun", ""), **message["diagnostic"])
        for message in messages
        if message["type"] == "diagnostic"
    ]
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


# Terraform's own checks


def test_the_configuration_is_formatted(checkout: Checkout) -> None:
    formatted = checkout.run("fmt", "-check", "-recursive", "-diff", "-no-color")
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


def test_the_configuration_is_valid(checkout: Checkout) -> None:
    validated = checkout.run("validate", "-no-color")
    assert validated.returncode == 0, validated.stdout + validated.stderr


def test_what_the_configuration_says_of_itself_holds(report: Report) -> None:
    assert report.summary["status"] == "pass", "\n".join(report.problems)
    assert report.summary["passed"] > 20


def test_every_validation_is_given_a_bad_value() -> None:
    cloud = ROOT / "infra/cloud"
    blocks = re.split(r"^variable ", (cloud / "variables.tf").read_text(), flags=re.MULTILINE)[1:]
    validations = Counter({block.split('"')[1]: block.count("validation {") for block in blocks})
    tests = (cloud / "tests/variables.tftest.hcl").read_text()
    assert validations <= Counter(re.findall(r"expect_failures = \[var\.(\w+)\]", tests))


# The functions and their settings


def test_the_archive_has_all_that_the_functions_run_and_nothing_else(report: Report) -> None:
    (archive,) = report.values("archive_file").values()
    code = {str(path.relative_to(ROOT)) for path in (ROOT / "functions").rglob("*.py")}
    archived = {source["filename"] for source in archive["source"]}
    assert archived == code | {"main.py", "requirements.txt"}


def test_the_entry_points_are_the_functions_that_main_loads(report: Report) -> None:
    entry_points = {
        values["build_config"][0]["entry_point"]
        for values in report.values("google_cloudfunctions2_function").values()
    }
    assert entry_points == set(FUNCTIONS)
    for name in entry_points:
        assert callable(getattr(import_module(f"functions.{name}"), name))


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_all_that_it_needs(report: Report, function: str) -> None:
    given = environment(report.deployed, function)
    load(function, {**given, "K_SERVICE": function})  # raises for what is missing or wrong


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_nothing_that_it_does_not_read(report: Report, function: str) -> None:
    read = {variable.name for variable in variables_of(function)}
    given = environment(report.deployed, function)
    assert set(given) <= read
    assert not {"GATEWAY_SECRET", "GATEWAY_SECRET_PREVIOUS"} & set(
        plain_environment(report.deployed, function)
    )


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_a_function_reads_in_the_cloud_can_be_set(report: Report, function: str) -> None:
    settable = {
        variable.name for variable in variables_of(function) if variable.need is not Need.LOCAL
    }
    assert set(environment(report.with_every_option, function)) == settable


def test_the_audience_is_the_one_that_the_role_trusts(report: Report) -> None:
    policy = json.loads(report.values("aws_iam_role")["poster"]["assume_role_policy"])
    for function, statement in zip(("gateway", "deliver"), policy["Statement"], strict=True):
        trusted = statement["Condition"]["StringEquals"]["accounts.google.com:oaud"]
        assert environment(report.deployed, function)["AWS_TOKEN_AUDIENCE"] == trusted


# Who may what


def test_each_account_has_exactly_its_roles(report: Report) -> None:
    names = {
        values["member"]: values["account_id"].removeprefix("unring-")
        for values in report.values("google_service_account").values()
    }
    names["allUsers"] = "allUsers"
    names["serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"] = "Pub/Sub"
    (sender,) = (v["id"] for v in report.values("google_project_iam_custom_role").values())
    roles: dict[str, set[tuple[str, str]]] = defaultdict(set)
    for resource in report.deployed:
        if "_iam_" not in resource["type"] or "role_id" in resource["values"]:
            continue
        if resource["provider_name"].endswith("/google"):
            assert resource["type"].endswith("_iam_member"), "a binding would take others' roles"
            values = resource["values"]
            role = "sends FCM" if values["role"] == sender else values["role"]
            roles[names[values["member"]]].add((_target(resource), role))
    store = ("project", "roles/datastore.user")
    publish = ("topic call-events", "roles/pubsub.publisher")
    assert roles == {
        "gateway": {store, publish, ("secret", "roles/secretmanager.secretAccessor")},
        "deliver": {store},
        "push": {store, ("project", "sends FCM")},
        "sweep": {store, publish},
        "allUsers": {("service unring-gateway", "roles/run.invoker")},
        "caller": {
            (f"service unring-{name}", "roles/run.invoker") for name in ("deliver", "push", "sweep")
        },
        "builder": {
            ("project", "roles/logging.logWriter"),
            ("project if functions' sources", "roles/storage.objectViewer"),
            ("repository unring-functions", "roles/artifactregistry.writer"),
        },
        "Pub/Sub": {
            ("account", "roles/iam.serviceAccountOpenIdTokenCreator"),
            ("topic call-events-dead", "roles/pubsub.publisher"),
            ("subscription deliver", "roles/pubsub.subscriber"),
            ("subscription push", "roles/pubsub.subscriber"),
        },
    }


def test_there_are_two_aws_roles_with_one_policy_each(report: Report) -> None:
    kinds = sorted(r["type"] for r in report.deployed if r["type"].startswith("aws_iam"))
    role, policy, attachment = (
        "aws_iam_role",
        "aws_iam_role_policy",
        "aws_iam_role_policy_attachment",
    )
    assert kinds == [role, role, policy, attachment]


# What stands between the functions


def test_the_routes_are_those_of_the_local_stack(report: Report) -> None:
    local = topology.routes(lambda: "", "the secret")
    routes, integrations = (
        report.values(f"aws_apigatewayv2_{kind}") for kind in ("route", "integration")
    )
    assert set(routes) == set(integrations) == set(local)
    for key, route in local.items():
        mapped = dict(integrations[key]["request_parameters"])
        assert re.fullmatch("'[^',]+'", mapped[f"{HEADER}Unring-Secret"])
        mapped[f"{HEADER}Unring-Secret"] = "'the secret'"
        assert mapped == route.request_parameters
        declared = {p["request_parameter_key"] for p in routes[key]["request_parameter"]}
        assert declared == route.route_request_parameters
        two_way = routes[key]["route_response_selection_expression"] == "$default"
        assert two_way is route.route_response


def test_every_mapped_header_is_one_that_the_gateway_reads(report: Report) -> None:
    (values,) = (
        values
        for key, values in report.values("aws_apigatewayv2_integration").items()
        if key == "$connect"
    )
    mapped = {name.removeprefix(HEADER).lower() for name in values["request_parameters"]}
    headers = RecordingHeaders(dict.fromkeys(mapped, ""))
    headers.now_has("unring-connection-id", "VNRUSeldSwMCIRQ=")
    headers.now_has("unring-event-type", "CONNECT")
    is_from_api_gateway(headers, ["the secret"])
    Forwarded.read(headers)
    Handshake.read(headers)
    assert headers.read == mapped


@pytest.mark.parametrize("name", ["deliver", "push"])
def test_the_subscriptions_are_those_of_the_local_stack(report: Report, name: str) -> None:
    values = report.values("google_pubsub_subscription")[name]
    retry, dead_letters = values["retry_policy"][0], values["dead_letter_policy"][0]
    topics = {topic["id"]: topic["name"] for topic in report.values("google_pubsub_topic").values()}
    backoff = inspect.signature(topology.create_subscriptions).parameters["backoff"].default
    assert values["filter"] == {"deliver": "", "push": topology.PUSH_FILTER}[name]
    assert values["ack_deadline_seconds"] == topology.ACK_SECONDS
    assert (seconds(retry["minimum_backoff"]), seconds(retry["maximum_backoff"])) == backoff
    assert dead_letters["max_delivery_attempts"] == topology.MAX_ATTEMPTS
    assert topics[values["topic"]] == topology.TOPIC
    assert topics[dead_letters["dead_letter_topic"]] == topology.DEAD_LETTERS


def test_the_subscriptions_deliver_what_is_published(report: Report) -> None:
    published = {*EVENTS, CONNECTION_OPENED}
    subscriptions = report.values("google_pubsub_subscription")
    delivered = {
        name: {
            event
            for event in published
            if compile_filter(subscriptions[name]["filter"])({"type": event})
        }
        for name in ("deliver", "push")
    }
    assert delivered == {"deliver": published, "push": set(PUSHES)}


# Watching


def test_every_metric_reads_what_the_functions_log(report: Report) -> None:
    logged = documented_logs()
    for values in report.values("google_logging_metric").values():
        (message,) = re.findall(r'jsonPayload\.message="([^"]+)"', values["filter"])
        service = re.findall(r'service_name="unring-(\w+)"', values["filter"])
        read = set(re.findall(r"jsonPayload\.(\w+)", json.dumps(values))) - {"message"}
        functions = service or [function for function, name in logged if name == message]
        assert functions, f"nobody logs {message!r}"
        for function in functions:
            assert read <= logged[function, message], values["name"]


def documented_logs() -> dict[tuple[str, str], set[str]]:
    """The fields of each function's messages, as the table in docs/architecture.md has them."""
    logs: dict[tuple[str, str], set[str]] = {}
    text = (ROOT / "docs/architecture.md").read_text().partition("## Logs")[2]
    for functions, names, fields in re.findall(
        r"^\| ([^|]+) \| ([^|]+) \| ([^|]+) \|$", text, re.M
    ):
        for function in functions.split(", "):
            for name in re.findall("`([^`]+)`", names):
                logs[function, name] = set(re.findall(r"`(\w+)`", fields))
    return logs


class RecordingHeaders(Headers):
    """Remembers which headers it was asked for."""

    def __init__(self, values: dict[str, str]) -> None:
        super().__init__(values)
        self.read: set[str] = set()

    def now_has(self, name: str, value: str) -> None:
        others = [(key, text) for key, text in self.raw if key != name.encode()]
        self._list = [*others, (name.encode(), value.encode())]

    def getlist(self, key: str) -> list[str]:
        self.read.add(key)
        return super().getlist(key)


def environment(resources: list[dict[str, Any]], function: str) -> dict[str, str]:
    """What our code is told; Secret Manager's values, which nobody knows here, are made up."""
    values = _values(resources, "google_cloudfunctions2_function")[function]["service_config"][0]
    secrets = {secret["key"]: "x" * 48 for secret in values["secret_environment_variables"]}
    plain = plain_environment(resources, function)
    assert plain.pop("FUNCTION_USE_ASGI") == "true"  # functions-framework reads it
    return {**plain, **secrets}


def plain_environment(resources: list[dict[str, Any]], function: str) -> dict[str, str]:
    values = _values(resources, "google_cloudfunctions2_function")[function]["service_config"][0]
    return dict(values["environment_variables"])


def seconds(duration: str) -> timedelta:
    return timedelta(seconds=float(duration.removesuffix("s")))


def _values(resources: list[dict[str, Any]], kind: str) -> dict[str, dict[str, Any]]:
    """The values of all resources of a kind, by their key, or their name where there is none."""
    return {
        str(resource.get("index", resource["name"])): resource["values"]
        for resource in resources
        if resource["type"] == kind
    }


def _target(resource: Mapping[str, Any]) -> str:
    """On what a role is given, in a word or two."""
    values = resource["values"]
    match resource["type"].removeprefix("google_").removesuffix("_iam_member"):
        case "project":
            return " ".join(["project", *(f"if {c['title']}" for c in values["condition"])])
        case "pubsub_topic":
            return f"topic {values['topic']}"
        case "pubsub_subscription":
            return f"subscription {values['subscription']}"
        case "cloud_run_v2_service":
            return f"service {values['name']}"
        case "artifact_registry_repository":
            return f"repository {values['repository']}"
        case "service_account":
            return "account"
        case "secret_manager_secret":
            return "secret"
        case other:
            return str(other)
