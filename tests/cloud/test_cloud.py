"""infra/cloud, by what Terraform computes of it, held against the code that it deploys."""

import inspect
import json
import re
from collections import Counter
from collections.abc import Collection, Mapping
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from starlette.datastructures import Headers

from functions.collections import OURS, USUAL
from functions.inbound.apigateway import Forwarded, handshake_in, is_from_api_gateway
from functions.services.firestore.documents import EXPIRES_AT
from functions.settings import FUNCTIONS, load, variables_of, webhook_name
from functions.variables import Need, Variable
from infra import ROOT
from infra.local import topology
from tests.cloud.support import (
    FRONT,
    MODULE,
    WEBHOOK_URLS,
    Checkout,
    Report,
    problems_in,
    values_of,
)
from tests.support.collections import CONNECTIONS, DEVICES, OUTBOX

pytestmark = pytest.mark.timeout(300)  # Terraform starts its providers again and again

HEADER = "integration.request.header."
FILTERS = {
    "deliver": topology.DELIVER_FILTER,
    "push": topology.PUSH_FILTER,
    "ring": topology.RING_FILTER,
}


# Terraform's own checks


def test_the_configuration_is_formatted(checkout: Checkout) -> None:
    command = ("fmt", "-check", "-recursive", "-diff", "-no-color")
    formatted = checkout.run(*command, folder="infra/cloud")
    assert formatted.returncode == 0, formatted.stdout + formatted.stderr


@pytest.mark.thorough
@pytest.mark.parametrize(
    "folder", ["infra/cloud", "infra/cloud/examples/own-root", "infra/cloud/examples/one-host"]
)
def test_a_root_that_uses_the_module_is_valid(checkout: Checkout, folder: str) -> None:
    for command in ("init", "validate"):
        done = checkout.run(command, "-no-color", folder=folder)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_root_passes_on_every_variable_and_every_output() -> None:
    root, module = ROOT / "infra/cloud", ROOT / MODULE
    told = re.findall(r"^  (\w+) += var\.(\w+)$", (root / "main.tf").read_text(), re.M)
    assert told == [(name, name) for name in declared("variable", module / "variables.tf")]
    assert (root / "variables.tf").resolve() == module / "variables.tf"
    outputs = (root / "outputs.tf").read_text()
    passed_on = re.findall(r"^  value += module\.unring\.(\w+)$", outputs, re.M)
    assert passed_on == declared("output", root / "outputs.tf")
    assert passed_on == declared("output", module / "outputs.tf")


def declared(kind: str, file: Path) -> list[str]:
    return re.findall(rf'^{kind} "(\w+)"', file.read_text(), re.MULTILINE)


def test_what_a_deployment_says_of_itself_holds(report: Report) -> None:
    assert report.summary["status"] == "pass", "\n".join(report.problems)
    assert report.summary["passed"] == 2


@pytest.mark.thorough
@pytest.mark.parametrize(("file", "runs"), [("variables", 60), ("variants", 10)])
def test_what_every_configuration_says_of_itself_holds(
    checkout: Checkout, file: str, runs: int
) -> None:
    messages = checkout.tested(file)
    (said,) = [each for each in messages if each["type"] == "test_summary"]
    assert said["test_summary"]["status"] == "pass", "\n".join(problems_in(messages))
    assert said["test_summary"]["passed"] >= runs


@pytest.mark.parametrize(("module", "file"), [(MODULE, "variables"), (FRONT, "front")])
def test_every_validation_is_given_a_bad_value(module: str, file: str) -> None:
    cloud = ROOT / module
    blocks = re.split(r"^variable ", (cloud / "variables.tf").read_text(), flags=re.MULTILINE)[1:]
    validations = Counter({block.split('"')[1]: block.count("validation {") for block in blocks})
    tests = (cloud / f"tests/{file}.tftest.hcl").read_text()
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
        assert callable(import_module(f"functions.{name}").build)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_all_that_it_needs(report: Report, function: str) -> None:
    given = environment(report.deployed, function)
    # Raises for what is missing or wrong.
    load(FUNCTIONS[function], {**given, "K_SERVICE": function})


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_is_given_nothing_that_it_does_not_read(report: Report, function: str) -> None:
    read = {variable.name for variable in read_by(function)}
    given = environment(report.deployed, function)
    assert set(given) <= read
    plain = plain_environment(report.deployed, function)
    assert not [name for name in plain if "SECRET" in name]


