resource "google_pubsub_topic" "events" {
  name       = "${var.name}-call-events"
  depends_on = [google_project_service.api]
}

resource "google_pubsub_topic_iam_member" "publisher" {
  for_each = toset(["gateway", "api", "push", "ring", "sweep"])

  topic  = google_pubsub_topic.events.name
  role   = "roles/pubsub.publisher"
  member = google_service_account.function[each.key].member

  depends_on = [terraform_data.accounts_known]
}

locals {
  # What is pushed to a function. A filter can't be changed: with a new one a subscription needs a new name, too, so
  # that it is there before the old one goes, and no event falls between them.
  subscriptions_pushed = {
    deliver = { name = "${var.name}-deliver-2", filter = "NOT attributes:only" } # whatever is not for one other function alone
    push    = { name = "${var.name}-push", filter = "attributes.push = \"true\"" }
    ring    = { name = "${var.name}-ring", filter = "attributes.ring = \"true\"" }
  }
  # The URLs that webhook posts to, by the names that functions/settings.py gives them: one that moves in the list
  # keeps its subscriptions.
  webhooks           = { for url in var.webhook_urls : substr(sha256(url), 0, 16) => url }
  subscription_names = join("|", [for subscription in google_pubsub_subscription.push : subscription.name])
}

# Straight to the functions, not through Eventarc, whose subscriptions take neither a dead-letter
# topic nor a deadline. infra/local/topology.py says the same of the local stack.
resource "google_pubsub_subscription" "push" {
  for_each = local.subscriptions_pushed

  name                 = each.value.name
  topic                = google_pubsub_topic.events.id
  filter               = each.value.filter
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

  lifecycle {
    create_before_destroy = true
  }
}

# What the app's own backend is told. It may be down for long: a hundred attempts are some 15 hours, and then it is a
# dead letter. Nothing is dropped for being late.
resource "google_pubsub_subscription" "webhook" {
  for_each = local.webhooks

  name                 = "${var.name}-webhook-${each.key}"
  topic                = google_pubsub_topic.events.id
  filter               = "attributes.webhook = \"true\""
  ack_deadline_seconds = 30

  push_config {
    push_endpoint = "${google_cloudfunctions2_function.function["webhook"].service_config[0].uri}/${each.key}"

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.function["webhook"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "10s"
    maximum_backoff = "600s"
  }

  dead_letter_policy {
    dead_letter_topic     = google_pubsub_topic.dead_letters.id
    max_delivery_attempts = 100
  }

  expiration_policy {
    ttl = ""
  }
}

# What a backend is to push: the first URL's alone, as a phone that two push to rings, or falls silent, twice. It is tried
# often until the event expires, when webhook acknowledges it, and is never a dead letter: a late push would silence the
# next call.
resource "google_pubsub_subscription" "wanted" {
  for_each = { for key, url in local.webhooks : key => url if url == try(var.webhook_urls[0], null) }

  name                       = "${var.name}-wanted-${each.key}"
  topic                      = google_pubsub_topic.events.id
  filter                     = "attributes.wanted = \"true\""
  ack_deadline_seconds       = 30
  message_retention_duration = "600s" # the shortest that there is

  push_config {
    push_endpoint = "${google_cloudfunctions2_function.function["webhook"].service_config[0].uri}/${each.key}/wanted"

    oidc_token {
      service_account_email = google_service_account.caller.email
      audience              = google_cloudfunctions2_function.function["webhook"].service_config[0].uri
    }
  }

  retry_policy {
    minimum_backoff = "1s"
    maximum_backoff = "10s"
  }

  expiration_policy {
    ttl = ""
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
  for_each = merge(google_pubsub_subscription.push, google_pubsub_subscription.webhook)

  subscription = each.value.name
  role         = "roles/pubsub.subscriber"
  member       = local.pubsub_agent
  depends_on   = [terraform_data.pubsub_known]
}
