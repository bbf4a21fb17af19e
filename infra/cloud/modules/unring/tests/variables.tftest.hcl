# Every validation, by a value that it refuses. variables/ holds variables.tf alone (a link), so that
# these need no provider and take no time.

variables {
  project = "unring-test"
}

run "the_defaults_are_accepted" {
  command = plan

  module {
    source = "./tests/variables"
  }
}

run "a_project_needs_the_form_of_an_id" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    project = "Unring"
  }

  expect_failures = [var.project]
}

run "a_name_needs_to_fit_into_the_names_of_accounts" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    name = "unring-in-the-test-environment"
  }

  expect_failures = [var.name]
}

run "a_region_is_no_zone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    region = "us-east4-a"
  }

  expect_failures = [var.region]
}

run "a_firestore_location_is_a_region_or_a_multi_region" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_location = "us"
  }

  expect_failures = [var.firestore_location]
}

run "an_aws_region_is_not_googles" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    aws_region = "us-east4"
  }

  expect_failures = [var.aws_region]
}

run "more_instances_at_least_than_at_most_are_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { gateway = { min_instances = 3, max_instances = 2 } }
  }

  expect_failures = [var.functions]
}

run "a_function_without_instances_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { push = { max_instances = 0 } }
  }

  expect_failures = [var.functions]
}

run "several_requests_at_once_need_a_whole_cpu" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { sweep = { concurrency = 2 } }
  }

  expect_failures = [var.functions]
}

run "more_requests_at_once_than_cloud_run_allows_are_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { deliver = { concurrency = 1001 } }
  }

  expect_failures = [var.functions]
}

run "memory_needs_a_unit" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { gateway = { memory = "512" } }
  }

  expect_failures = [var.functions]
}

run "less_than_half_a_cpu_has_no_more_than_512_mebibytes" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { sweep = { memory = "513Mi" } }
  }

  expect_failures = [var.functions]
}

run "four_cpus_have_two_gibibytes_at_least" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { deliver = { cpu = 4, memory = "1Gi" } }
  }

  expect_failures = [var.functions]
}

run "a_cpu_that_cloud_run_does_not_offer_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = { deliver = { cpu = 3, memory = "4Gi" } }
  }

  expect_failures = [var.functions]
}

run "the_largest_sizes_are_accepted" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    functions = {
      gateway = { cpu = 8, memory = "32Gi" }
      deliver = { cpu = 4, memory = "2Gi" }
      push    = { cpu = 1, memory = "4096Mi" }
      sweep   = { cpu = 0.5, memory = "1Gi" }
    }
  }
}

run "a_setting_of_another_function_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settings = { deliver = { DEVICE_TTL_DAYS = "90" } }
  }

  expect_failures = [var.settings]
}

run "how_long_an_event_lives_is_no_setting" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settings = { gateway = { EVENT_TTL_SECONDS = "45" } }
  }

  expect_failures = [var.settings]
}

run "a_setting_that_terraform_decides_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settings = { gateway = { CONNECTIONS_URL = "https://example.com/@connections" } }
  }

  expect_failures = [var.settings]
}

run "an_emulator_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settings = { gateway = { FIRESTORE_EMULATOR_HOST = "127.0.0.1:8080" } }
  }

  expect_failures = [var.settings]
}

run "settings_of_a_function_that_there_is_not_are_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settings = { relay = {} }
  }

  expect_failures = [var.settings]
}

run "the_first_secret_is_generation_one" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    gateway_secret_generation = 0
  }

  expect_failures = [var.gateway_secret_generation]
}

run "a_generation_is_a_whole_number" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    gateway_secret_generation = 1.5
  }

  expect_failures = [var.gateway_secret_generation]
}

run "the_first_secret_of_ring_tokens_is_generation_one" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    ring_token_generation = 0
  }

  expect_failures = [var.ring_token_generation]
}

run "a_generation_of_ring_tokens_is_a_whole_number" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    ring_token_generation = 1.5
  }

  expect_failures = [var.ring_token_generation]
}

run "a_stage_is_one_piece_of_a_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    stage = "a/b"
  }

  expect_failures = [var.stage]
}

run "the_stage_leaves_the_mapping_key_of_socketio_alone" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    stage = "socket.io"
  }

  expect_failures = [var.stage]
}

run "a_rate_of_zero_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    throttle = { rate = 0 }
  }

  expect_failures = [var.throttle]
}

run "a_burst_of_zero_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    throttle = { burst = 0 }
  }

  expect_failures = [var.throttle]
}

run "a_domain_is_no_url" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    domain = { name = "wss://ws.example.com", certificate_arn = "arn:aws:acm:us-east-1:123456789012:certificate/1" }
  }

  expect_failures = [var.domain]
}

run "a_certificate_of_another_region_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    domain = { name = "ws.example.com", certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1" }
  }

  expect_failures = [var.domain]
}

