# What Google would have made up, where another resource checks the form of it.

mock_data "google_project" {
  defaults = { number = "123456789012", project_id = "unring-test" }
}

mock_resource "google_project_iam_custom_role" {
  defaults = { id = "projects/unring-test/roles/unring.fcmSender" }
}

mock_resource "google_secret_manager_secret" {
  defaults = { id = "projects/unring-test/secrets/unring-gateway" }
}
