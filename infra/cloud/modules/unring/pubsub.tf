resource "google_pubsub_topic" "events" {
  name       = "${var.name}-call-events"
  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = toset(["gateway", "api", "sweep"])

  topic  = google_pubsub_topic.events.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.function[each.key].member

  depends_on = [terraform_data.accounts_known]
}

locals {
  # What is pushed to a function, by the filter of its subscription.
  subscriptions_pushed = {
    deliver = "" # everything
    push    = "attributes.push = \"true\""
  }
  subscription_names = join("|", [for subscription in google_pubsub_subscription.push : subscription.name])
}

# Straight to the functions, not through Eventarc, whose subscriptions take neither a dead-letter
# topic nor a deadline. infra/local/topology.py says the same of the local stack.
resource "google_pubsub_subscription" "push" {
  for_each = local.subscriptions_pushed

  name                 = "${var.name}-${each.key}"
  topic                = google_pubsub_topic.events.id
  filter               = each.value
  ack_deadline_seconds = 20

  push_config {
    push_endpoint = google_cloudfunctions2_function.function[each.key].service_config[0].uri

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.function[each.key].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "10s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 10
  }

  expiration_policy {
    ttl = "" # never, however quiet it gets
  }
}

resource "google_pubsub_topic" "dead_letters" {
  name       = "${var.name}-call-events-dead"
  depends_on = [google_project_service.api]
}

resource "google_pubsub_subscription" "dead_letters" {
  name                       = "${var.name}-call-events-dead"
  topic                      = google_pubsub_topic.dead_letters.id
  message_retention_duration = "604800s" # a week to find out why, the longest that costs nothing more

  expiration_policy {
    ttl = ""
  }
}

# It is Pub/Sub itself that moves a dead letter: it publishes the copy and takes the original away.

locals {
  pubsub_agent = "serviceAccount:service-${data.google_project.this.number}@gcp-sa-pubsub.iam.gserviceaccount.com"
}

# With a project's first topic, Pub/Sub's own account comes to be, and is known some time later.
resource "terraform_data" "pubsub_known" {
  triggers_replace = [google_pubsub_topic.events.id, google_pubsub_topic.dead_letters.id]

  provisioner "local-exec" {
    command = "sleep ${var.settle_seconds}"
  }
}

resource "google_pubsub_topic_iam_member" "dead_letters" {
  topic  = google_pubsub_topic.dead_letters.name
  role   = "roles/pubsub.publisher"
  member = local.pubsub_agent

  depends_on = [terraform_data.pubsub_known]
}

resource "google_pubsub_subscription_iam_member" "dead_letters" {
  for_each = local.subscriptions_pushed

  subscription = google_pubsub_subscription.push[each.key].name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
  depends_on   = [terraform_data.pubsub_known]
}
