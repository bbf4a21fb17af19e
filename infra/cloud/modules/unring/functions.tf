# The functions, what they are told, and who may call them.

locals {
  caller = google_service_account.caller.member

  # What Terraform decides itself, so that both sides of each have it from here. The others of
  # functions/settings.py have defaults, or point at emulators; tests/cloud/test_cloud.py compares.
  storing = merge(
    {
      GOOGLE_CLOUD_PROJECT = var.project
      FIRESTORE_DATABASE   = var.firestore_database
      CALLS_COLLECTION     = var.calls_collection
      COLLECTION_PREFIX    = var.collection_prefix
    },
    # For all of them, as all of them store.
    var.dialect == null ? {} : { DIALECT = var.dialect },
  )
  publishing = {
    EVENTS_TOPIC = google_pubsub_topic.events.name
  }
  posting = {
    CONNECTIONS_URL    = local.connections_url
    AWS_REGION         = var.aws_region
    AWS_ROLE_ARN       = aws_iam_role.poster.arn
    AWS_TOKEN_AUDIENCE = local.token_audience
  }

  # Where FCM and ID tokens belong, if not to this project.
  firebase = var.firebase_project == null ? {} : { FIREBASE_PROJECT = var.firebase_project }
  telling  = length(var.webhook_urls) == 0 ? {} : { WEBHOOK_URLS = join(",", var.webhook_urls) }
  # What is written into each event: who sends its FCM messages.
  pushing = {
    PUSH_INCOMING  = var.pushed_by.incoming
    PUSH_CANCELLED = var.pushed_by.cancelled
    PUSH_REJECTED  = var.pushed_by.rejected
  }
  committing = merge(local.publishing, local.posting, local.telling, local.pushing)
  signaling  = merge(local.committing, local.firebase)

  functions = merge(local.always, { for name in ["webhook"] : name => local.webhook if length(var.webhook_urls) > 0 })

  webhook = {
    environment = local.telling
    secrets     = merge(local.webhook_secrets, local.ring_token_secrets)
    timeout     = 45 # more than the acknowledgement deadline
    ingress     = "ALLOW_INTERNAL_ONLY"
    caller      = local.caller
  }
  always = {
    gateway = {
      environment = merge(local.signaling, {
        # Of what Cloud Run lets in at once: it adds instances from 60 % on, before this one refuses.
        REQUESTS_AT_ONCE = tostring(max(1, floor(0.9 * var.functions["gateway"].concurrency)))
      })
      secrets = merge(
        { for name, version in local.gateway_secrets : name => { secret = google_secret_manager_secret.gateway.secret_id, version = version } },
        local.token_secrets,
        local.ring_token_secrets,
      )
      timeout = 30 # API Gateway waits for 29
      ingress = "ALLOW_ALL"
      caller  = "allUsers" # API Gateway can't present a Google identity: it sends the secret
    }
    api = {
      environment = merge(local.signaling, {
        REQUESTS_AT_ONCE = tostring(max(1, floor(0.9 * var.functions["api"].concurrency)))
      })
      secrets = merge(local.token_secrets, local.api_keys, local.internal_secrets, local.ring_token_secrets)
      timeout = 60 # a slow client's body 20, its token 10, and what a signal takes at most, 22
      ingress = "ALLOW_ALL"
      caller  = "allUsers" # apps and backends call it; it asks for their users' tokens, or for the key
    }
    deliver = {
      environment = local.posting
      secrets     = {}
      timeout     = 30 # more than the acknowledgement deadline
      ingress     = "ALLOW_INTERNAL_ONLY"
      caller      = local.caller
    }
    push = {
      environment = merge(local.publishing, local.firebase)
      secrets     = local.ring_token_secrets
      timeout     = 30
      ingress     = "ALLOW_INTERNAL_ONLY"
      caller      = local.caller
    }
    ring = {
      environment = merge(local.committing, local.scheduling)
      secrets     = {}
      timeout     = 30 # more than the acknowledgement deadline, and as long as Cloud Tasks waits
      ingress     = "ALLOW_INTERNAL_ONLY"
      caller      = local.caller
    }
    sweep = {
      environment = merge(local.publishing, local.posting)
      secrets     = {}
      timeout     = 150 # it works for a minute: six looks, each with its retries
      ingress     = "ALLOW_INTERNAL_ONLY"
      caller      = local.caller
    }
  }
}

resource "google_cloudfunctions2_function" "function" {
  for_each = local.functions

  name     = "${var.name}-${each.key}"
  location = var.region

  build_config {
    runtime           = "python313"
    entry_point       = each.key
    service_account   = google_service_account.builder.id
    docker_repository = google_artifact_registry_repository.images.id

    source {
      storage_source {
        bucket = google_storage_bucket.source.name
        object = google_storage_bucket_object.source.name
      }
    }
  }

  service_config {
    service_account_email            = google_service_account.function[each.key].email
    available_cpu                    = tostring(var.functions[each.key].cpu)
    available_memory                 = var.functions[each.key].memory
    max_instance_request_concurrency = var.functions[each.key].concurrency
    min_instance_count               = var.functions[each.key].min_instances
    max_instance_count               = var.functions[each.key].max_instances
    timeout_seconds                  = each.value.timeout
    ingress_settings                 = each.value.ingress
    all_traffic_on_latest_revision   = true

    environment_variables = merge(
      { FUNCTION_USE_ASGI = "true" },
      local.storing,
      lookup(var.settings, each.key, {}),
      each.value.environment,
    )

    dynamic "secret_environment_variables" {
      for_each = each.value.secrets

      content {
        key        = secret_environment_variables.key
        project_id = var.project
        secret     = secret_environment_variables.value.secret
        version    = secret_environment_variables.value.version
      }
    }
  }

  # A query without its index fails.
  depends_on = [
    google_firestore_index.missed,
    terraform_data.roles_known,
  ]
}

# A build without its roles fails, and so does a function that can't read its secret. A new role, too, is not
# known everywhere at once.
resource "terraform_data" "roles_known" {
  triggers_replace = [
    google_artifact_registry_repository_iam_member.builder.id,
    google_project_iam_member.builder_logs.id,
    google_project_iam_member.builder_source.id,
    google_secret_manager_secret_iam_member.gateway.id,
    [for member in google_secret_manager_secret_iam_member.ring_token : member.id],
    [for member in google_secret_manager_secret_iam_member.token : member.id],
    [for member in google_secret_manager_secret_iam_member.api_key : member.id],
    [for member in google_secret_manager_secret_iam_member.webhook : member.id],
    [for member in google_secret_manager_secret_iam_member.internal : member.id],
  ]

  provisioner "local-exec" {
    command = "sleep ${var.settle_seconds}"
  }
}

resource "google_cloud_run_v2_service_iam_member" "invoker" {
  for_each = toset([for function in local.function_names : function if !contains(["gateway", "api"], function) || var.allow_all_users])

  name     = google_cloudfunctions2_function.function[each.key].name # its service's name too
  location = var.region
  role     = "roles/run.invoker"
  member   = local.functions[each.key].caller
}
