# What a deployment is made of, by what Terraform computes with nobody to deploy to.

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

run "deployed" {
  variables {
    firestore_location = "nam5"
    webhook_urls       = ["https://app.example/hook", "https://audit.example/?key=a%2Fb"]
    webhook_secret     = { secret = "app-webhooks", version = "2", previous_version = "1" }
  }

  # What is turned on: of each of these, something here or in the functions calls the API

  assert {
    condition = keys(google_project_service.api) == [for name in [
      "artifactregistry", "cloudbuild", "cloudfunctions", "cloudresourcemanager", "cloudscheduler", "cloudtasks", "fcm", "firebaserules",
      "firestore", "iam", "iamcredentials", "identitytoolkit", "logging", "monitoring", "pubsub", "run", "secretmanager", "storage",
    ] : "${name}.googleapis.com"]
    error_message = "Every API that is called is enabled, and no other."
  }

  # Who may what

  assert {
    condition     = [for key, invoker in google_cloud_run_v2_service_iam_member.invoker : key if invoker.member == "allUsers"] == ["api", "gateway"]
    error_message = "Only gateway and api are public."
  }

  assert {
    condition = alltrue([
      for key, invoker in google_cloud_run_v2_service_iam_member.invoker :
      invoker.role == "roles/run.invoker" && invoker.name == "unring-${key}" && (contains(["gateway", "api"], key) || invoker.member == google_service_account.caller.member)
    ])
    error_message = "Who calls deliver, push, webhook, ring and sweep is Pub/Sub, Cloud Tasks and Cloud Scheduler, by one account, and it may do no more than that."
  }

  assert {
    condition     = { for key, function in google_cloudfunctions2_function.function : key => one(function.service_config).ingress_settings } == { gateway = "ALLOW_ALL", api = "ALLOW_ALL", deliver = "ALLOW_INTERNAL_ONLY", push = "ALLOW_INTERNAL_ONLY", webhook = "ALLOW_INTERNAL_ONLY", ring = "ALLOW_INTERNAL_ONLY", sweep = "ALLOW_INTERNAL_ONLY" }
    error_message = "Only gateway and api are reached from outside of the project."
  }

  assert {
    condition = alltrue([
      for key, function in google_cloudfunctions2_function.function :
      one(function.service_config).service_account_email == google_service_account.function[key].email
    ]) && length(distinct(values(google_service_account.function)[*].email)) == 7
    error_message = "Each function has an account of its own."
  }

  assert {
    condition     = { for key, member in google_project_iam_member.firestore : key => [member.role, member.member] } == { for key, account in google_service_account.function : key => ["roles/datastore.user", account.member] }
    error_message = "Each function reads and writes Firestore, and nothing else of the project."
  }

  assert {
    condition     = { for key, member in google_pubsub_topic_iam_member.publisher : key => [member.topic, member.role, member.member] } == { for key in ["gateway", "api", "push", "ring", "sweep"] : key => ["unring-call-events", "roles/pubsub.publisher", google_service_account.function[key].member] }
    error_message = "gateway, api, push, ring and sweep publish, to this topic only."
  }

  assert {
    condition     = join(" ", google_project_iam_custom_role.sender["made"].permissions) == "cloudmessaging.messages.create" && google_project_iam_member.sender.role == google_project_iam_custom_role.sender["made"].id && google_project_iam_member.sender.member == google_service_account.function["push"].member
    error_message = "push sends messages, and nobody else does."
  }

  assert {
    condition     = google_secret_manager_secret_iam_member.gateway.role == "roles/secretmanager.secretAccessor" && google_secret_manager_secret_iam_member.gateway.secret_id == google_secret_manager_secret.gateway.id && google_secret_manager_secret_iam_member.gateway.member == google_service_account.function["gateway"].member
    error_message = "gateway reads its secret, and nobody else does."
  }

  assert {
    condition     = google_project_iam_member.builder_logs.role == "roles/logging.logWriter" && google_artifact_registry_repository_iam_member.builder.role == "roles/artifactregistry.writer" && google_project_iam_member.builder_source.role == "roles/storage.objectViewer" && strcontains(one(google_project_iam_member.builder_source.condition).expression, "/buckets/gcf-v2-sources-123456789012-")
    error_message = "The builder writes logs and images, and reads nothing but the functions' sources."
  }

  assert {
    condition = alltrue([for function in google_cloudfunctions2_function.function :
    one(function.build_config).service_account == google_service_account.builder.id && one(function.build_config).docker_repository == google_artifact_registry_repository.images.id])
    error_message = "The images are built by the builder, and kept where it may write."
  }

  # The functions

  assert {
    condition     = { for key, function in google_cloudfunctions2_function.function : key => [one(function.build_config).runtime, one(function.build_config).entry_point, one(function.service_config).environment_variables.FUNCTION_USE_ASGI] } == { for key in ["gateway", "api", "deliver", "push", "webhook", "ring", "sweep"] : key => ["python313", key, "true"] }
    error_message = "There are the seven functions, on Python 3.13 and ASGI."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : one(function.service_config).all_traffic_on_latest_revision])
    error_message = "What is deployed is what runs."
  }

  assert {
    condition     = { for key, function in google_cloudfunctions2_function.function : key => one(function.service_config).min_instance_count } == { gateway = 1, api = 0, deliver = 1, push = 0, webhook = 0, ring = 0, sweep = 0 }
    error_message = "An instance of gateway and one of deliver are always there."
  }

  assert {
    condition     = google_storage_bucket_object.source.name == "${data.archive_file.source.output_sha256}.zip" && alltrue([for function in google_cloudfunctions2_function.function : one(one(one(function.build_config).source).storage_source).object == google_storage_bucket_object.source.name])
    error_message = "All functions come from one archive, which is named for its content."
  }

  assert {
    condition     = alltrue([for file in data.archive_file.source.source : can(regex("^(main\\.py|requirements\\.txt|functions/([a-z]+/)*[a-z0-9_]+\\.py)$", file.filename))]) && length(data.archive_file.source.source) > 20
    error_message = "The archive has what the functions run, and nothing else."
  }

  assert {
    condition     = google_storage_bucket.source.public_access_prevention == "enforced"
    error_message = "The source is nobody else's."
  }

  # Pub/Sub

  assert {
    condition = { for key, subscription in google_pubsub_subscription.push : key => subscription.name } == { deliver = "unring-deliver-2", push = "unring-push", ring = "unring-ring" } && alltrue([
      for key, subscription in google_pubsub_subscription.push :
      one(subscription.push_config).push_endpoint == one(google_cloudfunctions2_function.function[key].service_config).uri &&
      one(one(subscription.push_config).oidc_token).service_account_email == google_service_account.caller.email &&
      one(one(subscription.push_config).oidc_token).audience == one(subscription.push_config).push_endpoint
    ])
    error_message = "Every event goes to deliver, push and ring, by a caller who says who it is."
  }

  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.push : one(subscription.retry_policy).minimum_backoff == "1s" && one(subscription.retry_policy).maximum_backoff == "10s"])
    error_message = "What failed comes again after 1 to 10 s."
  }

  assert {
    condition     = alltrue([for subscription in google_pubsub_subscription.push : one(subscription.dead_letter_policy).dead_letter_topic == google_pubsub_topic.dead_letters.id && one(subscription.dead_letter_policy).max_delivery_attempts == 10])
    error_message = "What fails again and again becomes a dead letter."
  }

  assert {
    condition = output.webhooks == { for url in ["https://app.example/hook", "https://audit.example/?key=a%2Fb"] : substr(sha256(url), 0, 16) => url } && alltrue(flatten([
      for kind, path in { webhook = "", wanted = "/wanted" } : [
        for key, subscription in kind == "webhook" ? google_pubsub_subscription.webhook : google_pubsub_subscription.wanted :
        subscription.name == "unring-${kind}-${key}" &&
        subscription.filter == "attributes.${kind} = \"true\"" &&
        one(subscription.push_config).push_endpoint == "${one(google_cloudfunctions2_function.function["webhook"].service_config).uri}/${key}${path}" &&
        one(one(subscription.push_config).oidc_token).service_account_email == google_service_account.caller.email &&
        one(one(subscription.push_config).oidc_token).audience == one(google_cloudfunctions2_function.function["webhook"].service_config).uri &&
        one(subscription.expiration_policy).ttl == "" &&
        one(google_cloudfunctions2_function.function["webhook"].service_config).timeout_seconds > subscription.ack_deadline_seconds
      ]
    ]))
    error_message = "Each URL has a subscription, and the first another, named by it, whose deliveries webhook tells apart by their path."
  }

  assert {
    condition     = keys(google_pubsub_subscription.webhook) == keys(output.webhooks) && keys(google_pubsub_subscription.wanted) == [substr(sha256("https://app.example/hook"), 0, 16)]
    error_message = "Each URL is told of everything, and the first alone is asked to push."
  }

  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.webhook :
      one(subscription.retry_policy).minimum_backoff == "10s" && one(subscription.retry_policy).maximum_backoff == "600s" &&
      one(subscription.dead_letter_policy).dead_letter_topic == google_pubsub_topic.dead_letters.id && one(subscription.dead_letter_policy).max_delivery_attempts == 100
    ])
    error_message = "A webhook is tried for some 15 hours, and is then a dead letter."
  }

  assert {
    condition = alltrue([
      for subscription in google_pubsub_subscription.wanted :
      one(subscription.retry_policy).minimum_backoff == "1s" && one(subscription.retry_policy).maximum_backoff == "10s" &&
      length(subscription.dead_letter_policy) == 0 && subscription.message_retention_duration == "600s"
    ])
    error_message = "A push that a backend is to send is tried often, and is never a dead letter."
  }

  assert {
    condition     = google_pubsub_subscription.dead_letters.topic == google_pubsub_topic.dead_letters.id && length(google_pubsub_subscription.dead_letters.push_config) == 0 && google_pubsub_subscription.dead_letters.message_retention_duration == "${7 * 24 * 3600}s"
    error_message = "Dead letters wait a week to be pulled."
  }

  assert {
    condition     = alltrue([for subscription in concat(values(google_pubsub_subscription.push), [google_pubsub_subscription.dead_letters]) : one(subscription.expiration_policy).ttl == ""])
    error_message = "No subscription expires."
  }

  assert {
    condition     = alltrue([for key, subscription in google_pubsub_subscription.push : one(google_cloudfunctions2_function.function[key].service_config).timeout_seconds > subscription.ack_deadline_seconds])
    error_message = "A function may take as long as Pub/Sub waits for it."
  }

  assert {
    condition = (
      [google_pubsub_topic_iam_member.dead_letters.topic, google_pubsub_topic_iam_member.dead_letters.role] == ["unring-call-events-dead", "roles/pubsub.publisher"] &&
      { for key, member in google_pubsub_subscription_iam_member.dead_letters : key => member.role } == { for key in concat(["deliver", "push", "ring"], keys(output.webhooks)) : key => "roles/pubsub.subscriber" } &&
      toset(concat([google_pubsub_topic_iam_member.dead_letters.member], values(google_pubsub_subscription_iam_member.dead_letters)[*].member)) == toset(["serviceAccount:service-123456789012@gcp-sa-pubsub.iam.gserviceaccount.com"])
    )
    error_message = "Pub/Sub itself may move a dead letter."
  }

  # Cloud Tasks

  assert {
    condition     = [google_cloud_tasks_queue.rings.name, google_cloud_tasks_queue.rings.location] == ["unring-rings", "us-east4"] && one(google_cloudfunctions2_function.function["ring"].service_config).environment_variables.TASKS_QUEUE == "projects/unring-test/locations/us-east4/queues/unring-rings" && one(google_cloud_tasks_queue.rings.rate_limits).max_dispatches_per_second == 500 && one(google_cloud_tasks_queue.rings.rate_limits).max_concurrent_dispatches == 800
    error_message = "Rings end by one queue, as fast as a queue may and ring can."
  }

  assert {
    condition     = [for retries in google_cloud_tasks_queue.rings.retry_config : [retries.max_attempts, retries.max_retry_duration, retries.min_backoff, retries.max_backoff]] == [[10, "600s", "1s", "10s"]]
    error_message = "The end of a ring is tried for ten minutes at least."
  }

  assert {
    condition     = [google_cloud_tasks_queue_iam_member.ring.name, google_cloud_tasks_queue_iam_member.ring.role, google_cloud_tasks_queue_iam_member.ring.member] == ["unring-rings", "roles/cloudtasks.enqueuer", google_service_account.function["ring"].member] && [google_service_account_iam_member.ring_acts_as_caller.service_account_id, google_service_account_iam_member.ring_acts_as_caller.role, google_service_account_iam_member.ring_acts_as_caller.member] == [google_service_account.caller.name, "roles/iam.serviceAccountUser", google_service_account.function["ring"].member]
    error_message = "ring adds tasks to this queue alone, and they come as the caller."
  }

  assert {
    condition     = [one(google_cloudfunctions2_function.function["ring"].service_config).environment_variables.TASKS_URL, one(google_cloudfunctions2_function.function["ring"].service_config).environment_variables.TASKS_SERVICE_ACCOUNT] == ["https://unring-ring-123456789012.us-east4.run.app", google_service_account.caller.email]
    error_message = "ring has its tasks sent to itself, by who may invoke it."
  }

  # Firestore

  assert {
    condition     = [for database in google_firestore_database.this : [database.name, database.location_id, database.delete_protection_state, database.deletion_policy, database.point_in_time_recovery_enablement]] == [["(default)", "nam5", "DELETE_PROTECTION_ENABLED", "ABANDON", "POINT_IN_TIME_RECOVERY_ENABLED"]]
    error_message = "The database can't be deleted by Terraform, and its past can be had again."
  }

  assert {
    condition     = toset([for field in google_firestore_field.expires_at : "${field.collection} ${field.field} ${length(field.ttl_config)}"]) == toset(["unring_births expiresAt 1", "unring_connections expiresAt 1", "unring_devices expiresAt 1", "unring_outbox expiresAt 1", "unring_polls expiresAt 1"])
    error_message = "Births, connections, devices, outbox entries and what waits for who polls go when they have expired, and nothing of a name that an app may have."
  }

  assert {
    condition     = [for field in google_firestore_field.call_expires_at : [field.database, field.collection, field.field, length(field.ttl_config), length(one(field.index_config).indexes)]] == [["(default)", "calls", "unringExpiresAt", 1, 0]]
    error_message = "Calls that we created go when they have expired, and no index grows with them."
  }

  assert {
    condition = toset([for field in google_firestore_field.unindexed : "${field.collection} ${field.field}"]) == toset([
      "unring_connections admittedAt", "unring_connections alsoIn", "unring_connections calling", "unring_connections closedAt", "unring_connections connectedAt", "unring_connections formerLeftAt",
      "unring_connections leftAt", "unring_devices registeredAt", "unring_outbox claimedAt", "unring_outbox event", "unring_polls packets",
    ]) && alltrue([for field in google_firestore_field.unindexed : length(one(field.index_config).indexes) == 0 && length(field.ttl_config) == 0])
    error_message = "What grows and is not asked for is in no index."
  }

  assert {
    condition     = [google_firestore_index.missed.database, google_firestore_index.missed.collection, google_firestore_index.missed.query_scope] == ["(default)", "unring_outbox", "COLLECTION"]
    error_message = "What a user has missed is looked for in the outbox."
  }

  assert {
    # What must be equal comes before what must be in order. For what is not set, a mock makes values up.
    condition = (
      google_firestore_index.missed.fields[*].field_path == tolist(["recipients", "expiresAt"]) &&
      [google_firestore_index.missed.fields[0].array_config, google_firestore_index.missed.fields[1].order] == ["CONTAINS", "DESCENDING"]
    )
    error_message = "It is found by whose it is and by when it expires."
  }

  assert {
    condition     = join(" ", regexall("allow [^;]*;", one(one(one(values(google_firebaserules_ruleset.firestore)).source).files).content)) == "allow read, write: if false;" && one(values(google_firebaserules_release.firestore)).name == "cloud.firestore" && one(values(google_firebaserules_release.firestore)).ruleset_name == one(values(google_firebaserules_ruleset.firestore)).name
    error_message = "Clients have no access to a database that Terraform has created."
  }

  assert {
    condition = alltrue([for function in google_cloudfunctions2_function.function : { for name in ["FIRESTORE_DATABASE", "CALLS_COLLECTION", "COLLECTION_PREFIX"] : name => one(function.service_config).environment_variables[name] } == {
      FIRESTORE_DATABASE = "(default)", CALLS_COLLECTION = "calls", COLLECTION_PREFIX = "unring_"
    }])
    error_message = "Every function is told where the documents are."
  }

  # Cloud Scheduler

  assert {
    condition     = google_cloud_scheduler_job.sweep.schedule == "* * * * *" && one(google_cloud_scheduler_job.sweep.http_target).http_method == "POST" && one(google_cloud_scheduler_job.sweep.http_target).uri == one(google_cloudfunctions2_function.function["sweep"].service_config).uri
    error_message = "sweep is called every minute."
  }

  assert {
    condition     = one(one(google_cloud_scheduler_job.sweep.http_target).oidc_token).service_account_email == google_service_account.caller.email && one(one(google_cloud_scheduler_job.sweep.http_target).oidc_token).audience == one(google_cloudfunctions2_function.function["sweep"].service_config).uri
    error_message = "Cloud Scheduler says who it is."
  }

  assert {
    condition     = one(google_cloudfunctions2_function.function["sweep"].service_config).timeout_seconds > 60 && tonumber(trimsuffix(google_cloud_scheduler_job.sweep.attempt_deadline, "s")) > one(google_cloudfunctions2_function.function["sweep"].service_config).timeout_seconds
    error_message = "sweep may look for a whole minute, and Cloud Scheduler waits for its answer."
  }

  assert {
    condition = toset(keys(google_cloud_scheduler_job.warm_up)) == toset(["gateway", "deliver"]) && alltrue([
      for name, job in google_cloud_scheduler_job.warm_up :
      one(job.http_target).http_method == "GET" && one(job.http_target).uri == one(google_cloudfunctions2_function.function[name].service_config).uri && one(one(job.http_target).oidc_token).service_account_email == google_service_account.caller.email
    ])
    error_message = "gateway and deliver are kept warm."
  }

  # The gateway secret

  assert {
    condition = toset(keys(google_secret_manager_secret_version.gateway)) == toset(["0", "1"]) && output.gateway_secret_versions == {
      GATEWAY_SECRET          = google_secret_manager_secret_version.gateway["1"].version
      GATEWAY_SECRET_PREVIOUS = google_secret_manager_secret_version.gateway["0"].version
    }
    error_message = "Two secrets are accepted from the beginning."
  }

  assert {
    condition     = { for key, function in google_cloudfunctions2_function.function : key => { for secret in one(function.service_config).secret_environment_variables : secret.key => secret.version } } == { gateway = merge(output.gateway_secret_versions, output.ring_token_secret_versions), api = output.ring_token_secret_versions, deliver = {}, push = output.ring_token_secret_versions, webhook = merge({ WEBHOOK_SECRET = "2", WEBHOOK_SECRET_PREVIOUS = "1" }, output.ring_token_secret_versions), ring = {}, sweep = {} }
    error_message = "gateway gets both secrets from Secret Manager, webhook its own, and who has to do with ring tokens theirs."
  }

  assert {
    condition     = toset([for secret in one(google_cloudfunctions2_function.function["gateway"].service_config).secret_environment_variables : "${secret.project_id} ${secret.secret}"]) == toset(["unring-test unring-gateway", "unring-test unring-ring-token"]) && google_secret_manager_secret.gateway.secret_id == "unring-gateway"
    error_message = "Both are of the secret that gateway may read."
  }

  assert {
    condition = output.ring_token_secret_versions == {
      RING_TOKEN_SECRET          = google_secret_manager_secret_version.ring_token["1"].version
      RING_TOKEN_SECRET_PREVIOUS = google_secret_manager_secret_version.ring_token["0"].version
    } && toset(keys(google_secret_manager_secret_iam_member.ring_token)) == toset(["gateway", "api", "push", "webhook"]) && google_secret_manager_secret.ring_token.secret_id == "unring-ring-token"
    error_message = "Who signs or verifies ring tokens may read their secret, of which two generations are accepted."
  }

  assert {
    condition     = alltrue([for integration in aws_apigatewayv2_integration.gateway : integration.request_parameters["integration.request.header.Unring-Secret"] == "'${random_password.gateway["1"].result}'"])
    error_message = "API Gateway sends the current secret with every request."
  }

  assert {
    condition     = alltrue([for key, version in google_secret_manager_secret_version.gateway : version.secret_data == random_password.gateway[key].result]) && alltrue([for password in random_password.gateway : password.length >= 16 && !password.special])
    error_message = "A secret is long, and of letters and digits."
  }

  # The WebSocket API

  assert {
    condition     = aws_apigatewayv2_api.this.protocol_type == "WEBSOCKET" && aws_apigatewayv2_api.this.route_selection_expression == "\\$default"
    error_message = "A frame is not parsed to find its route."
  }

  assert {
    condition     = { for key, route in aws_apigatewayv2_route.this : key => route.route_key } == { for key in ["$connect", "$default", "$disconnect"] : key => key } && alltrue([for key, route in aws_apigatewayv2_route.this : route.target == "integrations/${aws_apigatewayv2_integration.gateway[key].id}"])
    error_message = "There are three routes, and every frame comes by $default."
  }

  assert {
    condition = alltrue([
      for integration in aws_apigatewayv2_integration.gateway :
      integration.integration_type == "HTTP_PROXY" && integration.integration_method == "POST" && integration.integration_uri == one(google_cloudfunctions2_function.function["gateway"].service_config).uri
    ])
    error_message = "All routes lead to gateway."
  }

  assert {
    condition     = [for key, route in aws_apigatewayv2_route.this : key if route.route_response_selection_expression == "$default"] == ["$default"] && { for key, response in aws_apigatewayv2_route_response.this : key => [response.route_id, response.route_response_key] } == { "$default" = [aws_apigatewayv2_route.this["$default"].id, "$default"] }
    error_message = "Frames are answered, and only they."
  }

  assert {
    condition = alltrue([
      for key, integration in aws_apigatewayv2_integration.gateway :
      join(" ", sort([for source in values(integration.request_parameters) : source if startswith(source, "route.request.")])) == join(" ", sort([for parameter in aws_apigatewayv2_route.this[key].request_parameter : parameter.request_parameter_key]))
    ]) && alltrue(flatten([for route in aws_apigatewayv2_route.this : [for parameter in route.request_parameter : !parameter.required]]))
    error_message = "What a route maps of the client's, it declares, and does not require."
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit == 1000 && one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit == 2000
    error_message = "Both throttling limits are set."
  }

  assert {
    condition     = aws_apigatewayv2_stage.this.auto_deploy && length(aws_apigatewayv2_stage.this.access_log_settings) + length(aws_cloudwatch_log_group.access) + length(aws_api_gateway_account.this) + length(aws_iam_role.logs) == 0
    error_message = "The stage is deployed, and nothing of the whole AWS account is touched."
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.this.default_route_settings).logging_level == "OFF" && !one(aws_apigatewayv2_stage.this.default_route_settings).data_trace_enabled
    error_message = "No log has headers, tokens or addresses."
  }

  assert {
    condition     = { for key, integration in aws_apigatewayv2_integration.gateway : key => { for place, value in integration.request_parameters : place => value if contains(["integration.request.header.Sec-WebSocket-Version", "integration.request.querystring.token"], place) } } == { "$connect" = { "integration.request.header.Sec-WebSocket-Version" = "'0'", "integration.request.querystring.token" = "'-'" }, "$default" = {}, "$disconnect" = {} }
    error_message = "Neither the WebSocket's own header nor the token in the query is passed on."
  }

  assert {
    condition     = google_logging_project_exclusion.tokens.filter == "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^unring-(api|gateway)$\" AND log_id(\"run.googleapis.com/requests\") AND httpRequest.requestUrl=~\"[?&](token|ring|sid)=([^-&]|-[^&])\""
    error_message = "No request whose URL has a token or the id of a session is logged."
  }

  assert {
    condition     = google_logging_project_exclusion.users.filter == "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"unring-api\" AND log_id(\"run.googleapis.com/requests\") AND httpRequest.requestUrl=~\"^https?://[^/]+/v1/users/\""
    error_message = "No request whose path has a user's id is logged."
  }

  assert {
    condition     = length(aws_apigatewayv2_domain_name.this) + length(aws_apigatewayv2_api_mapping.this) + length(aws_route53_record.this) == 0
    error_message = "There is no custom domain unless one is asked for."
  }

  # The role that posts to sockets

  assert {
    condition     = [for statement in jsondecode(aws_iam_role.poster.assume_role_policy).Statement : [statement.Effect, statement.Action, statement.Principal]] == [for function in ["gateway", "api", "deliver", "ring", "sweep"] : ["Allow", "sts:AssumeRoleWithWebIdentity", { Federated = "accounts.google.com" }]]
    error_message = "Only Google vouches for who takes the role."
  }

  assert {
    condition = [for statement in jsondecode(aws_iam_role.poster.assume_role_policy).Statement : statement.Condition] == [for function in ["gateway", "api", "deliver", "ring", "sweep"] : {
      StringEquals = {
        "accounts.google.com:aud"  = [google_service_account.function[function].unique_id, google_service_account.function[function].email]
        "accounts.google.com:oaud" = "unring"
        "accounts.google.com:sub"  = google_service_account.function[function].unique_id
      }
    }]
    error_message = "gateway, api, deliver, ring and sweep take the role, each by its own aud, oaud and sub."
  }

  assert {
    condition = jsondecode(aws_iam_role_policy.poster.policy).Statement == [{
      Effect   = "Allow"
      Action   = "execute-api:ManageConnections"
      Resource = [for method in ["POST", "DELETE"] : "arn:aws:execute-api:us-east-1:210987654321:abcdef1234/prod/${method}/@connections/*"]
    }] && aws_iam_role_policy.poster.role == aws_iam_role.poster.id
    error_message = "The role posts to the sockets of one stage of one API and closes them, and does nothing else."
  }

  # Watching

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : length(regexall("\n[1-3]\\. ", "\n${one(policy.documentation).content}")) >= 2])
    error_message = "Every alert says what to do, step by step."
  }

  assert {
    # With ' for ", as nothing here would notice what a wrong letter in a query does.
    condition = { for key, policy in google_monitoring_alert_policy.this : key => [
      policy.severity,
      one(one(policy.conditions).condition_prometheus_query_language).duration,
      replace(one(one(policy.conditions).condition_prometheus_query_language).query, "\"", "'"),
      ] } == {
      latency           = ["WARNING", "300s", "histogram_quantile(0.99, sum by (le) (increase(logging_googleapis_com:user_unring_told_latency_bucket{monitored_resource='cloud_run_revision'}[5m]))) > 100 and sum(increase(logging_googleapis_com:user_unring_told_latency_count{monitored_resource='cloud_run_revision'}[5m])) > 5"]
      dead_letters      = ["ERROR", "0s", "max(pubsub_googleapis_com:subscription_num_undelivered_messages{monitored_resource='pubsub_subscription',subscription_id='unring-call-events-dead'}) > 0"]
      backlog           = ["CRITICAL", "60s", "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource='pubsub_subscription',subscription_id=~'unring-deliver-2|unring-push|unring-ring'}) > 30"]
      tasks             = ["ERROR", "120s", "sum(increase(cloudtasks_googleapis_com:queue_task_attempt_count{monitored_resource='cloud_tasks_queue',queue_id='unring-rings',response_code!='ok'}[5m])) > 5"]
      late_timeouts     = ["ERROR", "0s", "sum(increase(logging_googleapis_com:user_unring_late_timeouts{monitored_resource='cloud_run_revision'}[10m])) > 5"]
      overdue           = ["ERROR", "60s", "sum(increase(logging_googleapis_com:user_unring_overdue_count{monitored_resource='cloud_run_revision'}[5m])) > 1"]
      outbox            = ["ERROR", "60s", "histogram_quantile(0.7, sum by (le) (increase(logging_googleapis_com:user_unring_outbox_age_bucket{monitored_resource='cloud_run_revision'}[5m]))) > 30000"]
      unreadable        = ["ERROR", "0s", "sum(increase(logging_googleapis_com:user_unring_unreadable{monitored_resource='cloud_run_revision'}[10m])) > 0"]
      refused_pushes    = ["ERROR", "0s", "sum(increase(logging_googleapis_com:user_unring_refused_pushes_count{monitored_resource='cloud_run_revision'}[10m])) > 0"]
      webhooks          = ["ERROR", "600s", "sum(increase(logging_googleapis_com:user_unring_webhooks_failed{monitored_resource='cloud_run_revision'}[10m])) > 0"]
      waiting_webhooks  = ["ERROR", "60s", "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource='pubsub_subscription',subscription_id=~'${join("|", [for key in keys(output.webhooks) : "unring-webhook-${key}"])}'}) > 1200"]
      waiting_pushes    = ["CRITICAL", "60s", "max by (subscription_id) (pubsub_googleapis_com:subscription_oldest_unacked_message_age{monitored_resource='pubsub_subscription',subscription_id=~'unring-wanted-${substr(sha256("https://app.example/hook"), 0, 16)}'}) > 60"]
      unwanted_webhooks = ["ERROR", "0s", "sum(increase(logging_googleapis_com:user_unring_webhooks_unwanted{monitored_resource='cloud_run_revision'}[10m])) > 0"]
      sweep             = ["ERROR", "300s", "absent_over_time(run_googleapis_com:request_count{monitored_resource='cloud_run_revision',service_name='unring-sweep',response_code_class='2xx'}[10m])"]
      errors            = ["ERROR", "120s", "sum by (service_name) (increase(run_googleapis_com:request_count{monitored_resource='cloud_run_revision',service_name=~'unring-api|unring-deliver|unring-gateway|unring-push|unring-ring|unring-sweep|unring-webhook',service_name!='unring-webhook',response_code_class='5xx'}[5m])) / sum by (service_name) (increase(run_googleapis_com:request_count{monitored_resource='cloud_run_revision',service_name=~'unring-api|unring-deliver|unring-gateway|unring-push|unring-ring|unring-sweep|unring-webhook',service_name!='unring-webhook'}[5m])) > 0.05 and sum by (service_name) (increase(run_googleapis_com:request_count{monitored_resource='cloud_run_revision',service_name=~'unring-api|unring-deliver|unring-gateway|unring-push|unring-ring|unring-sweep|unring-webhook',service_name!='unring-webhook',response_code_class='5xx'}[5m])) > 5"]
    }
    error_message = "There is an alert for latency, dead letters, waiting events, tasks, late time-outs, overdue rings, the outbox, unreadable entries, refused messages, webhooks that are not taken, wait or are not wanted, pushes that wait, sweep and errors, each with its bounds."
  }

  assert {
    condition = { for name in ["expired", "unreadable"] : name => google_logging_metric.this[name].filter } == {
      expired    = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^unring-\" AND jsonPayload.message=\"expired\""
      unreadable = "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"unring-sweep\" AND jsonPayload.message=\"unreadable entry\""
    }
    error_message = "What expired is counted by whoever drops it, and what nobody can read by sweep, which removes it."
  }

  assert {
    condition = { for name in ["changes", "told_elsewhere", "overdue"] : name => [
      google_logging_metric.this[name].filter,
      one(google_logging_metric.this[name].metric_descriptor).value_type == "INT64" ? "lines" : google_logging_metric.this[name].value_extractor,
      join(" ", [for label, field in google_logging_metric.this[name].label_extractors : "${label}=${field}"]),
      ] } == {
      changes = [
        "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^unring-\" AND jsonPayload.message=\"told\"",
        "lines",
        "cause=EXTRACT(jsonPayload.cause) outcome=EXTRACT(jsonPayload.outcome)",
      ]
      told_elsewhere = [
        "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=~\"^unring-\" AND jsonPayload.message=\"told\" AND jsonPayload.elsewhere>0",
        "EXTRACT(jsonPayload.elsewhere)",
        "",
      ]
      overdue = [
        "resource.type=\"cloud_run_revision\" AND resource.labels.service_name=\"unring-sweep\" AND jsonPayload.message=\"swept\" AND jsonPayload.overdue>0",
        "EXTRACT(jsonPayload.overdue)",
        "",
      ]
    }
    error_message = "Each change of a call is counted by whoever tells of it, with its outcome and cause; sockets elsewhere and overdue rings are added up."
  }

  assert {
    condition     = one(one(google_monitoring_slo.latency.request_based_sli).distribution_cut).range[0].max == 100 && contains(one(one(google_logging_metric.this["told_latency"].bucket_options).explicit_buckets).bounds, 100) && one(one(google_monitoring_slo.latency.request_based_sli).distribution_cut).distribution_filter == "metric.type=\"logging.googleapis.com/user/unring/told_latency\" AND resource.type=\"cloud_run_revision\"" && google_monitoring_slo.latency.goal == 0.99
    error_message = "The objective counts what was told within 100 ms, which is a bound of the metric."
  }

  assert {
    condition     = alltrue([for name in keys(google_logging_metric.this) : strcontains(google_monitoring_dashboard.this.dashboard_json, "user_unring_${name}")]) && length(jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles) == 19
    error_message = "The dashboard shows every metric."
  }

  assert {
    condition = alltrue(flatten([for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : [for axis in ["xPos", "yPos"] : try(tile[axis], 1) > 0]])) && length(distinct([
      for tile in jsondecode(google_monitoring_dashboard.this.dashboard_json).mosaicLayout.tiles : "${try(tile.xPos, 0)} ${try(tile.yPos, 0)}"
    ])) == 19
    error_message = "Each tile has a place of its own, and none a 0 that Google leaves out."
  }

  # What an app developer needs

  assert {
    condition     = [output.websocket_url, output.socketio_url, output.socketio_path] == [aws_apigatewayv2_stage.this.invoke_url, "https://abcdef1234.execute-api.us-east-1.amazonaws.com", "/prod"]
    error_message = "Without a domain, clients connect to the stage."
  }

  assert {
    condition     = output.stage_url == "wss://abcdef1234.execute-api.us-east-1.amazonaws.com/prod"
    error_message = "The front is told where the API itself is."
  }

  assert {
    condition     = alltrue([for key in ["gateway", "api", "deliver", "ring", "sweep"] : one(google_cloudfunctions2_function.function[key].service_config).environment_variables.CONNECTIONS_URL == "https://abcdef1234.execute-api.us-east-1.amazonaws.com/prod/@connections"])
    error_message = "Who posts knows where."
  }
}

