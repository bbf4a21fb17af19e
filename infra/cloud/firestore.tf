resource "google_firestore_database" "this" {
  name                              = "(default)"
  location_id                       = coalesce(var.firestore_location, var.region)
  type                              = "FIRESTORE_NATIVE"
  point_in_time_recovery_enablement = "POINT_IN_TIME_RECOVERY_ENABLED"
  delete_protection_state           = var.delete_protection ? "DELETE_PROTECTION_ENABLED" : "DELETE_PROTECTION_DISABLED"
  deletion_policy                   = var.delete_protection ? "ABANDON" : "DELETE"
  depends_on                        = [google_project_service.api]
}

resource "google_firestore_field" "expires_at" {
  for_each = toset(["connections", "devices", "outbox"])

  database   = google_firestore_database.this.name
  collection = each.key
  field      = "expiresAt"

  ttl_config {}

  # Nothing is looked up by it alone, and an index on ever later times would make one range of keys
  # hot: 500 writes a second at most. The composite index below does not need this one, and spreads
  # the times over the recipients (https://cloud.google.com/firestore/docs/solutions/shard-timestamp).
  index_config {}
}

# What an outbox entry holds that no query asks for; what is in `event` is exempt with it. What
# `sweep` asks for, `pendingSince`, has its index of its own accord.
resource "google_firestore_field" "not_asked_for" {
  for_each = toset(["claimedAt", "event"])

  database   = google_firestore_database.this.name
  collection = "outbox"
  field      = each.key

  index_config {}
}

# By which `deliver` finds what a user has missed: whose it is, and what expires last.
resource "google_firestore_index" "missed" {
  database    = google_firestore_database.this.name
  collection  = "outbox"
  query_scope = "COLLECTION"

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
  for_each = google_service_account.function

  project = var.project
  role    = "roles/datastore.user"
  member  = each.value.member
}

resource "google_firebaserules_ruleset" "firestore" {
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
  name         = "cloud.firestore"
  ruleset_name = google_firebaserules_ruleset.firestore.name
}
