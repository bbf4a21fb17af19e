# Each alert is one query that is true of a time series while there is something to do.

locals {
  promised_ms = 100
  p99_of_told = "histogram_quantile(0.99, sum by (le) (increase(${local.logged.told_latency}_bucket{${local.on_run}}[5m])))"
  attempts    = "cloudtasks_googleapis_com:queue_task_attempt_count{monitored_resource=\"cloud_tasks_queue\",queue_id=\"${google_cloud_tasks_queue.rings.name}\""
  oldest      = "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age"
  # webhook answers with a 5xx whenever a backend does. Its subscriptions' age tells of it, and of itself.
  answering = "${local.requests},service_name!=\"${var.name}-webhook\""
  requests  = "run_googleapis_com:request_count{${local.on_run},service_name=~\"${local.every_service}\""

  # Of webhook's own subscriptions, where there are any: they age whether a backend does not answer or webhook itself fails.
  alerts_of_webhook = {
    waiting_webhooks = {
      title    = "Webhooks wait for more than 20 min"
      severity = "ERROR"
      query    = "${local.oldest}{monitored_resource=\"pubsub_subscription\",subscription_id=~\"${join("|", values(google_pubsub_subscription.webhook)[*].name)}\"}) > 1200"
      lasting  = "60s"
      text     = <<-EOT
        The oldest webhook of a URL has not been taken for 20 minutes: the database of the app's backend no longer follows what becomes of calls. After a hundred attempts, some 15 hours, it is a dead letter.

        1. If the alert "Webhooks are not taken" is there too, the backend does not take them: begin with that. If it is not, webhook itself fails.
        2. In Logs Explorer, look at webhook's log: `can't start` names a wrong variable, a disabled version of `webhook_secret` is named by Cloud Run itself, and `unknown webhook` says that WEBHOOK_URLS lacks the URL of a subscription.
        3. 403 in its request log means that Pub/Sub is not let in: compare the function's invokers with the subscription's service account, or apply again. Once the function answers, all come by themselves.
      EOT
    }
    waiting_pushes = {
      title    = "Pushes wait for the backend for more than 60 s"
      severity = "CRITICAL"
      query    = "${local.oldest}{monitored_resource=\"pubsub_subscription\",subscription_id=~\"${join("|", values(google_pubsub_subscription.wanted)[*].name)}\"}) > 60"
      lasting  = "60s"
      text     = <<-EOT
        The backend is to send the pushes, and for 60 s it has not been asked for one: phones without a socket do not ring, or ring on. webhook gives up such a request when its event expires, most after 30 s, so most often it is webhook itself that fails.

        1. In Logs Explorer, look at webhook's log: `webhook failed` says what the backend answers; `will be retried` alone names the service that fails webhook.
        2. Without either, webhook does not start or is not called: `can't start` names a wrong variable, a disabled version of `webhook_secret` is named by Cloud Run itself, and 403 in its request log means that Pub/Sub is not let in. Apply again.
        3. If it lasts, have Unring push: take "backend" out of `pushed_by`, and apply. It holds from the next event on; then the backend must not push.
      EOT
    }
  }
  alerts = merge({ for name, alert in local.alerts_of_webhook : name => alert if length(var.webhook_urls) > 0 }, local.alerts_always)
  alerts_always = {
    latency = {
      title    = "Signals are told late"
      severity = "WARNING"
      # The count beside the quantile: of three signals at night, the slowest is the p99.
      query   = "${local.p99_of_told} > ${local.promised_ms} and sum(increase(${local.logged.told_latency}_count{${local.on_run}}[5m])) > 5"
      lasting = "300s"
      text    = <<-EOT
        For five minutes, one signal in a hundred or more took longer than ${local.promised_ms} ms from API Gateway's receipt of its frame to the last direct POST: phones ring on after the call is over.

        1. On the dashboard, see whether instances of gateway were started at that time. If so, raise `min_instances` of gateway in `functions`.
        2. In Logs Explorer, look at the traces of `jsonPayload.message="told" jsonPayload.latencyMs>${local.promised_ms}`: they show whether Firestore or the POST took the time.
        3. Warnings `look-up failed` and `post failed` beside them name a service in trouble: see its status page. Nothing is lost meanwhile, as deliver comes again.
      EOT
    }
    dead_letters = {
      title    = "There are dead letters"
      severity = "ERROR"
      query    = "max(pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource=\"pubsub_subscription\",subscription_id=\"${google_pubsub_subscription.dead_letters.name}\"}) > 0"
      lasting  = "0s"
      text     = <<-EOT
        An event was delivered ${google_pubsub_subscription.push["deliver"].dead_letter_policy[0].max_delivery_attempts} times without success, or a webhook posted a hundred times. An event has expired since, or sweep has published it again: it must not be sent once more, but what it met may meet others. A webhook may: docs/operations.md says how.

        1. `gcloud pubsub subscriptions pull ${google_pubsub_subscription.dead_letters.name} --project=${var.project} --limit=10` shows the events; the attribute `CloudPubSubDeadLetterSourceSubscription` says which function failed.
        2. In Logs Explorer, search that function for the event's `signalId` or `connectionId`: `will be retried` and `delivery failed` say why.
        3. When the cause is mended, pull again with `--auto-ack`. The alert closes when none is left.
      EOT
    }
    backlog = {
      title    = "Events wait for more than 30 s"
      severity = "CRITICAL"
      query    = "${local.oldest}{monitored_resource=\"pubsub_subscription\",subscription_id=~\"${local.subscription_names}\"}) > 30"
      lasting  = "60s"
      text     = <<-EOT
        The oldest event of a subscription is not acknowledged after 30 s. An event lives until its ring would have ended, or for 30 s where nobody knows when that is: those that wait are dropped from now on, and whoever the gateway did not reach rings on.

        1. See which subscription it is, and in Logs Explorer what its function logs: `will be retried` names the service that fails it.
        2. If nothing is logged, Pub/Sub is not let in: compare the function's invokers with the subscription's service account (403 in its request log), or apply again.
        3. If the function has as many instances as it may, raise `max_instances` of it in `functions`.
      EOT
    }
    tasks = {
      title    = "Rings do not end by themselves"
      severity = "ERROR"
      query    = "sum(increase(${local.attempts},response_code!=\"ok\"}[5m])) > 5"
      lasting  = "120s"
      text     = <<-EOT
        Cloud Tasks calls ring to end what nobody has answered, and is not answered that it is done: phones ring on until they stop by themselves, and a caller waits for nobody. Each task is tried for ten minutes at least.

        1. In Logs Explorer, look at ring's log: `will be retried` names the service that fails it, and `delivery failed` has a fault of ours.
        2. If nothing is logged, Cloud Tasks is not let in: 401 or 403 in ring's request log means another audience or account. Compare TASKS_URL of ring with `gcloud run services describe ${google_cloudfunctions2_function.function["ring"].name} --region=${var.region} --project=${var.project}`, and its invokers with ${google_service_account.caller.email}, or apply again.
        3. `gcloud tasks list --queue=${google_cloud_tasks_queue.rings.name} --location=${var.region} --project=${var.project}` shows what waits, and how often each was tried.
      EOT
    }
    late_timeouts = {
      title    = "Rings end too late"
      severity = "ERROR"
      # Ten minutes, as a line may be counted some minutes late.
      query   = "sum(increase(${local.logged.late_timeouts}{${local.on_run}}[10m])) > 5"
      lasting = "0s"
      text    = <<-EOT
        In ten minutes, more than five rings ended over 20 s after their time. Sockets and webhooks were told; phones were not pushed, as a late push would silence the next call, so that a phone without a socket rang until it stopped by itself.

        1. If the alert "Rings do not end by themselves" is there too, ring fails or is not let in: begin with that.
        2. Else the tasks come late. `gcloud tasks queues describe ${google_cloud_tasks_queue.rings.name} --location=${var.region} --project=${var.project}` must say `RUNNING`; if it is paused, resume it. If ring has as many instances as it may, raise `max_instances` of it in `functions`.
        3. If sweep ended them (`overdue` in its lines `swept`), no task was made: look for `will be retried` in ring's log, and see Cloud Tasks' status page.
      EOT
    }
    overdue = {
      title    = "Rings are left to sweep"
      severity = "ERROR"
      # sweep says it once a minute. What one lost task leaves is seen once; here it is in two
      # minutes of five.
      query   = "sum(increase(${local.logged.overdue}_count{${local.on_run}}[5m])) > 1"
      lasting = "60s"
      text    = <<-EOT
        In two of five minutes, sweep found rings that had gone on for 5 s past their time, and had ring end them. They ended some seconds late; without sweep they would ring on. Their tasks were not made, did not come, or failed.

        1. In Logs Explorer, look at ring's log: `end scheduled` is there for each ring whose task was made. Without it, the published ring does not reach ring, or Cloud Tasks takes no task: `will be retried` says which.
        2. If the tasks are made, `gcloud tasks list --queue=${google_cloud_tasks_queue.rings.name} --location=${var.region} --project=${var.project}` shows what waits, and how often each was tried; if the queue is paused, resume it.
        3. If ring's log has no `ring timed out` of them either, it can't end them: `will be retried` names the service that fails it, and `delivery failed` has a fault of ours.
      EOT
    }
    outbox = {
      title    = "Outbox entries stay pending"
      severity = "ERROR"
      # sweep says it once a minute. An entry that a crash left is seen old once; here it is in two
      # minutes of five.
      query   = "histogram_quantile(0.7, sum by (le) (increase(${local.logged.outbox_age}_bucket{${local.on_run}}[5m]))) > 30000"
      lasting = "60s"
      text    = <<-EOT
        In two of five minutes, sweep found an entry in the outbox that had been pending for more than 30 s. One crash makes one; this says that events are committed but not published, or not delivered to the end.

        1. Look for other alerts first: dead letters and waiting events say that deliver fails, and the entries are only their shadow.
        2. Else gateway can't publish: look for `frame failed` and `delivery failed` in its log and in deliver's.
        3. `expired` in deliver's and push's logs counts what nobody could be told any more.
      EOT
    }
    unreadable = {
      title    = "Outbox entries are unreadable"
      severity = "ERROR"
      # Ten minutes, as a line may be counted some minutes late.
      query   = "sum(increase(${local.logged.unreadable}{${local.on_run}}[10m])) > 0"
      lasting = "0s"
      text    = <<-EOT
        sweep found a document in the collection `outbox` that is no event as it knows them, and removed it. If it was an event, whoever gateway and deliver have not told by now never hears of it. Either a version was rolled back over the entries of a later one, or somebody else writes into our collection.

        1. In Logs Explorer, look for `jsonPayload.message="unreadable entry"` in sweep's log: `entry` is the document's id, CALL:SIGNAL where it is ours, and `error` says what is wrong with it.
        2. If revisions were changing at that time, the entries were the other version's. They end within minutes, as no event lives longer; if more come, an old revision still has traffic: `gcloud run services describe ${google_cloudfunctions2_function.function["gateway"].name} --region=${var.region} --project=${var.project}` shows which.
        3. Else somebody else may write: `gcloud projects get-iam-policy ${var.project}` shows who has a role for Firestore. Take it away, or have them write elsewhere.
      EOT
    }
    refused_pushes = {
      title    = "FCM refuses our messages"
      severity = "ERROR"
      # Ten minutes, as a line may be counted some minutes late.
      query   = "sum(increase(${local.logged.refused_pushes}_count{${local.on_run}}[10m])) > 0"
      lasting = "0s"
      text    = <<-EOT
        FCM refused a message and will refuse it again, so that a phone without a socket rings on. The device stays registered: the fault may be ours.

        1. In Logs Explorer, look for `jsonPayload.message="push failed"` in push's log: `error` says what FCM's SDK calls it, `device` whose it is.
        2. `SenderIdMismatchError` means that the device's token belongs to another Firebase project than ${var.project}. If it is so for many devices, the app was built with another project's configuration, or this is the wrong project; if for one, somebody registered a token that is not this app's.
        3. `InvalidArgumentError` means that FCM does not like what we send: look for what changed with the last deployment, and roll back if it did.
      EOT
    }
    webhooks = {
      title    = "Webhooks are not taken"
      severity = "ERROR"
      query    = "sum(increase(${local.logged.webhooks_failed}{${local.on_run}}[10m])) > 0"
      lasting  = "600s"
      text     = <<-EOT
        For twenty minutes or so, the app's backend has not taken webhooks: its database no longer follows what becomes of calls. Each is tried for some 15 hours, with up to ten minutes between; then it is a dead letter. Pushes that the backend is to send are lost meanwhile.

        1. In Logs Explorer, look for `jsonPayload.message="webhook failed"`: `status` and `error` say what the backend answers, `host` which it is.
        2. `401` or `403` most often means another secret: compare the version of `webhook_secret` with the backend's. `nothing is sent to` means that the URL's name leads to a private address.
        3. Once the backend takes them, all come by themselves. Past the 15 hours, docs/operations.md says how to send dead letters once more.
      EOT
    }
    unwanted_webhooks = {
      title    = "A backend wants no webhooks"
      severity = "ERROR"
      # Ten minutes, as a line may be counted some minutes late.
      query   = "sum(increase(${local.logged.webhooks_unwanted}{${local.on_run}}[10m])) > 0"
      lasting = "0s"
      text    = <<-EOT
        A URL of `webhook_urls` answered 410: it says that it wants no more webhooks, so what it answered so is not sent again. Its database no longer follows.

        1. In Logs Explorer, look for `jsonPayload.message="webhook unwanted"`: `host` says which backend it is.
        2. If it is meant so, take the URL out of `webhook_urls` and apply.
        3. If it is not, mend the backend. What it missed is in the log by `callId`: `GET /v1/calls/{id}` says how each call stands.
      EOT
    }
    sweep = {
      title    = "The outbox is not swept"
      severity = "ERROR"
      # Only what succeeded counts: of one call a minute, the alert on errors sees too few.
      query   = "absent_over_time(run_googleapis_com:request_count{${local.on_run},service_name=\"${google_cloudfunctions2_function.function["sweep"].name}\",response_code_class=\"2xx\"}[10m])"
      lasting = "300s"
      text    = <<-EOT
        No call of sweep succeeded for more than ten minutes: it is not called, or it fails. What a crash leaves in the outbox is not published again.

        1. In Logs Explorer, look for `look failed` in sweep's log: its `error` or `exception` says whether Firestore or Pub/Sub refuses. If other functions log the same, see that service's status page.
        2. Without any log of sweep, `gcloud scheduler jobs describe ${google_cloud_scheduler_job.sweep.name} --location=${var.region} --project=${var.project}` shows the state and the last attempt's status. If it is paused, resume it.
        3. With the status 7 (permission denied), the caller's account may not invoke sweep, and with 5 (not found) there is no such function: apply again.
      EOT
    }
    errors = {
      title    = "Functions answer with errors"
      severity = "ERROR"
      # The count beside the share: of three requests at night, one is no trend.
      query   = "sum by (service_name) (increase(${local.answering},response_code_class=\"5xx\"}[5m])) / sum by (service_name) (increase(${local.answering}}[5m])) > 0.05 and sum by (service_name) (increase(${local.answering},response_code_class=\"5xx\"}[5m])) > 5"
      lasting = "120s"
      text    = <<-EOT
        More than 5 % of a function's requests ended with a 5xx. Of deliver, push and ring these are deliveries that come again; of gateway they are clients who were refused or cut off. sweep is called too seldom to be counted here, and webhook answers so whenever a backend does: each has an alert of its own.

        1. In Logs Explorer, look at the errors of that function: `error` and `exception` say what it could not reach.
        2. If it began with a deployment, roll back as docs/operations.md says.
        3. If there are no lines of ours beside the 5xx, instances are missing or die: see the dashboard for their number, and the log for "memory limit", then raise `max_instances` or `memory` of it in `functions`.
      EOT
    }
  }
}

resource "google_monitoring_alert_policy" "this" {
  for_each = local.alerts

  display_name          = "Unring: ${each.value.title}"
  combiner              = "OR"
  severity              = each.value.severity
  notification_channels = var.notification_channels
  depends_on            = [terraform_data.metrics_known]

  conditions {
    display_name = each.value.title

    condition_prometheus_query_language {
      query               = each.value.query
      duration            = each.value.lasting
      evaluation_interval = "30s"

      # A metric is there only some minutes after what it is made from, and an empty project has none.
      disable_metric_validation = true
    }
  }

  documentation {
    subject   = "Unring in ${var.project}: ${each.value.title}"
    content   = each.value.text
    mime_type = "text/markdown"
  }

  alert_strategy {
    auto_close = "1800s"
  }
}