@pytest.mark.parametrize("function", FUNCTIONS)
def test_whatever_a_function_reads_in_the_cloud_can_be_set(report: Report, function: str) -> None:
    settable = {variable.name for variable in read_by(function) if variable.need is not Need.LOCAL}
    assert set(environment(report.with_every_option, function)) == settable


def test_the_audience_is_the_one_that_the_role_trusts(report: Report) -> None:
    policy = json.loads(report.values("aws_iam_role")["poster"]["assume_role_policy"])
    for function, statement in zip(
        ("gateway", "api", "deliver", "ring", "sweep"), policy["Statement"], strict=True
    ):
        trusted = statement["Condition"]["StringEquals"]["accounts.google.com:oaud"]
        assert environment(report.deployed, function)["AWS_TOKEN_AUDIENCE"] == trusted


# In which order it comes to be


# Nothing that Terraform computes shows the order of an apply, so it is read from the graph. Without
# these, all would be there in the end, but frames be refused meanwhile: a new secret would be sent
# before gateway takes it, deliver ask for what no index has yet, or the stage be open before it has
# routes.
@pytest.mark.parametrize(
    ("later", "earlier"),
    [
        (
            "google_cloudfunctions2_function.function",
            "google_secret_manager_secret_version.gateway",
        ),
        (
            "google_cloudfunctions2_function.function",
            "google_secret_manager_secret_iam_member.gateway",
        ),
        (
            "google_cloudfunctions2_function.function",
            "google_secret_manager_secret_iam_member.ring_token",
        ),
        ("google_cloudfunctions2_function.function", "google_firestore_index.missed"),
        ("aws_apigatewayv2_integration.gateway", "google_cloudfunctions2_function.function"),
        ("aws_apigatewayv2_integration.gateway", "google_cloud_run_v2_service_iam_member.invoker"),
        ("aws_apigatewayv2_stage.this", "aws_apigatewayv2_route.this"),
        ("aws_apigatewayv2_stage.this", "aws_apigatewayv2_route_response.this"),
        ("aws_apigatewayv2_stage.this", "aws_api_gateway_account.this"),
        ("google_project_iam_member.firestore", "google_service_account.function"),
        ("google_project_iam_member.firestore", "terraform_data.accounts_known"),
        ("google_cloudfunctions2_function.function", "terraform_data.accounts_known"),
        ("google_cloudfunctions2_function.function", "terraform_data.roles_known"),
        ("terraform_data.roles_known", "google_project_iam_member.builder_source"),
        ("google_monitoring_alert_policy.this", "terraform_data.metrics_known"),
        ("google_monitoring_slo.latency", "terraform_data.metrics_known"),
        ("google_pubsub_topic_iam_member.dead_letters", "terraform_data.pubsub_known"),
    ],
)
def test_a_resource_waits_for_another(
    edges: Mapping[str, set[str]], later: str, earlier: str
) -> None:
    reached, ahead = set[str](), [later]
    while ahead:
        ahead += edges[resource := ahead.pop()] - reached
        reached |= edges[resource]
    assert earlier in reached


# What the functions ask Firestore for


@pytest.mark.parametrize(
    ("collection", "field"),
    [
        (CONNECTIONS, "userId"),
        (CONNECTIONS, "admitBy"),
        (DEVICES, "userId"),
        (OUTBOX, "pendingSince"),
    ],
)
def test_what_is_asked_for_by_one_field_keeps_the_index_that_firestore_makes(
    report: Report, collection: str, field: str
) -> None:
    overridden = {
        (resource["values"]["collection"], resource["values"]["field"])
        for resource in report.deployed
        if resource["type"] == "google_firestore_field"
    }
    assert (OUTBOX, "expiresAt") in overridden
    assert not overridden & {(collection, field), (collection, "*"), ("__default__", "*")}


def test_whatever_is_ours_expires(report: Report) -> None:
    expiring = {
        resource["values"]["collection"]
        for resource in report.deployed
        if (resource["type"], resource["name"]) == ("google_firestore_field", "expires_at")
    }
    assert expiring == set(map(USUAL.named, OURS))


def test_calls_expire_by_the_field_that_ours_alone_have(report: Report) -> None:
    expiring = [
        (resource["values"]["collection"], resource["values"]["field"])
        for resource in report.deployed
        if (resource["type"], resource["name"]) == ("google_firestore_field", "call_expires_at")
    ]
    assert expiring == [("calls", EXPIRES_AT)]


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
    mapped = {
        name.removeprefix(HEADER).lower()
        for name in values["request_parameters"]
        if name.startswith(f"{HEADER}Unring-")
    }
    headers = RecordingHeaders(dict.fromkeys(mapped, ""))
    headers.now_has("unring-connection-id", "VNRUSeldSwMCIRQ=")
    headers.now_has("unring-event-type", "CONNECT")
    is_from_api_gateway(headers, ["the secret"])
    Forwarded.read(headers)
    handshake_in(headers)
    assert headers.read == mapped


