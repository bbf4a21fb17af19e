output "websocket_url" {
  description = "Where JSON clients connect."
  value       = module.unring.websocket_url
}

output "socketio_url" {
  description = "Where Socket.IO clients connect, with transports: [\"websocket\"]."
  value       = module.unring.socketio_url
}

output "socketio_path" {
  description = "The path option of Socket.IO clients; with a domain it is their default."
  value       = module.unring.socketio_path
}

output "stage_url" {
  description = "The WebSocket API's own URL, whatever domain it has beside it: for modules/front."
  value       = module.unring.stage_url
}

output "domain_target" {
  description = "What the custom domain's DNS record must point to, where var.domain has no zone_id."
  value       = module.unring.domain_target
}

output "project" {
  description = "The Google Cloud project: of the Firestore database that calls are written to, and of the ID tokens."
  value       = module.unring.project
}

output "firestore_database" {
  description = "The database in it."
  value       = module.unring.firestore_database
}

output "firestore_location" {
  description = "Where it is, if Terraform has created it."
  value       = module.unring.firestore_location
}

output "calls_collection" {
  description = "The collection in which the app's backend creates the calls."
  value       = module.unring.calls_collection
}

output "collection_prefix" {
  description = "What the names of Unring's own collections begin with."
  value       = module.unring.collection_prefix
}

output "events_topic" {
  description = "The topic that events are published to."
  value       = module.unring.events_topic
}

output "dead_letters" {
  description = "The subscription in which dead letters wait."
  value       = module.unring.dead_letters
}

output "connections_url" {
  description = "What gateway, deliver and sweep post to."
  value       = module.unring.connections_url
}

output "api_url" {
  description = "Where apps call the HTTPS interface (docs/api.md)."
  value       = module.unring.api_url
}

output "gateway_url" {
  description = "The function behind the WebSocket API. A GET warms it up."
  value       = module.unring.gateway_url
}

output "gateway_secret_versions" {
  description = "Which versions of the gateway secret are accepted; GATEWAY_SECRET is the one that is sent."
  value       = module.unring.gateway_secret_versions
}

output "ring_token_secret_versions" {
  description = "Which versions of the secret of ring tokens are accepted; RING_TOKEN_SECRET signs them."
  value       = module.unring.ring_token_secret_versions
}

output "webhooks" {
  description = "The URLs that webhook posts to, by the names that its subscriptions and its log have for them."
  value       = module.unring.webhooks
}

output "dashboard_url" {
  description = "The dashboard in Cloud Monitoring."
  value       = module.unring.dashboard_url
}
