# The database, or what of one that exists is ours: the indexes and TTL policies of collections that
# nobody else has, and of one field in the collection of the calls, which only the calls have that we
# created. No document of the app's is in reach of anything here.

locals {
  database = var.create_firestore_database ? google_firestore_database.this["created"].name : var.firestore_database
  ours     = { for name in local.collections : name => "${var.collection_prefix}${name}" }

  # Times that only grow, in our own collections. An index on one would make one range of keys hot: 500
  # writes a second at most (https://cloud.google.com/firestore/docs/best-practices). What is queried
  # keeps its index, and that limit with it: `pendingSince` and `admitBy`.
  unindexed = {
    connections = ["admittedAt", "alsoIn", "calling", "closedAt", "connectedAt", "formerLeftAt", "leftAt"]
    devices     = ["registeredAt"]
    outbox      = ["claimedAt", "event"] # what is in `event` is exempt with it
    polls       = ["packets"]            # what waits for a client
  }
}

resource "google_firestore_database" "this" {
  for_each = toset(var.create_firestore_database ? ["created"] : [])

  name                              = var.firestore_database
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  depends_on                        = [google_project_service.api]

  # It holds the app's calls, so that nothing that Terraform is told can delete it: not another location
  # or id, and not `destroy`, which leaves it behind.
  delete_protection_state = "DELETE_PROTECTION_ENABLED"
  deletion_policy         = "ABANDON"

  lifecycle {
    ignore_changes = [location_id, type, database_edition]
  }
}

resource "google_firestore_field" "expires_at" {
  for_each = local.ours

  database   = local.database
  collection = each.value
  field      = "expiresAt"

  ttl_config {}

  # Nothing is looked up by it alone. The composite index below does not need this one, and spreads the
  # times over the recipients (https://cloud.google.com/firestore/docs/solutions/shard-timestamp).
  index_config {}

  depends_on = [google_project_service.api]
}

# The name of the field is ours, so that it deletes no call that the app has written itself
# (docs/decisions/2026-11-26-calls-of-ours-have-a-mark.md).
resource "google_firestore_field" "call_expires_at" {
  for_each = toset(var.expire_calls ? ["calls"] : [])

  database   = local.database
  collection = var.calls_collection
  field      = "unringExpiresAt"

  ttl_config {}

  index_config {} # it only grows, and nobody asks for it

  depends_on = [google_project_service.api]
}

resource "google_firestore_field" "unindexed" {
  for_each = merge([
    for name, fields in local.unindexed : { for field in fields : "${name}/${field}" => { collection = local.ours[name], field = field } }
  ]...)

  database   = local.database
  collection = each.value.collection
  field      = each.value.field

  index_config {}

  depends_on = [google_project_service.api]
}

# By which `deliver` finds what a user has missed: whose it is, and what expires last.
resource "google_firestore_index" "missed" {
  database    = local.database
  collection  = local.ours["outbox"]
  query_scope = "COLLECTION"
  depends_on  = [google_project_service.api]

  fields {
    field_path   = "recipients"
    array_config = "CONTAINS"
  }

  fields {
    field_path = "expiresAt"
    order      = "DESCENDING"
  }
}

resource "google_project_iam_member" "firestore" {
  for_each = toset(local.function_names)

  project    = var.project
  role       = "roles/datastore.user"
  member     = google_service_account.function[each.key].member
  depends_on = [terraform_data.accounts_known]
}

# Rules, only of a database that Terraform has created. Where a release exists, the provider refuses to
# create another: nobody's rules are replaced.

locals {
  rules = toset(var.create_firestore_database && var.manage_firestore_rules != false ? ["ours"] : [])
}

resource "google_firebaserules_ruleset" "firestore" {
  for_each   = local.rules
  depends_on = [google_firestore_database.this]

  source {
    files {
      name    = "firestore.rules"
      content = file("${path.module}/firestore.rules")
    }
  }

  lifecycle {
    create_before_destroy = true # one that is released can't be deleted
  }
}

resource "google_firebaserules_release" "firestore" {
  for_each = local.rules

  name         = var.firestore_database == "(default)" ? "cloud.firestore" : "cloud.firestore/${var.firestore_database}"
  ruleset_name = google_firebaserules_ruleset.firestore[each.key].name
}
