# Who acts. What each may do stands beside the resource it may do it to.

resource "google_service_account" "function" {
  for_each = toset(keys(var.functions))

  account_id   = "${var.name}-${each.key}"
  display_name = "Unring: the function ${each.key}"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "caller" {
  account_id   = "${var.name}-caller"
  display_name = "Unring: who Pub/Sub and Cloud Scheduler say they are"
  depends_on   = [google_project_service.api]
}

# Projects from before April 2021 need this; in others it only repeats what Pub/Sub has.
resource "google_service_account_iam_member" "pubsub_speaks_for_caller" {
  service_account_id = google_service_account.caller.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
  depends_on         = [google_pubsub_topic.events] # with the first topic, Pub/Sub's own account is there
}

resource "google_service_account" "builder" {
  account_id   = "${var.name}-builder"
  display_name = "Unring: builds the functions' images"
  depends_on   = [google_project_service.api]
}
