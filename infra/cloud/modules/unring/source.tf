# One archive for all functions, with nothing of the repository that they don't run.

locals {
  source_path = coalesce(var.source_path, "${path.module}/../../../..")
  sources     = setunion(["main.py", "requirements.txt"], fileset(local.source_path, "functions/**/*.py"))
}

data "archive_file" "source" {
  type        = "zip"
  output_path = "${path.root}/.terraform/${var.name}-source.zip"

  dynamic "source" {
    for_each = local.sources

    content {
      filename = source.value
      content  = file("${local.source_path}/${source.value}")
    }
  }
}

resource "google_storage_bucket" "source" {
  name                        = "${var.project}-${var.name}-source"
  location                    = var.region
  uniform_bucket_level_access = true
  public_access_prevention    = "enforced"
  force_destroy               = true # it holds nothing that isn't in the repository
  depends_on                  = [google_project_service.api]
}

resource "google_storage_bucket_object" "source" {
  bucket = google_storage_bucket.source.name
  name   = "${data.archive_file.source.output_sha256}.zip" # a change of the code is a change of the functions
  source = data.archive_file.source.output_path

  lifecycle {
    create_before_destroy = true
  }
}

resource "google_artifact_registry_repository" "images" {
  repository_id = "${var.name}-functions"
  location      = var.region
  format        = "DOCKER"
  description   = "Images of the functions"
  depends_on    = [google_project_service.api]

  cleanup_policies {
    id     = "keep-recent"
    action = "KEEP"

    most_recent_versions {
      keep_count = 10
    }
  }

  cleanup_policies {
    id     = "delete-old"
    action = "DELETE"

    condition {
      older_than = "2592000s" # 30 days
    }
  }
}

resource "google_artifact_registry_repository_iam_member" "builder" {
  repository = google_artifact_registry_repository.images.repository_id
  location   = var.region
  role       = "roles/artifactregistry.writer"
  member     = google_service_account.builder.member
  depends_on = [terraform_data.accounts_known]
}

resource "google_project_iam_member" "builder_logs" {
  project = var.project
  role    = "roles/logging.logWriter"
  member  = google_service_account.builder.member

  depends_on = [terraform_data.accounts_known]
}

# Cloud Functions hands the source on through a bucket of its own, which is not there before the
# first build. All others stay closed: one of them may hold Terraform's state.
resource "google_project_iam_member" "builder_source" {
  project = var.project
  role    = "roles/storage.objectViewer"
  member  = google_service_account.builder.member

  depends_on = [terraform_data.accounts_known]

  condition {
    title      = "functions' sources"
    expression = "resource.name.startsWith(\"projects/_/buckets/gcf-v2-sources-${data.google_project.this.number}-\")"
  }
}
