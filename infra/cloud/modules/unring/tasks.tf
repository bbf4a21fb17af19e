# When a ring ends by itself: `ring` schedules it, and is called when it is time. infra/local/topology.py says the same
# of the local stack.

# A queue that was deleted leaves its name taken for some days: https://cloud.google.com/tasks/docs/deleting-appengine-queues-and-tasks
resource "google_cloud_tasks_queue" "rings" {
  name       = "${var.name}-rings"
  location   = var.region
  depends_on = [google_project_service.api]

  rate_limits {
    max_dispatches_per_second = 500 # the most that a queue may
    max_concurrent_dispatches = min(5000, var.functions["ring"].concurrency * var.functions["ring"].max_instances)
  }

  # A ring that ends some minutes late is still worth it: both parties are free again. Cloud Tasks gives up only when
  # both limits are reached.
  retry_config {
    max_attempts       = 10
    max_retry_duration = "600s"
    min_backoff        = "1s"
    max_backoff        = "10s"
  }
}

resource "google_cloud_tasks_queue_iam_member" "ring" {
  name       = google_cloud_tasks_queue.rings.name
  location   = google_cloud_tasks_queue.rings.location
  role       = "roles/cloudtasks.enqueuer"
  member     = google_service_account.function["ring"].member
  depends_on = [terraform_data.accounts_known]
}

# Who makes a task that bears an account's token must be allowed to act as that account.
resource "google_service_account_iam_member" "ring_acts_as_caller" {
  service_account_id = google_service_account.caller.name
  role               = "roles/iam.serviceAccountUser"
  member             = google_service_account.function["ring"].member
  depends_on         = [terraform_data.accounts_known]
}

locals {
  scheduling = {
    TASKS_QUEUE = "projects/${var.project}/locations/${google_cloud_tasks_queue.rings.location}/queues/${google_cloud_tasks_queue.rings.name}"
    # Its own URL, which a function can't be told by a reference to itself: the one of Cloud Run's that can be known before
    # (https://cloud.google.com/run/docs/triggering/https-request#deterministic).
    TASKS_URL             = "https://${var.name}-ring-${data.google_project.this.number}.${var.region}.run.app"
    TASKS_SERVICE_ACCOUNT = google_service_account.caller.email
  }
}
