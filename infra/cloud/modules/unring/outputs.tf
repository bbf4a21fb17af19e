locals {
  on_domain = one([for domain in aws_apigatewayv2_domain_name.this : domain.domain_name])
}

output "websocket_url" {
  description = "Where JSON clients connect."
  value       = local.on_domain == null ? aws_apigatewayv2_stage.this.invoke_url : "wss://${local.on_domain}/${var.stage}"
}

output "socketio_url" {
  description = "Where Socket.IO clients connect, with transports: [\"websocket\"]."
  value       = local.on_domain == null ? replace(aws_apigatewayv2_api.this.api_endpoint, "wss://", "https://") : "https://${local.on_domain}"
}

output "socketio_path" {
  description = "The path option of Socket.IO clients; with a domain it is their default."
  value       = local.on_domain == null ? "/${var.stage}" : "/socket.io"
}

output "stage_url" {
  description = "The WebSocket API's own URL, whatever domain it has beside it: for modules/front."
  value       = "${aws_apigatewayv2_api.this.api_endpoint}/${aws_apigatewayv2_stage.this.name}"
}

output "domain_target" {
  description = "What the custom domain's DNS record must point to, where var.domain has no zone_id."
  value       = one([for domain in aws_apigatewayv2_domain_name.this : domain.domain_name_configuration[0].target_domain_name])
}

output "project" {
  description = "The Google Cloud project: of the Firestore database that calls are written to, and of the ID tokens."
  value       = var.project
}

output "firestore_database" {
  description = "The database in it."
  value       = local.database
}

output "firestore_location" {
  description = "Where it is, if Terraform has created it."
  value       = one([for database in google_firestore_database.this : database.location_id])
}

output "calls_collection" {
  description = "The collection in which the app's backend creates the calls."
  value       = var.calls_collection
}

output "collection_prefix" {
  description = "What the names of Unring's own collections begin with."
  value       = var.collection_prefix
}

output "events_topic" {
  description = "The topic that events are published to."
  value       = google_pubsub_topic.events.id
}

output "dead_letters" {
  description = "The subscription in which dead letters wait."
  value       = google_pubsub_subscription.dead_letters.id
}

output "connections_url" {
  description = "What gateway, api, deliver, ring and sweep post to."
  value       = local.connections_url
}

output "api_url" {
  description = "Where apps call the HTTPS interface (docs/api.md)."
  value       = google_cloudfunctions2_function.function["api"].service_config[0].uri
}

output "gateway_url" {
  description = "The function behind the WebSocket API. A GET warms it up."
  value       = google_cloudfunctions2_function.function["gateway"].service_config[0].uri
}

output "gateway_secret_versions" {
  description = "Which versions of the gateway secret are accepted; GATEWAY_SECRET is the one that is sent."
  value       = local.gateway_secrets
}

output "ring_token_secret_versions" {
  description = "Which versions of the secret of ring tokens are accepted; RING_TOKEN_SECRET signs them."
  value       = { for name, version in local.ring_token_secrets : name => version.version }
}

output "webhooks" {
  description = "The URLs that webhook posts to, by the names that its subscriptions and its log have for them."
  value       = local.webhooks
}

output "dashboard_url" {
  description = "The dashboard in Cloud Monitoring."
  value       = "https://console.cloud.google.com/monitoring/dashboards/builder/${element(split("/", google_monitoring_dashboard.this.id), 3)}?project=${var.project}"
}
