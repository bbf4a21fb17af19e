resource "google_project_service" "api" {
  for_each = toset([
    "artifactregistry.googleapis.com",
    "cloudbuild.googleapis.com",
    "cloudfunctions.googleapis.com",
    "cloudresourcemanager.googleapis.com",
    "cloudscheduler.googleapis.com",
    "cloudtasks.googleapis.com",
    "fcm.googleapis.com",
    "firebaserules.googleapis.com",
    "firestore.googleapis.com",
    "iam.googleapis.com",
    "iamcredentials.googleapis.com",
    "identitytoolkit.googleapis.com",
    "logging.googleapis.com",
    "monitoring.googleapis.com",
    "pubsub.googleapis.com",
    "run.googleapis.com",
    "secretmanager.googleapis.com",
    "storage.googleapis.com",
  ])

  service            = each.key
  disable_on_destroy = false # something else of the project may need it
}

# Most resources lie where their provider says. If that is not what the variables say, they would be made
# in one project, and told of another.

data "google_project" "this" {
  lifecycle {
    postcondition {
      condition     = self.project_id == var.project
      error_message = "The provider google is of the project ${self.project_id}, and var.project is ${var.project}."
    }
  }
}

data "aws_region" "this" {
  lifecycle {
    postcondition {
      condition     = self.name == var.aws_region
      error_message = "The provider aws is of the region ${self.name}, and var.aws_region is ${var.aws_region}."
    }
  }
}
