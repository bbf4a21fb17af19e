# Two charts a row: what the user feels first, then what works for it.

locals {
  subscriptions = "monitored_resource=\"pubsub_subscription\""

  charts = [
    {
      title   = "From frame to POST, ms"
      queries = { for name, share in { p50 = 0.5, p99 = 0.99 } : name => "histogram_quantile(${share}, sum by (le) (increase(${local.logged.told_latency}_bucket{${local.on_run}}[5m])))" }
    },
    {
      title   = "Verdicts, by request and outcome"
      queries = { "$${request} $${outcome}" = "sum by (request, outcome) (increase(${local.logged.verdicts}{${local.on_run}}[5m]))" }
    },
    {
      title   = "Rings, and what became of them, by cause"
      queries = { "$${outcome} $${cause}" = "sum by (outcome, cause) (increase(${local.logged.changes}{${local.on_run}}[5m]))" }
    },
    {
      title = "Rings that did not end in time, or never began"
      queries = {
        "late time-outs" = "sum(increase(${local.logged.late_timeouts}{${local.on_run}}[5m]))"
        "left to sweep"  = "sum(increase(${local.logged.overdue}_sum{${local.on_run}}[5m]))"
        "born cancelled" = "sum(increase(${local.logged.born_cancelled}{${local.on_run}}[5m]))"
      }
    },
    {
      title = "Silenced elsewhere"
      queries = {
        "sockets, at once"    = "sum(increase(${local.logged.told_elsewhere}_sum{${local.on_run}}[5m]))"
        "sockets, by deliver" = "sum(increase(${local.logged.delivered_elsewhere}_sum{${local.on_run}}[5m]))"
        "phones"              = "sum(increase(${local.logged.pushed_elsewhere}_sum{${local.on_run}}[5m]))"
      }
    },
    {
      title = "Pushes withheld, as the device was not known"
      queries = {
        "answers" = "sum(increase(${local.logged.withheld_answers}{${local.on_run}}[5m]))"
        "phones"  = "sum(increase(${local.logged.withheld_phones}_sum{${local.on_run}}[5m]))"
      }
    },
    {
      title   = "Opening a Socket.IO session, ms"
      queries = { for name, share in { p50 = 0.5, p99 = 0.99 } : name => "histogram_quantile(${share}, sum by (le) (increase(${local.logged.opening_latency}_bucket{${local.on_run}}[5m])))" }
    },
    {
      title   = "Dropped as expired, by function"
      queries = { "$${service_name}" = "sum by (service_name) (increase(${local.logged.expired}{${local.on_run}}[5m]))" }
    },
    {
      title   = "Age of the oldest event that waits, s"
      queries = { "$${subscription_id}" = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{${local.subscriptions},subscription_id=~\"${local.subscription_names}\"})" }
    },
    {
      title   = "Dead letters"
      queries = { "waiting" = "max(pubsub_googleapis_com:subscription_num_undelivered_messages{${local.subscriptions},subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"})" }
    },
    {
      title   = "Attempts to end a ring, by answer"
      queries = { "$${response_code}" = "sum by (response_code) (increase(${local.attempts}}[5m]))" }
    },
    {
      title   = "Age of the oldest pending outbox entry, ms"
      queries = { "seen by sweep" = "histogram_quantile(1, sum by (le) (increase(${local.logged.outbox_age}_bucket{${local.on_run}}[5m])))" }
    },
    {
      title   = "Outbox entries that nobody could read"
      queries = { "removed by sweep" = "sum(increase(${local.logged.unreadable}{${local.on_run}}[5m]))" }
    },
    {
      title   = "Messages that FCM refused"
      queries = { "by push" = "sum(increase(${local.logged.refused_pushes}_sum{${local.on_run}}[5m]))" }
    },
    {
      title = "Webhooks that were not taken"
      queries = {
        "come again"      = "sum(increase(${local.logged.webhooks_failed}{${local.on_run}}[5m]))"
        "answered by 410" = "sum(increase(${local.logged.webhooks_unwanted}{${local.on_run}}[5m]))"
      }
    },
    {
      title = "Found dead"
      queries = {
        connections  = "sum(increase(${local.logged.dead_connections}_sum{${local.on_run}}[5m]))"
        "FCM tokens" = "sum(increase(${local.logged.dead_tokens}_sum{${local.on_run}}[5m]))"
      }
    },
    {
      title   = "Requests, by function and class of answer"
      queries = { "$${service_name} $${response_code_class}" = "sum by (service_name, response_code_class) (increase(${local.requests}}[5m]))" }
    },
    {
      title   = "Time of an answer, p99, ms"
      queries = { "$${service_name}" = "histogram_quantile(0.99, sum by (service_name, le) (increase(run_googleapis_com:request_latencies_bucket{${local.on_run},service_name=~\"${local.every_service}\"}[5m])))" }
    },
    {
      title   = "Instances"
      queries = { "$${service_name} $${state}" = "sum by (service_name, state) (run_googleapis_com:container_instance_count{${local.on_run},service_name=~\"${local.every_service}\"})" }
    },
  ]
}

resource "google_monitoring_dashboard" "this" {
  dashboard_json = jsonencode({
    displayName = var.name == "unring" ? "Unring" : "Unring: ${var.name}"
    mosaicLayout = {
      columns = 48
      tiles = [for number, chart in local.charts : merge(
        # Google leaves out a position of 0, and Terraform would put it back by each apply.
        { for axis, position in { xPos = number % 2 * 24, yPos = floor(number / 2) * 16 } : axis => position if position > 0 },
        {
          width  = 24
          height = 16
          widget = {
            title = chart.title
            xyChart = {
              dataSets = [for legend, query in chart.queries : {
                plotType        = "LINE"
                legendTemplate  = legend
                timeSeriesQuery = { prometheusQuery = query }
              }]
            }
          }
      })]
    }
  })
  depends_on = [google_project_service.api]
}
