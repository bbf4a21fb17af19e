# The clients' end. API_ID and stage alone make the URL that gateway and deliver post to, so the
# functions need nothing of what is made from them here: no cycle.

locals {
  connections_url = "${replace(aws_apigatewayv2_api.this.api_endpoint, "wss://", "https://")}/${var.stage}/@connections"

  # Header of the request to gateway: where its value comes from (functions/inbound/apigateway.py).
  every_route = {
    Unring-Connection-Id = "context.connectionId"
    Unring-Event-Type    = "context.eventType"
    Unring-Request-Time  = "context.requestTimeEpoch"
    Unring-Secret        = "'${random_password.gateway[local.current_generation].result}'"
  }
  # API Gateway passes on the headers of the client's WebSocket, and its query with the tokens and with
  # the id of a polling session, by which anybody could go on with it.
  replaced = merge(
    { for name, value in var.connect_headers : "header.${name}" => "'${value}'" },
    { for name in var.hide_query_token ? ["token", "ring", "sid"] : [] : "querystring.${name}" => "'-'" },
  )
  from_the_client = {
    Unring-Authorization = "route.request.header.Authorization"
    Unring-Token         = "route.request.querystring.token"
    Unring-Ring          = "route.request.querystring.ring"
    Unring-User-Id       = "route.request.querystring.userId"
    Unring-Device-Id     = "route.request.querystring.deviceId"
    Unring-Subprotocol   = "route.request.header.Sec-WebSocket-Protocol"
    Unring-Eio           = "route.request.querystring.EIO"
    Unring-Transport     = "route.request.querystring.transport"
    Unring-Sid           = "route.request.querystring.sid" # of a session that began by polling
  }

  routes = {
    "$connect"    = { headers = merge(local.every_route, local.from_the_client), replaced = local.replaced, parameters = values(local.from_the_client), answers = false }
    "$default"    = { headers = local.every_route, replaced = {}, parameters = [], answers = true }
    "$disconnect" = { headers = local.every_route, replaced = {}, parameters = [], answers = false }
  }
}

resource "aws_apigatewayv2_api" "this" {
  tags                       = local.tags
  name                       = var.name
  protocol_type              = "WEBSOCKET"
  route_selection_expression = "\\$default" # static: no frame is parsed to find its route
}

resource "aws_apigatewayv2_integration" "gateway" {
  for_each = local.routes

  api_id               = aws_apigatewayv2_api.this.id
  integration_type     = "HTTP_PROXY"
  integration_method   = "POST"
  integration_uri      = google_cloudfunctions2_function.function["gateway"].service_config[0].uri
  timeout_milliseconds = 29000
  request_parameters = merge(
    { for header, source in each.value.headers : "integration.request.header.${header}" => source },
    { for place, value in each.value.replaced : "integration.request.${place}" => value },
  )

  # A new secret may be sent only when the function, and whoever may call it, are there to take it.
  depends_on = [
    google_cloudfunctions2_function.function,
    google_cloud_run_v2_service_iam_member.invoker,
  ]
}

resource "aws_apigatewayv2_route" "this" {
  for_each = local.routes

  api_id    = aws_apigatewayv2_api.this.id
  route_key = each.key
  target    = "integrations/${aws_apigatewayv2_integration.gateway[each.key].id}"

  # With the route response below, the body of the function's reply becomes a frame to the sender.
  route_response_selection_expression = each.value.answers ? "$default" : null

  # Only what the route declares can be mapped.
  dynamic "request_parameter" {
    for_each = each.value.parameters

    content {
      request_parameter_key = request_parameter.value
      required              = false
    }
  }
}

resource "aws_apigatewayv2_route_response" "this" {
  for_each = { for key, route in local.routes : key => route if route.answers }

  api_id             = aws_apigatewayv2_api.this.id
  route_id           = aws_apigatewayv2_route.this[each.key].id
  route_response_key = "$default"
}

resource "aws_apigatewayv2_stage" "this" {
  tags        = local.tags
  api_id      = aws_apigatewayv2_api.this.id
  name        = var.stage
  auto_deploy = true

  default_route_settings {
    # Both, always: the one that is left out would be 0, and refuse every connect.
    throttling_rate_limit  = var.throttle.rate
    throttling_burst_limit = var.throttle.burst

    # The execution log could show headers, and with them tokens; the access log has what is needed.
    logging_level      = "OFF"
    data_trace_enabled = false
  }

  dynamic "access_log_settings" {
    for_each = aws_cloudwatch_log_group.access

    content {
      destination_arn = access_log_settings.value.arn
      format = jsonencode({
        time               = "$context.requestTimeEpoch"
        requestId          = "$context.requestId"
        connectionId       = "$context.connectionId"
        eventType          = "$context.eventType"
        routeKey           = "$context.routeKey"
        status             = "$context.status"
        error              = "$context.error.message"
        integrationStatus  = "$context.integration.status"
        integrationError   = "$context.integration.error"
        integrationLatency = "$context.integration.latency"
      })
    }
  }

  depends_on = [
    aws_apigatewayv2_route.this,
    aws_apigatewayv2_route_response.this,
    aws_api_gateway_account.this,
  ]
}

resource "aws_cloudwatch_log_group" "access" {
  count = var.access_log ? 1 : 0

  tags = local.tags

  name              = "/${var.name}/${var.stage}/access"
  retention_in_days = var.log_retention_days
}

# API Gateway writes logs with a role that is the whole account's, once a region.

resource "aws_api_gateway_account" "this" {
  count = var.manage_api_gateway_account ? 1 : 0

  cloudwatch_role_arn = aws_iam_role.logs[0].arn
  depends_on          = [aws_iam_role_policy_attachment.logs]

  # Else the account would go on naming a role that is gone. Deprecated, as version 6 of the provider
  # does it always and no longer knows the argument.
  reset_on_delete = true
}

resource "aws_iam_role" "logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  tags = local.tags

  name = "${var.name}-api-gateway-logs"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "apigateway.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

resource "aws_iam_role_policy_attachment" "logs" {
  count = var.manage_api_gateway_account ? 1 : 0

  role       = aws_iam_role.logs[0].name
  policy_arn = "arn:aws:iam::aws:policy/service-role/AmazonAPIGatewayPushToCloudWatchLogs"
}
