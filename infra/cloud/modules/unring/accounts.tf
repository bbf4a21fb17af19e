# Who acts. What each may do stands beside the resource it may do it to.

locals {
  # webhook is there only if somebody is to be told.
  function_names = concat(["gateway", "api", "deliver", "push", "ring", "sweep"], length(var.webhook_urls) > 0 ? ["webhook"] : [])
}

resource "google_service_account" "function" {
  for_each = toset(local.function_names)

  account_id   = "${var.name}-${each.key}"
  display_name = "Unring: the function ${each.key}"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "caller" {
  account_id   = "${var.name}-caller"
  display_name = "Unring: who Pub/Sub, Cloud Tasks and Cloud Scheduler say they are"
  depends_on   = [google_project_service.api]
}

resource "google_service_account" "builder" {
  account_id   = "${var.name}-builder"
  display_name = "Unring: builds the functions' images"
  depends_on   = [google_project_service.api]
}

# A new account is not known everywhere at once: who grants it a role, or acts as it, before that is told
# that there is no such account. Whoever does so waits for this.
resource "terraform_data" "accounts_known" {
  triggers_replace = [
    for account in concat(values(google_service_account.function), [google_service_account.caller, google_service_account.builder]) :
    account.unique_id
  ]

  provisioner "local-exec" {
    command = "sleep ${var.settle_seconds}"
  }
}

# Projects from before April 2021 need this; in others it only repeats what Pub/Sub has.
resource "google_service_account_iam_member" "pubsub_speaks_for_caller" {
  service_account_id = google_service_account.caller.name
  role               = "roles/iam.serviceAccountOpenIdTokenCreator"
  member             = local.pubsub_agent
  depends_on         = [terraform_data.accounts_known, terraform_data.pubsub_known]
}
