# The root of a deployment of its own: a state, two providers, and the module with all that it can be told.
# variables.tf is the module's own (a link). examples/own-root uses the module from another root.

module "unring" {
  source = "./modules/unring"

  project                    = var.project
  name                       = var.name
  region                     = var.region
  aws_region                 = var.aws_region
  firestore_database         = var.firestore_database
  create_firestore_database  = var.create_firestore_database
  manage_firestore_rules     = var.manage_firestore_rules
  firestore_location         = var.firestore_location
  calls_collection           = var.calls_collection
  expire_calls               = var.expire_calls
  collection_prefix          = var.collection_prefix
  dialect                    = var.dialect
  settle_seconds             = var.settle_seconds
  functions                  = var.functions
  settings                   = var.settings
  source_path                = var.source_path
  fcm_sender_role            = var.fcm_sender_role
  allow_all_users            = var.allow_all_users
  token_secret               = var.token_secret
  api_key                    = var.api_key
  internal_secret            = var.internal_secret
  firebase_project           = var.firebase_project
  webhook_urls               = var.webhook_urls
  webhook_secret             = var.webhook_secret
  pushed_by                  = var.pushed_by
  gateway_secret_generation  = var.gateway_secret_generation
  ring_token_generation      = var.ring_token_generation
  stage                      = var.stage
  throttle                   = var.throttle
  domain                     = var.domain
  connect_headers            = var.connect_headers
  hide_query_token           = var.hide_query_token
  access_log                 = var.access_log
  manage_api_gateway_account = var.manage_api_gateway_account
  aws_budget                 = var.aws_budget
  log_retention_days         = var.log_retention_days
  notification_channels      = var.notification_channels
  latency_goal               = var.latency_goal
}
