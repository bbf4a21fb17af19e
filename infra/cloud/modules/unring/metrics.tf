# Metrics from the functions' log lines, which docs/architecture.md lists.

locals {
  # Milliseconds. A bound lies on the promise, so that its share is counted and not guessed.
  latency_bounds = concat(range(10, 200, 10), [200, 250, 300, 400, 500, 750, 1000, 2000, 5000, 10000])
  count_bounds   = [1, 2, 5, 10, 20, 50, 100]

  # `value` makes a distribution of that field; without it, lines are counted.
  log_metrics = {
    told_latency = {
      description = "From API Gateway's receipt of a frame to the last direct POST, where a socket was open"
      function    = "gateway"
      message     = "told"
      only        = "(jsonPayload.served>0 OR jsonPayload.unserved>0)"
      value       = "latencyMs"
      unit        = "ms"
      bounds      = local.latency_bounds
      labels      = ["outcome"]
    }
    verdicts = {
      description = "What became of the clients' requests"
      message     = "verdict"
      labels      = ["request", "outcome"]
    }
    changes = {
      description = "Calls that began to ring, and what became of them"
      message     = "told"
      labels      = ["outcome", "cause"]
    }
    told_elsewhere = {
      description = "Sockets told at once that their user has answered or declined elsewhere"
      message     = "told"
      only        = "jsonPayload.elsewhere>0"
      value       = "elsewhere"
      unit        = "1"
      bounds      = local.count_bounds
    }
    delivered_elsewhere = {
      description = "Sockets told the same by deliver"
      function    = "deliver"
      message     = "delivered"
      only        = "jsonPayload.elsewhere>0"
      value       = "elsewhere"
      unit        = "1"
      bounds      = local.count_bounds
    }
    pushed_elsewhere = {
      description = "Phones pushed the same"
      function    = "push"
      message     = "pushed"
      only        = "jsonPayload.elsewhere>0"
      value       = "elsewhere"
      unit        = "1"
      bounds      = local.count_bounds
    }
    withheld_answers = {
      description = "Answers of which no phone was pushed, as nobody knew on which device they were given"
      message     = "told"
      only        = "jsonPayload.withheld>0"
    }
    withheld_phones = {
      description = "Phones that were not pushed an answer elsewhere, as it may have been given on them"
      function    = "push"
      message     = "pushed"
      only        = "jsonPayload.withheld>0"
      value       = "withheld"
      unit        = "1"
      bounds      = local.count_bounds
    }
    born_cancelled = {
      description = "Calls whose cancel came before them, so that they rang nobody"
      message     = "born cancelled"
    }
    late_timeouts = {
      description = "Rings that ended more than 20 s after their time"
      function    = "ring"
      message     = "late time-out"
    }
    overdue = {
      description = "Rings that sweep had to have ended"
      function    = "sweep"
      message     = "swept"
      only        = "jsonPayload.overdue>0"
      value       = "overdue"
      unit        = "1"
      bounds      = local.count_bounds
    }
    opening_latency = {
      description = "From a Socket.IO client's handshake to its open packet"
      function    = "deliver"
      message     = "opened"
      value       = "latencyMs"
      unit        = "ms"
      bounds      = local.latency_bounds
      labels      = ["wire"]
    }
    expired = {
      description = "Events that came too late, and were dropped"
      message     = "expired"
    }
    dead_connections = {
      description = "Connections found closed when an event was delivered"
      function    = "deliver"
      message     = "delivered"
      only        = "jsonPayload.dead>0"
      value       = "dead"
      unit        = "1"
      bounds      = local.count_bounds
    }
    dead_tokens = {
      description = "FCM tokens found dead when a message was sent, and deleted"
      function    = "push"
      message     = "pushed"
      only        = "jsonPayload.dead>0"
      value       = "dead"
      unit        = "1"
      bounds      = local.count_bounds
    }
    refused_pushes = {
      description = "Messages that FCM will not take, of which trying again would not help"
      function    = "push"
      message     = "pushed"
      only        = "jsonPayload.refused>0"
      value       = "refused"
      unit        = "1"
      bounds      = local.count_bounds
    }
    webhooks_failed = {
      description = "Webhooks that the app's backend did not take, each time they were posted"
      function    = "webhook"
      message     = "webhook failed"
    }
    webhooks_unwanted = {
      description = "Webhooks that were answered with 410, and are not posted again"
      function    = "webhook"
      message     = "webhook unwanted"
    }
    outbox_age = {
      description = "For how long the oldest outbox entry that a call of sweep saw had been pending"
      function    = "sweep"
      message     = "swept"
      value       = "oldestMs"
      unit        = "ms"
      bounds      = [for seconds in [1, 5, 10, 15, 20, 25, 30, 40, 50, 60, 90, 120, 300, 3600] : seconds * 1000]
    }
    unreadable = {
      description = "Outbox entries that nobody could read, and that were removed"
      function    = "sweep"
      message     = "unreadable entry"
    }
  }

  every_service = join("|", [for function in google_cloudfunctions2_function.function : function.name])

  # The same metrics as Prometheus' query language names them.
  logged = { for name in keys(local.log_metrics) : name => "logging_googleapis_com:user_${replace(var.name, "-", "_")}_${name}" }
  on_run = "monitored_resource=\"cloud_run_revision\""
}

resource "google_logging_metric" "this" {
  for_each = local.log_metrics

  name        = "${var.name}/${each.key}"
  description = each.value.description
  depends_on  = [google_project_service.api]

  filter = join(" AND ", compact([
    "resource.type=\"cloud_run_revision\"",
    try("resource.labels.service_name=\"${var.name}-${each.value.function}\"", "resource.labels.service_name=~\"^${var.name}-\""),
    "jsonPayload.message=\"${each.value.message}\"",
    try(each.value.only, ""),
  ]))

  value_extractor  = try("EXTRACT(jsonPayload.${each.value.value})", null)
  label_extractors = { for label in try(each.value.labels, []) : label => "EXTRACT(jsonPayload.${label})" }

  metric_descriptor {
    metric_kind = "DELTA"
    value_type  = can(each.value.value) ? "DISTRIBUTION" : "INT64"
    unit        = try(each.value.unit, "1")

    dynamic "labels" {
      for_each = try(each.value.labels, [])

      content {
        key        = labels.value
        value_type = "STRING"
      }
    }
  }

  dynamic "bucket_options" {
    for_each = try([each.value.bounds], [])

    content {
      explicit_buckets {
        bounds = bucket_options.value
      }
    }
  }
}

# A new metric is not known at once to who asks for it by its name.
resource "terraform_data" "metrics_known" {
  triggers_replace = [for metric in google_logging_metric.this : metric.name]

  provisioner "local-exec" {
    command = "sleep ${var.settle_seconds}"
  }
}
