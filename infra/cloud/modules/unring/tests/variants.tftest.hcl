# What changes with how a deployment is set, and what must not when that changes.

mock_provider "archive" {}
mock_provider "random" {}

mock_provider "google" {
  source = "./tests/mocks/google"
}

mock_provider "aws" {
  source = "./tests/mocks/aws"
}

variables {
  project        = "unring-test"
  settle_seconds = 0
}

# As it is deployed first; the next runs change it.

run "deployed" {
}

run "secret_rotated" {
  command = plan

  override_resource {
    target          = google_secret_manager_secret_version.gateway["2"]
    override_during = plan
    values          = { version = "3" }
  }

  override_resource {
    target          = google_secret_manager_secret_version.ring_token["2"]
    override_during = plan
    values          = { version = "3" }
  }

  override_resource {
    target          = random_password.gateway["2"]
    override_during = plan
    values          = { result = "newSecret" }
  }

  variables {
    gateway_secret_generation = 2
    ring_token_generation     = 2
  }

  assert {
    condition     = output.ring_token_secret_versions == { RING_TOKEN_SECRET = "3", RING_TOKEN_SECRET_PREVIOUS = run.deployed.ring_token_secret_versions.RING_TOKEN_SECRET }
    error_message = "The new secret signs ring tokens, and those that the one before has signed are accepted."
  }

  assert {
    condition     = output.gateway_secret_versions.GATEWAY_SECRET_PREVIOUS == run.deployed.gateway_secret_versions.GATEWAY_SECRET && output.gateway_secret_versions.GATEWAY_SECRET == "3"
    error_message = "What was current is still accepted, as the previous one."
  }

  assert {
    condition     = { for secret in one(google_cloudfunctions2_function.function["gateway"].service_config).secret_environment_variables : secret.key => secret.version if startswith(secret.key, "GATEWAY_") } == output.gateway_secret_versions
    error_message = "gateway accepts the new secret and the one before."
  }

  assert {
    condition     = alltrue([for integration in aws_apigatewayv2_integration.gateway : integration.request_parameters["integration.request.header.Unring-Secret"] == "'newSecret'"])
    error_message = "API Gateway sends the new secret."
  }

  assert {
    condition     = google_secret_manager_secret_version.gateway["0"].version == run.deployed.gateway_secret_versions.GATEWAY_SECRET_PREVIOUS
    error_message = "What the revision that is replaced was started with is still there."
  }
}

# The project that most adopters have: its database, and the rules of its clients, are the app's.

run "without_webhooks" {
  command = plan

  assert {
    condition     = length(google_pubsub_subscription.webhook) + length(google_pubsub_subscription.wanted) == 0 && length(setintersection(keys(google_monitoring_alert_policy.this), ["waiting_webhooks", "waiting_pushes"])) == 0
    error_message = "Where nobody is told, there is neither a subscription nor an alert on one."
  }
}

run "into_a_database_that_exists" {
  command = plan

  variables {
    create_firestore_database = false
  }

  assert {
    condition     = length(google_firestore_database.this) + length(google_firebaserules_ruleset.firestore) + length(google_firebaserules_release.firestore) == 0
    error_message = "Neither the database nor a rule of it is touched."
  }

  assert {
    condition = toset(concat([for field in google_firestore_field.expires_at : field.collection], [for field in google_firestore_field.unindexed : field.collection], [google_firestore_index.missed.collection])) == toset(["unring_births", "unring_connections", "unring_devices", "unring_outbox", "unring_polls"]) && alltrue([
      for resource in concat(values(google_firestore_field.expires_at), values(google_firestore_field.unindexed), [google_firestore_index.missed]) : resource.database == "(default)"
    ])
    error_message = "What is indexed, or expires, is ours alone."
  }

  assert {
    condition     = [for field in google_firestore_field.call_expires_at : "${field.database} ${field.collection} ${field.field}"] == ["(default) calls unringExpiresAt"]
    error_message = "Of the app's calls, nothing is touched but a field that it does not write."
  }

  assert {
    condition     = output.firestore_database == "(default)" && length(google_cloudfunctions2_function.function) == 6
    error_message = "Everything else is as in a project of Unring's own."
  }
}

run "where_the_apps_calls_have_a_ttl_policy" {
  command = plan

  variables {
    create_firestore_database = false
    expire_calls              = false
  }

  assert {
    condition     = length(google_firestore_field.call_expires_at) == 0 && length(google_firestore_field.expires_at) == 5
    error_message = "Nothing of the app's calls is touched, and all else expires as ever."
  }
}

run "with_rules_of_ones_own" {
  command = plan

  variables {
    manage_firestore_rules = false
  }

  assert {
    condition     = length(google_firestore_database.this) == 1 && length(google_firebaserules_ruleset.firestore) + length(google_firebaserules_release.firestore) == 0
    error_message = "Whoever releases rules of his own keeps them."
  }
}

# The location of a database is for ever, and what it holds is the app's.

run "with_another_location_than_the_database_has" {
  command = plan

  variables {
    firestore_location = "eur3"
  }

  assert {
    condition     = google_firestore_database.this["created"].location_id == run.deployed.firestore_location
    error_message = "Another location is no reason to replace a database."
  }
}

# What is made where the provider says must be what the functions are told of.

run "with_a_provider_of_another_project" {
  command = plan

  variables {
    project = "another-project"
  }

  expect_failures = [data.google_project.this]
}

run "with_a_provider_of_another_region" {
  command = plan

  variables {
    aws_region = "eu-west-1"
  }

  expect_failures = [data.aws_region.this]
}

run "from_a_source_elsewhere" {
  command = plan

  variables {
    source_path = "./tests/source"
  }

  assert {
    condition     = toset([for file in data.archive_file.source.source : file.filename]) == toset(["main.py", "requirements.txt", "functions/it.py"])
    error_message = "What is deployed lies where source_path says."
  }
}
