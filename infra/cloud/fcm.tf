# Google's own roles for FCM also manage topics, which nothing here does.
resource "google_project_iam_custom_role" "sender" {
  role_id     = "${replace(var.name, "-", "_")}.fcmSender"
  title       = "Unring: sends FCM messages"
  permissions = ["cloudmessaging.messages.create"]
  depends_on  = [google_project_service.api]
}

resource "google_project_iam_member" "sender" {
  project = var.project
  role    = google_project_iam_custom_role.sender.id
  member  = google_service_account.function["push"].member
}