run "logs_are_kept_as_long_as_cloudwatch_offers" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    log_retention_days = 10
  }

  expect_failures = [var.log_retention_days]
}

run "a_notification_channel_is_named_in_full" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    notification_channels = ["1234567890"]
  }

  expect_failures = [var.notification_channels]
}

run "a_goal_of_all_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    latency_goal = 1
  }

  expect_failures = [var.latency_goal]
}

run "a_database_has_the_form_of_an_id" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firestore_database = "Mine"
  }

  expect_failures = [var.firestore_database]
}

run "the_rules_of_a_database_that_exists_are_the_apps" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_firestore_database = false
    manage_firestore_rules    = true
  }

  expect_failures = [var.manage_firestore_rules]
}

run "a_database_that_exists_has_its_location" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    create_firestore_database = false
    firestore_location        = "nam5"
  }

  expect_failures = [var.firestore_location]
}

run "a_collection_is_no_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    calls_collection = "users/calls"
  }

  expect_failures = [var.calls_collection]
}

run "the_calls_are_not_in_a_collection_of_ours" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    calls_collection = "unring_outbox"
  }

  expect_failures = [var.calls_collection]
}

run "a_dialect_is_no_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    dialect = "dialect.toml"
  }

  expect_failures = [var.dialect]
}

run "a_dialect_fits_into_a_variable" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    dialect = join("", [for n in range(1000) : "# = 30 bytes in each of these..\n"])
  }
}

run "a_dialect_that_is_too_long_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    dialect = join("", [for n in range(1024) : "# = 33 bytes in each of these.....\n"])
  }

  expect_failures = [var.dialect]
}

run "a_prefix_is_no_path" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    collection_prefix = "app/"
  }

  expect_failures = [var.collection_prefix]
}

run "nobody_waits_for_an_hour" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    settle_seconds = 3600
  }

  expect_failures = [var.settle_seconds]
}

run "a_role_is_named_in_full" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    fcm_sender_role = "fcmSender"
  }

  expect_failures = [var.fcm_sender_role]
}

run "no_header_of_ours_is_replaced" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    connect_headers = { Unring-Secret = "x" }
  }

  expect_failures = [var.connect_headers]
}

run "a_role_for_no_log_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    manage_api_gateway_account = true
  }

  expect_failures = [var.manage_api_gateway_account]
}

run "a_budget_of_nothing_is_refused" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    aws_budget = { monthly_usd = 0, emails = ["ops@example.com"] }
  }

  expect_failures = [var.aws_budget]
}

run "a_secret_is_no_version" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    token_secret = { secret = "projects/unring-test/secrets/app/versions/1" }
  }

  expect_failures = [var.token_secret]
}

run "a_secrets_previous_version_is_a_number" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    token_secret = { secret = "app-tokens", version = "2", previous_version = "" }
  }

  expect_failures = [var.token_secret]
}

run "a_key_is_no_version" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    api_key = { secret = "projects/unring-test/secrets/key/versions/1" }
  }

  expect_failures = [var.api_key]
}

run "an_internal_secret_is_no_version" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    internal_secret = { secret = "projects/unring-test/secrets/internal/versions/1" }
  }

  expect_failures = [var.internal_secret]
}

run "a_firebase_project_has_an_id" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    firebase_project = "The App"
  }

  expect_failures = [var.firebase_project]
}

run "a_webhook_goes_over_https" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_urls   = ["http://app.example/hook"]
    webhook_secret = { secret = "app-webhooks" }
  }

  expect_failures = [var.webhook_urls]
}

run "a_webhook_has_no_user" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_urls   = ["https://me@app.example/hook"]
    webhook_secret = { secret = "app-webhooks" }
  }

  expect_failures = [var.webhook_urls]
}

run "a_webhooks_url_is_one" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_urls   = ["https://a.example/1,https://a.example/2"]
    webhook_secret = { secret = "app-webhooks" }
  }

  expect_failures = [var.webhook_urls]
}

run "a_webhook_goes_there_once" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_urls   = ["https://app.example/hook", "https://app.example/hook"]
    webhook_secret = { secret = "app-webhooks" }
  }

  expect_failures = [var.webhook_urls]
}

run "a_webhook_secret_is_no_version" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_secret = { secret = "projects/unring-test/secrets/key/versions/1" }
  }

  expect_failures = [var.webhook_secret]
}

run "webhooks_are_signed" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    webhook_urls = ["https://app.example/hook"]
  }

  expect_failures = [var.webhook_secret]
}

run "somebody_pushes_or_nobody" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    pushed_by = { incoming = "both" }
  }

  expect_failures = [var.pushed_by]
}

run "a_backend_that_pushes_is_asked_to" {
  command = plan

  module {
    source = "./tests/variables"
  }

  variables {
    pushed_by = { rejected = "backend" }
  }

  expect_failures = [var.pushed_by]
}
