# What the front is made of, by what Terraform computes with nobody to deploy to.

mock_provider "aws" {
  source = "./tests/mocks/aws"
}

variables {
  stage_url = "wss://abcdef1234.execute-api.eu-west-1.amazonaws.com/v2"
  api_url   = "https://unring-api-abcdefghij-ew.a.run.app"
}

run "deployed" {
  assert {
    condition = {
      for origin in aws_cloudfront_distribution.this.origin : origin.origin_id => [origin.domain_name, coalesce(origin.origin_path, "no path of its own"), one(origin.custom_origin_config).origin_read_timeout]
      } == {
      api       = ["unring-api-abcdefghij-ew.a.run.app", "no path of its own", 60]
      websocket = ["abcdef1234.execute-api.eu-west-1.amazonaws.com", "no path of its own", 30]
    }
    error_message = "There are two origins, and each has the time that an answer of it may take."
  }

  assert {
    condition     = [for origin in aws_cloudfront_distribution.this.origin : origin.connection_attempts] == [1, 1]
    error_message = "What an origin has not answered is not asked again: a poll has perhaps been given what waited."
  }

  assert {
    condition = alltrue([
      for origin in aws_cloudfront_distribution.this.origin :
      one(origin.custom_origin_config).origin_protocol_policy == "https-only" && one(origin.custom_origin_config).https_port == 443 && join(" ", one(origin.custom_origin_config).origin_ssl_protocols) == "TLSv1.2"
    ])
    error_message = "Origins are spoken to over TLS 1.2."
  }

  assert {
    condition     = aws_cloudfront_distribution.this.enabled && aws_cloudfront_distribution.this.is_ipv6_enabled && aws_cloudfront_distribution.this.http_version == "http2and3" && aws_cloudfront_distribution.this.price_class == "PriceClass_All"
    error_message = "Everybody is served, by IPv6 too."
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.default_cache_behavior).viewer_protocol_policy == "https-only" && one(aws_cloudfront_distribution.this.default_cache_behavior).allowed_methods == toset(["DELETE", "GET", "HEAD", "OPTIONS", "PATCH", "POST", "PUT"])
    error_message = "Every method is let through, and over HTTPS alone."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.ordered_cache_behavior) == 0 && one(aws_cloudfront_distribution.this.default_cache_behavior).target_origin_id == "api"
    error_message = "Whatever the function does not send elsewhere goes to api."
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.default_cache_behavior).cache_policy_id == "4135ea2d-6df8-44a3-9df3-4b5a84be39ad" && { for response in aws_cloudfront_distribution.this.custom_error_response : response.error_code => response.error_caching_min_ttl } == { for code in [400, 403, 404, 405, 414, 500, 501, 502, 503, 504] : code => 0 }
    error_message = "Nothing is cached, no error either."
  }

  assert {
    condition     = one(aws_cloudfront_distribution.this.default_cache_behavior).origin_request_policy_id == "b689b0a8-53d0-40ab-baf2-68738e2966ac"
    error_message = "All headers but Host are passed on, and the query."
  }

  assert {
    condition     = [for association in one(aws_cloudfront_distribution.this.default_cache_behavior).function_association : [association.event_type, association.function_arn]] == [["viewer-request", aws_cloudfront_function.origin.arn]] && aws_cloudfront_function.origin.runtime == "cloudfront-js-2.0" && aws_cloudfront_function.origin.publish
    error_message = "The function sees each request before an origin does, and runs where it may choose one."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.logging_config) == 0
    error_message = "No log has the tokens that are in URLs."
  }

  assert {
    condition     = length(aws_cloudfront_distribution.this.aliases) == 0 && one(aws_cloudfront_distribution.this.viewer_certificate).cloudfront_default_certificate && length(aws_route53_record.this) == 0
    error_message = "Without a domain, the front has CloudFront's own name."
  }

  assert {
    condition     = [output.url, output.websocket_url, output.domain_target, output.distribution] == ["https://d111111abcdef8.cloudfront.net", "wss://d111111abcdef8.cloudfront.net", "d111111abcdef8.cloudfront.net", "EDFDVBD6EXAMPLE"]
    error_message = "Clients are told where it is."
  }

  assert {
    condition     = [aws_cloudfront_function.origin.name, aws_cloudfront_distribution.this.tags.app] == ["unring-origin", "unring"]
    error_message = "All of it bears the deployment's name."
  }
}

