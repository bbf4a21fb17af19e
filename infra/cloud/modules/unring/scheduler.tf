resource "google_cloud_scheduler_job" "sweep" {
  name             = "${var.name}-sweep"
  region           = var.region
  description      = "Republishes what a crash left in the outbox"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "180s" # more than the function's own time-out, so that its answer is seen

  http_target {
    http_method = "POST"
    uri         = google_cloudfunctions2_function.function["sweep"].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.function["sweep"].service_config[0].uri
    }
  }

  retry_config {
    retry_count = 0 # the next minute is soon enough
  }
}

# A GET opens an instance's channels before the first frame needs them (functions/warmup.py). These
# find an instance that a deployment or Google has replaced within a minute, and answer at once
# otherwise. One that is added under load still warms up by its first frame: a function has no
# startup probe that one could set.
resource "google_cloud_scheduler_job" "warm_up" {
  for_each = toset(["gateway", "deliver"])

  name             = "${var.name}-warm-up-${each.key}"
  region           = var.region
  description      = "Warms ${each.key} up"
  schedule         = "* * * * *"
  time_zone        = "Etc/UTC"
  attempt_deadline = "30s"

  http_target {
    http_method = "GET"
    uri         = google_cloudfunctions2_function.function[each.key].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.function[each.key].service_config[0].uri
    }
  }

  retry_config {
    retry_count = 0
  }
}
