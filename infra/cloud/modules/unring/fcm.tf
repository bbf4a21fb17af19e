locals {
  firebase_project = coalesce(var.firebase_project, var.project)
}

# Google's own roles for FCM also manage topics, which nothing here does. Who makes a role may make any,
# so that it can be made by hand instead.
resource "google_project_iam_custom_role" "sender" {
  for_each = toset(var.fcm_sender_role == null ? ["made"] : [])

  project     = local.firebase_project
  role_id     = "${replace(var.name, "-", "_")}.fcmSender"
  title       = "Unring: sends FCM messages"
  permissions = ["cloudmessaging.messages.create"]
  depends_on  = [google_project_service.api]
}

resource "google_project_iam_member" "sender" {
  project    = local.firebase_project
  role       = var.fcm_sender_role == null ? google_project_iam_custom_role.sender["made"].id : var.fcm_sender_role
  member     = google_service_account.function["push"].member
  depends_on = [terraform_data.accounts_known]
}