@pytest.mark.parametrize("name", FILTERS)
def test_the_subscriptions_are_those_of_the_local_stack(report: Report, name: str) -> None:
    values = report.values("google_pubsub_subscription")[name]
    retry, dead_letters = values["retry_policy"][0], values["dead_letter_policy"][0]
    topics = {topic["id"]: topic["name"] for topic in report.values("google_pubsub_topic").values()}
    backoff = inspect.signature(topology.create_subscriptions).parameters["backoff"].default
    assert values["filter"] == FILTERS[name]
    assert values["ack_deadline_seconds"] == topology.ACK_SECONDS
    assert (seconds(retry["minimum_backoff"]), seconds(retry["maximum_backoff"])) == backoff
    assert dead_letters["max_delivery_attempts"] == topology.MAX_ATTEMPTS
    assert values["name"].startswith(f"unring-{name}")
    assert topics[values["topic"]] == f"unring-{topology.TOPIC}"
    assert topics[dead_letters["dead_letter_topic"]] == f"unring-{topology.DEAD_LETTERS}"


def test_the_subscriptions_deliver_what_is_published(report: Report) -> None:
    subscriptions = report.values("google_pubsub_subscription")
    filters = {name: subscriptions[name]["filter"] for name in FILTERS}
    assert filters == FILTERS


def test_the_queue_is_that_of_the_local_stack(report: Report) -> None:
    (retries,) = report.values("google_cloud_tasks_queue")["rings"]["retry_config"]
    backoff = inspect.signature(topology.create_queue).parameters["backoff"].default
    assert (seconds(retries["min_backoff"]), seconds(retries["max_backoff"])) == backoff
    assert retries["max_attempts"] == topology.TASK_ATTEMPTS
    assert seconds(retries["max_retry_duration"]) == topology.TASK_DURATION


def test_the_webhooks_subscriptions_are_those_of_the_local_stack(report: Report) -> None:
    defaults = inspect.signature(topology.create_subscriptions).parameters
    names = [webhook_name(url) for url in WEBHOOK_URLS]
    hundred = [topology.WEBHOOK_MAX_ATTEMPTS]
    for kind, urls, filter, backoff, attempts in (
        ("webhook", names, topology.WEBHOOK_FILTER, "webhook_backoff", hundred),
        ("wanted", names[:1], topology.WANTED_FILTER, "backoff", []),
    ):
        found = {
            resource["index"]: resource["values"]
            for resource in report.deployed
            if (resource["type"], resource["name"]) == ("google_pubsub_subscription", kind)
        }
        assert set(found) == set(urls)
        for values in found.values():
            retry = values["retry_policy"][0]
            assert values["filter"] == filter
            assert values["ack_deadline_seconds"] == topology.WEBHOOK_ACK_SECONDS
            limits = (seconds(retry["minimum_backoff"]), seconds(retry["maximum_backoff"]))
            assert limits == defaults[backoff].default
            tried = [each["max_delivery_attempts"] for each in values["dead_letter_policy"]]
            assert tried == attempts


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


def read_by(function: str) -> Collection[Variable]:
    """What our code reads."""
    return variables_of(FUNCTIONS[function]).values()


def environment(resources: list[dict[str, Any]], function: str) -> dict[str, str]:
    """What our code is told; Secret Manager's values, which nobody knows here, are made up."""
    values = values_of(resources, "google_cloudfunctions2_function")[function]["service_config"][0]
    keys = [secret["key"] for secret in values["secret_environment_variables"]]
    secrets = {key: f"whsec_{'x' * 48}" if "WEBHOOK" in key else "x" * 48 for key in keys}
    plain = plain_environment(resources, function)
    assert plain.pop("FUNCTION_USE_ASGI") == "true"  # functions-framework reads it
    return {**plain, **secrets}


def plain_environment(resources: list[dict[str, Any]], function: str) -> dict[str, str]:
    values = values_of(resources, "google_cloudfunctions2_function")[function]["service_config"][0]
    return dict(values["environment_variables"])


def seconds(duration: str) -> timedelta:
    return timedelta(seconds=float(duration.removesuffix("s")))
