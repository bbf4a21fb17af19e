# Unring behind one host, at which Socket.IO clients connect with their default options: polling first, then
# WebSocket (docs/cloudfront.md). As in own-root, `source` is elsewhere in another repository.

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
  region                = "us-east4"
  user_project_override = true
  billing_project       = var.project
}

provider "aws" {
  region = "us-east-1"
}

module "unring" {
  source = "../../modules/unring"

  project = var.project

  # Who begins with polling waits for api before anything else: an instance is always there.
  functions = { api = { min_instances = 1 } }
}

module "front" {
  source = "../../modules/front"

  stage_url = module.unring.stage_url
  api_url   = module.unring.api_url

  domain = {
    name            = "calls.example.com"
    certificate_arn = "arn:aws:acm:us-east-1:210987654321:certificate/12345678-1234-1234-1234-123456789012"
    zone_id         = "Z0123456789ABCDEFGHIJ"
  }
}

output "url" {
  description = "Where Socket.IO clients connect, and apps and backends call the HTTPS interface."
  value       = module.front.url
}

output "websocket_url" {
  description = "Where JSON clients connect."
  value       = module.front.websocket_url
}
