locals {
  host = var.domain == null ? aws_cloudfront_distribution.this.domain_name : var.domain.name
}

output "url" {
  description = "Where Socket.IO clients connect, with their default options, and where apps and backends call the HTTPS interface."
  value       = "https://${local.host}"
}

output "websocket_url" {
  description = "Where JSON clients connect."
  value       = "wss://${local.host}"
}

output "domain_target" {
  description = "What the custom domain's DNS record must point to, where var.domain has no zone_id."
  value       = aws_cloudfront_distribution.this.domain_name
}

output "distribution" {
  description = "The id of the distribution."
  value       = aws_cloudfront_distribution.this.id
}
