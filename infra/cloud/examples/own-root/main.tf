# Unring in a root of one's own, beside what is there already: an existing Firestore database, whose
# rules and location stay as they are. From another repository, `source` is
#   git::https://github.com/OWNER/REPOSITORY.git//infra/cloud/modules/unring?ref=TAG

terraform {
  required_version = ">= 1.11, < 2.0"

  required_providers {
    aws    = { source = "hashicorp/aws" }
    google = { source = "hashicorp/google" }
  }
}

variable "project" {
  description = "The app's Firebase project."
  type        = string
}

provider "google" {
  project               = var.project
  region                = "europe-west3"
  user_project_override = true
  billing_project       = var.project
}

provider "aws" {
  region = "eu-central-1"
}

module "unring" {
  source = "../../modules/unring"

  project    = var.project
  region     = "europe-west3"
  aws_region = "eu-central-1"

  create_firestore_database = false
}

output "websocket_url" {
  description = "Where JSON clients connect."
  value       = module.unring.websocket_url
}
