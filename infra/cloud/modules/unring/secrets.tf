# The secret by which gateway knows API Gateway. Two generations are accepted, the current one is
# sent; raising var.gateway_secret_generation makes a new one and ends the oldest. In one apply,
# without a refused frame: while API Gateway still sends the old secret, the new revision of gateway
# takes it as the previous one; and only when that revision serves does API Gateway get the new one
# (the integrations in websocket.tf depend on the function).

locals {
  current_generation  = tostring(var.gateway_secret_generation)
  previous_generation = tostring(var.gateway_secret_generation - 1) # the first has one that was never sent

  # The third is for the revision that a new one replaces: it was started with it.
  generations = toset([for back in range(3) : tostring(max(0, var.gateway_secret_generation - back))])

  gateway_secrets = {
    GATEWAY_SECRET          = google_secret_manager_secret_version.gateway[local.current_generation].version
    GATEWAY_SECRET_PREVIOUS = google_secret_manager_secret_version.gateway[local.previous_generation].version
  }
}

resource "random_password" "gateway" {
  for_each = local.generations

  length  = 48
  special = false # it travels in a header, within the quotes of API Gateway's mapping
}

resource "google_secret_manager_secret" "gateway" {
  secret_id  = "${var.name}-gateway"
  depends_on = [google_project_service.api]

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "gateway" {
  for_each = local.generations

  secret      = google_secret_manager_secret.gateway.id
  secret_data = random_password.gateway[each.key].result
}

resource "google_secret_manager_secret_iam_member" "gateway" {
  secret_id = google_secret_manager_secret.gateway.id
  role      = "roles/secretmanager.secretAccessor"
  member    = google_service_account.function["gateway"].member

  depends_on = [terraform_data.accounts_known]
}

# The secret that ring tokens are signed with. The current generation signs, and two are accepted; raising
# var.ring_token_generation makes a new one. As above, the third is for the revisions that are replaced.

locals {
  ring_token_generations = toset([for back in range(3) : tostring(max(0, var.ring_token_generation - back))])

  ring_token_secrets = {
    for name, generation in { RING_TOKEN_SECRET = var.ring_token_generation, RING_TOKEN_SECRET_PREVIOUS = var.ring_token_generation - 1 } :
    name => {
      secret  = google_secret_manager_secret.ring_token.secret_id
      version = google_secret_manager_secret_version.ring_token[tostring(generation)].version
    }
  }
}

resource "random_password" "ring_token" {
  for_each = local.ring_token_generations

  length = 48
}

resource "google_secret_manager_secret" "ring_token" {
  secret_id  = "${var.name}-ring-token"
  depends_on = [google_project_service.api]

  replication {
    auto {}
  }
}

resource "google_secret_manager_secret_version" "ring_token" {
  for_each = local.ring_token_generations

  secret      = google_secret_manager_secret.ring_token.id
  secret_data = random_password.ring_token[each.key].result
}

resource "google_secret_manager_secret_iam_member" "ring_token" {
  for_each = toset([for function in local.function_names : function if contains(["gateway", "api", "push", "webhook"], function)])

  secret_id  = google_secret_manager_secret.ring_token.id
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.function[each.key].member
  depends_on = [terraform_data.accounts_known]
}

# The app's own secrets are the app's: Terraform never sees them, and only lets those functions read them that need to.

locals {
  token_secrets = var.token_secret == null ? {} : {
    for name, version in { TOKEN_SECRET = var.token_secret.version, TOKEN_SECRET_PREVIOUS = var.token_secret.previous_version } :
    name => { secret = var.token_secret.secret, version = version } if version != null
  }
  api_keys = var.api_key == null ? {} : {
    for name, version in { API_KEY = var.api_key.version, API_KEY_PREVIOUS = var.api_key.previous_version } :
    name => { secret = var.api_key.secret, version = version } if version != null
  }
  webhook_secrets = var.webhook_secret == null ? {} : {
    for name, version in { WEBHOOK_SECRET = var.webhook_secret.version, WEBHOOK_SECRET_PREVIOUS = var.webhook_secret.previous_version } :
    name => { secret = var.webhook_secret.secret, version = version } if version != null
  }
  internal_secrets = var.internal_secret == null ? {} : {
    for name, version in { INTERNAL_SECRET = var.internal_secret.version, INTERNAL_SECRET_PREVIOUS = var.internal_secret.previous_version } :
    name => { secret = var.internal_secret.secret, version = version } if version != null
  }
}

resource "google_secret_manager_secret_iam_member" "token" {
  for_each = toset(var.token_secret == null ? [] : ["gateway", "api"])

  secret_id  = "projects/${var.project}/secrets/${var.token_secret.secret}"
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.function[each.key].member
  depends_on = [google_project_service.api, terraform_data.accounts_known]
}

resource "google_secret_manager_secret_iam_member" "api_key" {
  for_each = toset(var.api_key == null ? [] : ["api"])

  secret_id  = "projects/${var.project}/secrets/${var.api_key.secret}"
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.function[each.key].member
  depends_on = [google_project_service.api, terraform_data.accounts_known]
}

resource "google_secret_manager_secret_iam_member" "webhook" {
  for_each = toset(var.webhook_secret == null || length(var.webhook_urls) == 0 ? [] : ["webhook"])

  secret_id  = "projects/${var.project}/secrets/${var.webhook_secret.secret}"
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.function[each.key].member
  depends_on = [google_project_service.api, terraform_data.accounts_known]
}

resource "google_secret_manager_secret_iam_member" "internal" {
  for_each = toset(var.internal_secret == null ? [] : ["api"])

  secret_id  = "projects/${var.project}/secrets/${var.internal_secret.secret}"
  role       = "roles/secretmanager.secretAccessor"
  member     = google_service_account.function[each.key].member
  depends_on = [google_project_service.api, terraform_data.accounts_known]
}
