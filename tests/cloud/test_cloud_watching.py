"""What is watched: metrics, queries and alerts read what the functions really say."""

import json
import re

import pytest

from infra import ROOT
from tests.cloud.support import Report

pytestmark = pytest.mark.timeout(300)  # Terraform starts its providers again and again

# What is read of Google's own metrics, as PromQL names them, and on which resource they are:
# https://cloud.google.com/monitoring/api/metrics_gcp
GOOGLES_METRICS = {
    "cloudtasks_googleapis_com:queue_task_attempt_count": "cloud_tasks_queue",
    "pubsub_googleapis_com:subscription_num_undelivered_messages": "pubsub_subscription",
    "pubsub_googleapis_com:subscription_oldest_unacked_message_age": "pubsub_subscription",
    "run_googleapis_com:container_instance_count": "cloud_run_revision",
    "run_googleapis_com:request_count": "cloud_run_revision",
    "run_googleapis_com:request_latencies_bucket": "cloud_run_revision",  # a distribution
}


def test_every_metric_reads_what_the_functions_log(report: Report) -> None:
    logged = documented_logs()
    for values in report.values("google_logging_metric").values():
        assert 'resource.type="cloud_run_revision"' in values["filter"].split(" AND ")
        (message,) = re.findall(r'jsonPayload\.message="([^"]+)"', values["filter"])
        service = re.findall(r'service_name="unring-(\w+)"', values["filter"])
        read = set(re.findall(r"jsonPayload\.(\w+)", json.dumps(values))) - {"message"}
        functions = service or [function for function, name in logged if name == message]
        assert functions, f"nobody logs {message!r}"
        for function in functions:
            assert read <= logged[function, message], values["name"]


def test_every_query_reads_a_metric_that_there_is(report: Report) -> None:
    readable = dict(GOOGLES_METRICS)
    for values in report.values("google_logging_metric").values():
        name = "logging_googleapis_com:user_" + re.sub(r"\W", "_", values["name"])
        is_distribution = values["metric_descriptor"][0]["value_type"] == "DISTRIBUTION"
        for suffix in ("_bucket", "_sum", "_count") if is_distribution else ("",):
            readable[name + suffix] = "cloud_run_revision"
    for query in promql(report):
        selectors = re.findall(r'([\w:]+)\{(?:monitored_resource="(\w+)")?', query)
        assert selectors, query
        assert set(selectors) <= readable.items(), query


def promql(report: Report) -> list[str]:
    """All queries, of the alerts and of the dashboard's charts."""
    (dashboard,) = report.values("google_monitoring_dashboard").values()
    tiles = json.loads(dashboard["dashboard_json"])["mosaicLayout"]["tiles"]
    return [
        *(
            policy["conditions"][0]["condition_prometheus_query_language"][0]["query"]
            for policy in report.values("google_monitoring_alert_policy").values()
        ),
        *(
            data["timeSeriesQuery"]["prometheusQuery"]
            for tile in tiles
            for data in tile["widget"]["xyChart"]["dataSets"]
        ),
    ]


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