run "with_every_option" {
  variables {
    name        = "unring-eu"
    api_url     = "https://unring-eu-api-abcdefghij-ew.a.run.app/"
    price_class = "PriceClass_100"
    domain = {
      name            = "calls.example.com"
      certificate_arn = "arn:aws:acm:us-east-1:210987654321:certificate/1"
      zone_id         = "Z0123456789"
    }
  }

  assert {
    condition     = aws_cloudfront_distribution.this.aliases == toset(["calls.example.com"]) && aws_cloudfront_distribution.this.price_class == "PriceClass_100" && [aws_cloudfront_function.origin.name, aws_cloudfront_distribution.this.tags.app] == ["unring-eu-origin", "unring-eu"]
    error_message = "The front has the names that are asked for."
  }

  assert {
    condition = [for certificate in aws_cloudfront_distribution.this.viewer_certificate : [certificate.acm_certificate_arn, certificate.minimum_protocol_version, certificate.ssl_support_method]] == [[
      "arn:aws:acm:us-east-1:210987654321:certificate/1", "TLSv1.2_2021", "sni-only",
    ]] && !one(aws_cloudfront_distribution.this.viewer_certificate).cloudfront_default_certificate
    error_message = "With a domain, clients speak TLS 1.2 at least, and see its certificate."
  }

  assert {
    condition = { for type, record in aws_route53_record.this : type => concat([record.zone_id, record.name, record.type], [for alias in record.alias : [alias.name, alias.zone_id]]...) } == {
      for type in ["A", "AAAA"] : type => ["Z0123456789", "calls.example.com", type, "d111111abcdef8.cloudfront.net", "Z2FDTNDATAQYW2"]
    }
    error_message = "Both records lead to the distribution."
  }

  assert {
    condition     = [output.url, output.websocket_url, output.domain_target] == ["https://calls.example.com", "wss://calls.example.com", "d111111abcdef8.cloudfront.net"]
    error_message = "With a domain, clients connect to it."
  }

  assert {
    condition     = contains([for origin in aws_cloudfront_distribution.this.origin : origin.domain_name], "unring-eu-api-abcdefghij-ew.a.run.app")
    error_message = "A slash at the end of a URL is no part of the host."
  }
}

run "with_a_record_of_ones_own" {
  command = plan

  variables {
    domain = { name = "calls.example.com", certificate_arn = "arn:aws:acm:us-east-1:210987654321:certificate/1" }
  }

  assert {
    condition     = length(aws_route53_record.this) == 0 && aws_cloudfront_distribution.this.aliases == toset(["calls.example.com"])
    error_message = "Without a zone, there is no record."
  }
}

# What is refused

run "a_name_needs_the_form_of_a_deployments" {
  command = plan

  variables {
    name = "Unring"
  }

  expect_failures = [var.name]
}

run "the_apis_url_has_a_stage_and_no_slash_behind_it" {
  command = plan

  variables {
    stage_url = "wss://abcdef1234.execute-api.eu-west-1.amazonaws.com/v2/"
  }

  expect_failures = [var.stage_url]
}

run "the_function_has_no_path" {
  command = plan

  variables {
    api_url = "https://unring-api-abcdefghij-ew.a.run.app/v1"
  }

  expect_failures = [var.api_url]
}

run "a_domain_is_no_url" {
  command = plan

  variables {
    domain = { name = "https://calls.example.com", certificate_arn = "arn:aws:acm:us-east-1:210987654321:certificate/1" }
  }

  expect_failures = [var.domain]
}

run "a_certificate_of_another_region_is_refused" {
  command = plan

  variables {
    domain = { name = "calls.example.com", certificate_arn = "arn:aws:acm:eu-west-1:210987654321:certificate/1" }
  }

  expect_failures = [var.domain]
}

run "a_price_class_is_cloudfronts" {
  command = plan

  variables {
    price_class = "PriceClass_300"
  }

  expect_failures = [var.price_class]
}