run "with_every_option" {
  command = plan

  override_data {
    target = data.aws_region.this
    values = { name = "eu-west-1" }
  }

  override_resource {
    target          = aws_apigatewayv2_domain_name.this
    override_during = plan
    values = {
      domain_name_configuration = {
        target_domain_name = "d-abcdef1234.execute-api.eu-west-1.amazonaws.com"
        hosted_zone_id     = "ZLY8HYME6SFDD"
      }
    }
  }

  variables {
    name                       = "unring-two"
    stage                      = "v2"
    aws_region                 = "eu-west-1"
    firestore_database         = "calls"
    calls_collection           = "rings"
    collection_prefix          = ""
    dialect                    = "namespaces = [\"/user\"]\n"
    fcm_sender_role            = "projects/unring-test/roles/fcmSender"
    allow_all_users            = false
    connect_headers            = { Sec-WebSocket-Version = "0", Sec-WebSocket-Extensions = "none" }
    hide_query_token           = false
    access_log                 = true
    manage_api_gateway_account = true
    token_secret               = { secret = "app-tokens", version = "3", previous_version = "2" }
    api_key                    = { secret = "app-key", version = "5", previous_version = "4" }
    internal_secret            = { secret = "app-internal", version = "7", previous_version = "6" }
    aws_budget                 = { monthly_usd = 50, emails = ["ops@example.com"] }
    notification_channels      = ["projects/unring-test/notificationChannels/1"]
    throttle                   = { rate = 5, burst = 10 }
    firebase_project           = "the-app"
    webhook_urls               = ["https://app.example/hook"]
    webhook_secret             = { secret = "app-webhooks", version = "2", previous_version = "1" }
    pushed_by                  = { incoming = "backend", cancelled = "off" }
    functions                  = { push = { cpu = 2, memory = "1Gi", concurrency = 7, min_instances = 3, max_instances = 9 } }
    domain = {
      name            = "ws.example.com"
      certificate_arn = "arn:aws:acm:eu-west-1:210987654321:certificate/1"
      zone_id         = "Z0123456789"
    }
    settings = {
      gateway = {
        BUSY                   = "in-call", CALLER_GRACE_SECONDS = "5", CALLS_PER_MINUTE = "10", CALL_MAX_SECONDS = "3600", CALL_TTL_DAYS = "7", RING_SECONDS = "45"
        CONNECTION_TTL_SECONDS = "7000", DEVICES_PER_USER = "5", DEVICE_TTL_DAYS = "30", DIRECT_POST_TIMEOUT_MS = "300", FRAMES_PER_SECOND = "10"
        IDENTITY               = "secret,oidc,introspection", INTROSPECTION_URL = "https://app.example/me", INTROSPECTION_USER = "/id", INTROSPECTION_NAME = "/name"
        OIDC_AUDIENCE          = "calls", OIDC_AUDIENCE_CLAIM = "aud", OIDC_ISSUER = "https://issuer.example/", OIDC_USER_CLAIM = "sub", OIDC_NAME_CLAIM = "name"
        TOKEN_AUDIENCE         = "calls", TOKEN_ISSUER = "app", TOKEN_MAX_AGE = "86400", TOKEN_USER_CLAIM = "sub", TOKEN_NAME_CLAIM = "name"
      }
      api = {
        BUSY                       = "in-call", CALLS_PER_MINUTE = "10", CALL_MAX_SECONDS = "3600", CALL_TTL_DAYS = "7", RING_SECONDS = "45"
        CALLER_GRACE_SECONDS       = "5", CONNECTION_TTL_SECONDS = "7000", POLL_HOLD_MS = "500"
        EIO3_PING_INTERVAL_SECONDS = "100", EIO3_PING_TIMEOUT_SECONDS = "20", EIO4_PING_INTERVAL_SECONDS = "100", EIO4_PING_TIMEOUT_SECONDS = "20"
        CORS_ORIGINS               = "https://app.example", DEVICES_PER_USER = "5", DEVICE_TTL_DAYS = "30", DIRECT_POST_TIMEOUT_MS = "300", FRAMES_PER_SECOND = "10"
        IDENTITY                   = "secret,oidc,introspection", INTROSPECTION_URL = "https://app.example/me", INTROSPECTION_USER = "/id", INTROSPECTION_NAME = "/name"
        OIDC_AUDIENCE              = "calls", OIDC_AUDIENCE_CLAIM = "aud", OIDC_ISSUER = "https://issuer.example/", OIDC_USER_CLAIM = "sub", OIDC_NAME_CLAIM = "name"
        TOKEN_AUDIENCE             = "calls", TOKEN_ISSUER = "app", TOKEN_MAX_AGE = "86400", TOKEN_USER_CLAIM = "sub", TOKEN_NAME_CLAIM = "name"
      }
      deliver = { CONNECTIONS_PER_USER = "5", EIO3_PING_INTERVAL_SECONDS = "100", EIO3_PING_TIMEOUT_SECONDS = "20", EIO4_PING_INTERVAL_SECONDS = "100", EIO4_PING_TIMEOUT_SECONDS = "20" }
      push    = { DEVICES_PER_USER = "5" }
      ring    = { CALLER_GRACE_SECONDS = "5", DIRECT_POST_TIMEOUT_MS = "300" }
      sweep   = { SWEEP_AFTER_SECONDS = "15", SWEEP_EVERY_SECONDS = "30" }
    }
  }

  assert {
    condition     = { for key, mapping in aws_apigatewayv2_api_mapping.this : key => mapping.api_mapping_key } == { "socket.io" = "socket.io", v2 = "v2" } && aws_apigatewayv2_domain_name.this["this"].domain_name == "ws.example.com" && aws_route53_record.this["this"].name == "ws.example.com"
    error_message = "A domain has Socket.IO's own path, and the stage's."
  }

  assert {
    condition     = [for alias in aws_route53_record.this["this"].alias : [alias.name, alias.zone_id]] == [["d-abcdef1234.execute-api.eu-west-1.amazonaws.com", "ZLY8HYME6SFDD"]]
    error_message = "The record leads to the domain's own end in API Gateway."
  }

  assert {
    condition     = [output.websocket_url, output.socketio_url, output.socketio_path] == ["wss://ws.example.com/v2", "https://ws.example.com", "/socket.io"]
    error_message = "With a domain, clients connect to it."
  }

  assert {
    condition     = length(aws_api_gateway_account.this) == 1 && one(aws_api_gateway_account.this).reset_on_delete && one(aws_cloudwatch_log_group.access).retention_in_days == 30 && length(aws_apigatewayv2_stage.this.access_log_settings) == 1
    error_message = "API Gateway may write the access log, for as long as the role is there."
  }

  assert {
    condition     = can(jsondecode(one(aws_apigatewayv2_stage.this.access_log_settings).format).connectionId) && !can(regex("(?i)header|querystring|sourceIp|identity", one(aws_apigatewayv2_stage.this.access_log_settings).format))
    error_message = "The access log has no headers, tokens or addresses."
  }

  assert {
    condition     = { for key, database in google_firestore_database.this : key => [database.name, database.delete_protection_state, database.deletion_policy] } == { created = ["calls", "DELETE_PROTECTION_ENABLED", "ABANDON"] } && one(values(google_firebaserules_release.firestore)).name == "cloud.firestore/calls"
    error_message = "The database has the id that is asked for, and rules of its own."
  }

  assert {
    condition     = toset([for field in google_firestore_field.expires_at : field.collection]) == toset(["births", "connections", "devices", "outbox", "polls"]) && google_firestore_index.missed.collection == "outbox" && one(google_cloudfunctions2_function.function["gateway"].service_config).environment_variables.CALLS_COLLECTION == "rings"
    error_message = "The collections have the names that are asked for."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : one(function.service_config).environment_variables.DIALECT == "namespaces = [\"/user\"]\n"])
    error_message = "All functions have the dialect."
  }

  assert {
    condition     = [for field in google_firestore_field.call_expires_at : "${field.database} ${field.collection}"] == ["calls rings"]
    error_message = "Calls expire in the collection that is asked for."
  }

  assert {
    condition     = !contains(keys(google_cloud_run_v2_service_iam_member.invoker), "gateway") && !contains(keys(google_cloud_run_v2_service_iam_member.invoker), "api") && length(google_cloud_run_v2_service_iam_member.invoker) == 5
    error_message = "Where allUsers is forbidden, nobody is let in by a role."
  }

  assert {
    condition     = length(google_project_iam_custom_role.sender) == 0 && google_project_iam_member.sender.role == "projects/unring-test/roles/fcmSender" && google_project_iam_member.sender.project == "the-app"
    error_message = "A role that was made by hand is used, in the project of FCM."
  }

  assert {
    condition = { for secret in one(google_cloudfunctions2_function.function["gateway"].service_config).secret_environment_variables : secret.key => [secret.secret, secret.version] if startswith(secret.key, "TOKEN_") } == {
      TOKEN_SECRET = ["app-tokens", "3"], TOKEN_SECRET_PREVIOUS = ["app-tokens", "2"]
    } && toset(values(google_secret_manager_secret_iam_member.token)[*].secret_id) == toset(["projects/unring-test/secrets/app-tokens"])
    error_message = "gateway reads the secret of the app's own tokens, of which Terraform knows the name alone."
  }

  assert {
    condition = { for secret in one(google_cloudfunctions2_function.function["api"].service_config).secret_environment_variables : secret.key => [secret.secret, secret.version] if startswith(secret.key, "API_") } == {
      API_KEY = ["app-key", "5"], API_KEY_PREVIOUS = ["app-key", "4"]
    } && { for name, may in google_secret_manager_secret_iam_member.api_key : name => may.secret_id } == { api = "projects/unring-test/secrets/app-key" } && google_secret_manager_secret_iam_member.api_key["api"].member == google_service_account.function["api"].member
    error_message = "api alone reads the key of the app's backend, of which Terraform knows the name alone."
  }

  assert {
    condition = { for secret in one(google_cloudfunctions2_function.function["api"].service_config).secret_environment_variables : secret.key => [secret.secret, secret.version] if startswith(secret.key, "INTERNAL_") } == {
      INTERNAL_SECRET = ["app-internal", "7"], INTERNAL_SECRET_PREVIOUS = ["app-internal", "6"]
    } && { for name, may in google_secret_manager_secret_iam_member.internal : name => may.secret_id } == { api = "projects/unring-test/secrets/app-internal" } && google_secret_manager_secret_iam_member.internal["api"].member == google_service_account.function["api"].member
    error_message = "api alone reads the secret of the old socket server's paths, of which Terraform knows the name alone."
  }

  assert {
    condition     = [for ids in terraform_data.roles_known.triggers_replace : length(ids) if can(length(ids)) && !can(tostring(ids))] == [4, 2, 1, 1, 1]
    error_message = "No function is made before it is known everywhere that it may read its secrets."
  }

  assert {
    condition = alltrue([for key in ["gateway", "api", "ring"] : [
      for name in ["WEBHOOK_URLS", "PUSH_INCOMING", "PUSH_CANCELLED", "PUSH_REJECTED"] :
      one(google_cloudfunctions2_function.function[key].service_config).environment_variables[name]
    ] == ["https://app.example/hook", "backend", "off", "unring"]]) && alltrue([for key in ["gateway", "api"] : one(google_cloudfunctions2_function.function[key].service_config).environment_variables.FIREBASE_PROJECT == "the-app"])
    error_message = "Who makes an event writes into it who pushes."
  }

  assert {
    condition     = { for name, may in google_secret_manager_secret_iam_member.webhook : name => may.secret_id } == { webhook = "projects/unring-test/secrets/app-webhooks" } && google_secret_manager_secret_iam_member.webhook["webhook"].member == google_service_account.function["webhook"].member
    error_message = "webhook alone reads what webhooks are signed with."
  }

  assert {
    condition     = aws_apigatewayv2_integration.gateway["$connect"].request_parameters["integration.request.header.Sec-WebSocket-Extensions"] == "'none'"
    error_message = "More headers of a handshake can be replaced."
  }

  assert {
    condition     = !contains(keys(aws_apigatewayv2_integration.gateway["$connect"].request_parameters), "integration.request.querystring.token")
    error_message = "The query can be left as it is."
  }

  assert {
    condition     = { for key, budget in aws_budgets_budget.this : key => [budget.limit_amount, budget.limit_unit, budget.time_unit] } == { monthly = ["50", "USD", "MONTHLY"] } && one([for filter in aws_budgets_budget.this["monthly"].cost_filter : filter.values]) == tolist(["user:app$unring-two"]) && toset([for notification in aws_budgets_budget.this["monthly"].notification : notification.threshold]) == toset([80, 100])
    error_message = "Somebody is told before the budget is spent."
  }

  assert {
    condition     = alltrue([for policy in google_monitoring_alert_policy.this : policy.notification_channels == tolist(["projects/unring-test/notificationChannels/1"])])
    error_message = "Every alert goes to the channels."
  }

  assert {
    condition     = one(aws_apigatewayv2_stage.this.default_route_settings).throttling_rate_limit == 5 && one(aws_apigatewayv2_stage.this.default_route_settings).throttling_burst_limit == 10
    error_message = "Both throttling limits follow their variable."
  }

  assert {
    condition     = [for config in google_cloudfunctions2_function.function["push"].service_config : [config.available_cpu, config.available_memory, config.max_instance_request_concurrency, config.min_instance_count, config.max_instance_count]] == [["2", "1Gi", 7, 3, 9]]
    error_message = "A function has the size that is asked for."
  }

  assert {
    condition     = alltrue([for function in google_cloudfunctions2_function.function : startswith(function.name, "unring-two-")]) && alltrue([for subscription in google_pubsub_subscription.push : startswith(subscription.name, "unring-two-")]) && google_pubsub_topic.events.name == "unring-two-call-events" && alltrue([for metric in google_logging_metric.this : strcontains(metric.filter, "unring-two-")]) && strcontains(google_monitoring_alert_policy.this["latency"].conditions[0].condition_prometheus_query_language[0].query, ":user_unring_two_told_latency_bucket")
    error_message = "Everything is named after the deployment."
  }
}
