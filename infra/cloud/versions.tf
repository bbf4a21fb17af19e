terraform {
  required_version = ">= 1.11, < 2.0"

  # Where the state is, differs by environment: terraform init -backend-config=bucket=… -backend-config=prefix=…
  # The state holds the gateway secret, so nobody but who deploys may read that bucket.
  backend "gcs" {}

  # Which versions, says the module.
  required_providers {
    aws    = { source = "hashicorp/aws" }
    google = { source = "hashicorp/google" }
  }
}

provider "google" {
  project        = var.project
  region         = var.region
  default_labels = { app = var.name }

  # With a person's credentials, some APIs (Firebase Rules) refuse a request that names no project for
  # its quota. A service account has one of its own, and it may be another.
  user_project_override = true
  billing_project       = var.project
}

provider "aws" {
  region = var.aws_region

  default_tags {
    tags = { app = var.name }
  }
}
