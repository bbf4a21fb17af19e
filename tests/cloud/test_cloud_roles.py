"""Who may do what in both clouds: each account exactly what it needs."""

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import pytest

from functions.settings import webhook_name
from tests.cloud.support import WEBHOOK_URLS, Report

pytestmark = pytest.mark.timeout(300)  # Terraform starts its providers again and again


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
    publish = ("topic unring-call-events", "roles/pubsub.publisher")
    secret = ("secret unring-gateway", "roles/secretmanager.secretAccessor")
    rings = ("secret unring-ring-token", "roles/secretmanager.secretAccessor")
    hooks = ("secret app-webhooks", "roles/secretmanager.secretAccessor")
    webhooks = {f"webhook-{webhook_name(url)}" for url in WEBHOOK_URLS}
    assert roles == {
        "gateway": {store, publish, secret, rings},
        "api": {store, publish, rings},
        "deliver": {store},
        "push": {store, publish, rings, ("project", "sends FCM")},
        "webhook": {store, hooks, rings},
        "ring": {
            *(store, publish),
            ("queue unring-rings", "roles/cloudtasks.enqueuer"),
            ("account unring-caller", "roles/iam.serviceAccountUser"),
        },
        "sweep": {store, publish},
        "allUsers": {
            (f"service unring-{name}", "roles/run.invoker") for name in ("gateway", "api")
        },
        "caller": {
            (f"service unring-{name}", "roles/run.invoker")
            for name in ("deliver", "push", "webhook", "ring", "sweep")
        },
        "builder": {
            ("project", "roles/logging.logWriter"),
            ("project if functions' sources", "roles/storage.objectViewer"),
            ("repository unring-functions", "roles/artifactregistry.writer"),
        },
        "Pub/Sub": {
            ("account unring-caller", "roles/iam.serviceAccountOpenIdTokenCreator"),
            ("topic unring-call-events-dead", "roles/pubsub.publisher"),
            *(
                (f"subscription unring-{name}", "roles/pubsub.subscriber")
                for name in ("deliver-2", "push", "ring", *webhooks)
            ),
        },
    }


def test_there_is_one_aws_role_with_one_policy(report: Report) -> None:
    kinds = sorted(r["type"] for r in report.deployed if r["type"].startswith("aws_iam"))
    assert kinds == ["aws_iam_role", "aws_iam_role_policy"]


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
        case "cloud_tasks_queue":
            return f"queue {values['name']}"
        case "artifact_registry_repository":
            return f"repository {values['repository']}"
        case "service_account":
            return f"account {values['service_account_id'].rpartition('/')[2].partition('@')[0]}"
        case "secret_manager_secret":
            return f"secret {values['secret_id'].rpartition('/')[2]}"
        case other:
            return str(other)
