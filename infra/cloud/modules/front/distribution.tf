# One host for both transports: CloudFront before the WebSocket API and the function api. Which of the two
# a request goes to, says origin.js.

locals {
  tags = { app = var.name }

  stage = regex("^wss://(?P<host>[^/]+)(?P<path>/.+)$", var.stage_url)

  # For how many seconds CloudFront waits for the answer of each: api has 60 for one, and holds a poll for 20
  # at most; API Gateway waits for gateway for 29.
  origins = {
    api       = { host = trimsuffix(trimprefix(var.api_url, "https://"), "/"), read_timeout = 60 }
    websocket = { host = local.stage.host, read_timeout = 30 }
  }

  # AWS's own policies, by the ids that are the same in every account. CachingDisabled caches nothing, and
  # has no request wait for another's answer; AllViewerExceptHostHeader passes on the query and all headers,
  # those of a WebSocket among them, and makes Host the origin's, by which both origins know what is asked.
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-cache-policies.html
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/using-managed-origin-request-policies.html
  caching_disabled              = "4135ea2d-6df8-44a3-9df3-4b5a84be39ad"
  all_viewer_except_host_header = "b689b0a8-53d0-40ab-baf2-68738e2966ac"

  # Errors are cached for 10 s unless it is said otherwise, whatever the policy and the origin's headers say.
  # The query is no part of the key: one poll's 503 would be everybody's answer.
  # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/custom-error-pages-expiration.html
  errors = [400, 403, 404, 405, 414, 500, 501, 502, 503, 504]
}

resource "aws_cloudfront_function" "origin" {
  name    = "${var.name}-origin"
  comment = "Which origin of ${var.name}'s front a request goes to"
  runtime = "cloudfront-js-2.0" # the first in which a function may choose the origin
  publish = true
  code    = templatefile("${path.module}/origin.js", { websocket = "websocket", stage = local.stage.path })
}

# Without an access log: in the URLs of clients that can set no header are their tokens.
resource "aws_cloudfront_distribution" "this" {
  tags            = local.tags
  comment         = "${var.name}: one host for both transports"
  enabled         = true
  aliases         = [for domain in local.domains : domain.name]
  price_class     = var.price_class
  http_version    = "http2and3" # WebSockets come by HTTP/1.1 all the same
  is_ipv6_enabled = true

  dynamic "origin" {
    for_each = local.origins

    content {
      origin_id   = origin.key
      domain_name = origin.value.host

      # A GET that was not answered is the client's to repeat: a poll has perhaps been given what waited.
      # https://docs.aws.amazon.com/AmazonCloudFront/latest/DeveloperGuide/DownloadDistValuesOrigin.html
      connection_attempts = 1

      custom_origin_config {
        http_port              = 80 # never used
        https_port             = 443
        origin_protocol_policy = "https-only"
        origin_ssl_protocols   = ["TLSv1.2"]
        origin_read_timeout    = origin.value.read_timeout
      }
    }
  }

  default_cache_behavior {
    target_origin_id         = "api" # where a request stays for which the function chooses no other
    viewer_protocol_policy   = "https-only"
    allowed_methods          = ["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"]
    cached_methods           = ["GET", "HEAD"] # what can't be left out
    cache_policy_id          = local.caching_disabled
    origin_request_policy_id = local.all_viewer_except_host_header

    function_association {
      event_type   = "viewer-request"
      function_arn = aws_cloudfront_function.origin.arn
    }
  }

  dynamic "custom_error_response" {
    for_each = toset(local.errors)

    content {
      error_code            = custom_error_response.value
      error_caching_min_ttl = 0
    }
  }

  restrictions {
    geo_restriction {
      restriction_type = "none"
    }
  }

  # With CloudFront's own certificate, older versions of TLS are taken too, whatever is asked for here.
  viewer_certificate {
    cloudfront_default_certificate = var.domain == null
    acm_certificate_arn            = one([for domain in local.domains : domain.certificate_arn])
    minimum_protocol_version       = var.domain == null ? null : "TLSv1.2_2021"
    ssl_support_method             = var.domain == null ? null : "sni-only"
  }
}
