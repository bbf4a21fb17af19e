# With a domain: wss://DOMAIN/STAGE for JSON clients, as without one, and wss://DOMAIN/socket.io/,
# the path of a Socket.IO client that names none.

locals {
  domains = var.domain == null ? {} : { this = var.domain }
}

resource "aws_apigatewayv2_domain_name" "this" {
  for_each = local.domains

  tags = local.tags

  domain_name = each.value.name

  domain_name_configuration {
    certificate_arn = each.value.certificate_arn
    endpoint_type   = "REGIONAL"
    security_policy = "TLS_1_2"
  }
}

resource "aws_apigatewayv2_api_mapping" "this" {
  for_each = var.domain == null ? toset([]) : toset(["socket.io", var.stage])

  api_id          = aws_apigatewayv2_api.this.id
  stage           = aws_apigatewayv2_stage.this.id
  domain_name     = aws_apigatewayv2_domain_name.this["this"].id
  api_mapping_key = each.key
}

resource "aws_route53_record" "this" {
  for_each = { for key, domain in local.domains : key => domain if domain.zone_id != null }

  zone_id = each.value.zone_id
  name    = each.value.name
  type    = "A"

  alias {
    name                   = aws_apigatewayv2_domain_name.this[each.key].domain_name_configuration[0].target_domain_name
    zone_id                = aws_apigatewayv2_domain_name.this[each.key].domain_name_configuration[0].hosted_zone_id
    evaluate_target_health = false
  }
}
