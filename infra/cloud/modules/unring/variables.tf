# Where it runs

variable "project" {
  description = "Id of the Google Cloud project: that of the app's Firebase project, whose ID tokens are accepted and whose devices are pushed, unless firebase_project names another."
  type        = string

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.project))
    error_message = "A project id has 6 to 30 lowercase letters, digits and hyphens and begins with a letter."
  }
}

variable "name" {
  description = "What the names of functions, service accounts and AWS resources begin with. Environments that share an AWS account need different ones."
  type        = string
  default     = "unring"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$", var.name))
    error_message = "The name has 1 to 20 lowercase letters, digits and hyphens and begins with a letter."
  }
}

variable "region" {
  description = "Google Cloud region of the functions. The default is in the same metro as the default of aws_region; the promised latency needs them close."
  type        = string
  default     = "us-east4"

  validation {
    condition     = can(regex("^[a-z]+-[a-z]+[0-9]+$", var.region))
    error_message = "The region must look like us-east4."
  }
}

variable "aws_region" {
  description = "AWS region of the WebSocket API."
  type        = string
  default     = "us-east-1"

  validation {
    condition     = can(regex("^[a-z]{2}(-[a-z]+)+-[0-9]$", var.aws_region))
    error_message = "The AWS region must look like us-east-1."
  }
}

# Firestore. A database that exists, and the rules of its clients, stay as they are.

locals {
  collections = ["births", "connections", "devices", "outbox", "polls"] # of Unring's own, by functions/collections.py
}

variable "firestore_database" {
  description = "Id of the Firestore database in which the app's backend creates the calls."
  type        = string
  default     = "(default)"

  validation {
    condition     = var.firestore_database == "(default)" || can(regex("^[a-z][a-z0-9-]{2,61}[a-z0-9]$", var.firestore_database))
    error_message = "The database's id is (default), or has 4 to 63 lowercase letters, digits and hyphens."
  }
}

variable "create_firestore_database" {
  description = "Whether Terraform creates the database. false where the app has it already: then nothing of it is touched but indexes and TTL policies of Unring's own collections, and of its own field of the calls."
  type        = bool
  default     = true
  nullable    = false
}

variable "manage_firestore_rules" {
  description = "Whether the database's security rules are Unring's, which deny clients everything; null: where Terraform creates the database. false if you release rules of your own."
  type        = bool
  default     = null

  validation {
    condition     = var.manage_firestore_rules != true || var.create_firestore_database
    error_message = "The rules of a database that exists are the app's: Terraform would have to replace them."
  }
}

variable "firestore_location" {
  description = "Location of the database, if Terraform creates it, which can't be changed later; null: the functions' region. A multi-region, such as nam5, survives the loss of one but commits more slowly."
  type        = string
  default     = null

  validation {
    condition     = var.firestore_location == null || can(regex("^([a-z]+-[a-z]+[0-9]+|nam[0-9]+|eur[0-9]+)$", var.firestore_location))
    error_message = "The location must look like us-east4, nam5 or eur3."
  }

  validation {
    condition     = var.firestore_location == null || var.create_firestore_database
    error_message = "A database that exists has its location already."
  }
}

variable "calls_collection" {
  description = "The collection of the calls, which the app's backend creates."
  type        = string
  default     = "calls"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,100}$", var.calls_collection)) && !can(regex("^__.*__$", var.calls_collection))
    error_message = "The collection has at most 100 letters, digits, underscores and hyphens, and is not of the form __…__."
  }

  validation {
    condition     = !contains([for name in local.collections : "${var.collection_prefix}${name}"], var.calls_collection)
    error_message = "This is a collection of Unring's own, by collection_prefix."
  }
}

variable "expire_calls" {
  description = "Whether calls that a backend creates by api are deleted after CALL_TTL_DAYS, by a TTL policy on their field unringExpiresAt. Firestore takes one such policy for all collections of a name: false where calls_collection has another. Such calls then stay until the app deletes them."
  type        = bool
  default     = true
  nullable    = false
}

variable "collection_prefix" {
  description = "What the names of Unring's own collections begin with. Their TTL policies are for all collections of that name, at any depth: empty only where the app has no births, connections, devices, outbox or polls."
  type        = string
  default     = "unring_"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{0,100}$", var.collection_prefix))
    error_message = "The prefix has at most 100 letters, digits, underscores and hyphens."
  }
}

variable "dialect" {
  description = "The app's own names of events and fields, words for statuses and forms of ids (docs/dialects.md), in TOML: file(\"dialect.toml\"). null: Unring's own."
  type        = string
  default     = null

  validation {
    condition     = var.dialect == null || strcontains(coalesce(var.dialect, "x"), "=")
    error_message = "The dialect is a text in TOML, such as file(\"dialect.toml\") gives, and not a path."
  }

  validation {
    condition     = var.dialect == null || length(base64encode(coalesce(var.dialect, "x"))) <= 43688
    error_message = "The dialect has at most 32 KB: Cloud Run takes no longer variable."
  }
}

variable "settle_seconds" {
  description = "How long an apply waits after it has made accounts and metrics, before it uses them: Google spreads both within about a minute."
  type        = number
  default     = 60

  validation {
    condition     = var.settle_seconds >= 0 && var.settle_seconds <= 600 && floor(var.settle_seconds) == var.settle_seconds
    error_message = "The wait is a whole number of seconds, at most 600."
  }
}

# The functions

locals {
  # What Cloud Run offers: so many CPUs, from and to, with so much memory.
  cpus_with_mebibytes = [
    { cpus = [0.08, 0.499], mebibytes = [128, 512] },
    { cpus = [0.5, 0.999], mebibytes = [128, 1024] },
    { cpus = [1, 1], mebibytes = [128, 4096] },
    { cpus = [2, 2], mebibytes = [128, 8192] },
    { cpus = [4, 4], mebibytes = [2048, 16384] },
    { cpus = [6, 6], mebibytes = [4096, 24576] },
    { cpus = [8, 8], mebibytes = [4096, 32768] },
  ]
}

variable "functions" {
  description = "CPUs, memory, requests at once for each instance, and how many instances of each function. A new project's quota may be 10 instances in a region: raise it before max_instances."
  type = object({
    # gateway and deliver are what a ringing phone waits for: one instance is always there.
    gateway = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 1)
      max_instances = optional(number, 10)
    }), {})
    api = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 0)
      max_instances = optional(number, 10)
    }), {})
    deliver = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 1)
      max_instances = optional(number, 10)
    }), {})
    push = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 40)
      min_instances = optional(number, 0)
      max_instances = optional(number, 10)
    }), {})
    # Only if there are webhook_urls.
    webhook = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 0)
      max_instances = optional(number, 10)
    }), {})
    ring = optional(object({
      cpu           = optional(number, 1)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 80)
      min_instances = optional(number, 0)
      max_instances = optional(number, 10)
    }), {})
    # One call a minute, which mostly sleeps.
    sweep = optional(object({
      cpu           = optional(number, 0.333)
      memory        = optional(string, "512Mi")
      concurrency   = optional(number, 1)
      min_instances = optional(number, 0)
      max_instances = optional(number, 1)
    }), {})
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for size in var.functions : 0 <= size.min_instances && size.min_instances <= size.max_instances && size.max_instances >= 1])
    error_message = "min_instances must be from 0 to max_instances, and max_instances at least 1."
  }

  validation {
    condition     = alltrue([for size in var.functions : 1 <= size.concurrency && size.concurrency <= 1000 && (size.concurrency == 1 || size.cpu >= 1)])
    error_message = "concurrency must be from 1 to 1000; more than 1 needs a whole CPU."
  }

  validation {
    condition     = alltrue([for size in var.functions : can(regex("^[1-9][0-9]*(Mi|Gi)$", size.memory))])
    error_message = "memory must look like 512Mi or 1Gi."
  }

  validation {
    condition = alltrue([
      for size in var.functions : try(anytrue([
        for offer in local.cpus_with_mebibytes :
        offer.cpus[0] <= size.cpu && size.cpu <= offer.cpus[1] && alltrue([
          for mebibytes in [regex("^[0-9]+", size.memory) * (endswith(size.memory, "Gi") ? 1024 : 1)] :
          offer.mebibytes[0] <= mebibytes && mebibytes <= offer.mebibytes[1]
        ])
      ]), false)
    ])
    error_message = "cpu and memory must be what Cloud Run offers together: from 0.08 CPUs up to 512Mi, from 0.5 up to 1Gi, 1 up to 4Gi, 2 up to 8Gi, 4 from 2Gi to 16Gi, 6 from 4Gi to 24Gi, 8 from 4Gi to 32Gi."
  }
}

locals {
  identity_settings = [
    "IDENTITY", "INTROSPECTION_NAME", "INTROSPECTION_URL", "INTROSPECTION_USER", "OIDC_AUDIENCE", "OIDC_AUDIENCE_CLAIM",
    "OIDC_ISSUER", "OIDC_NAME_CLAIM", "OIDC_USER_CLAIM", "TOKEN_AUDIENCE", "TOKEN_ISSUER", "TOKEN_MAX_AGE",
    "TOKEN_NAME_CLAIM", "TOKEN_USER_CLAIM",
  ]

  timer_settings = [
    "EIO3_PING_INTERVAL_SECONDS", "EIO3_PING_TIMEOUT_SECONDS", "EIO4_PING_INTERVAL_SECONDS", "EIO4_PING_TIMEOUT_SECONDS",
  ]

  call_settings = ["BUSY", "CALLS_PER_MINUTE", "CALL_MAX_SECONDS", "CALL_TTL_DAYS", "RING_SECONDS"]

  # What var.settings may set. The rest would contradict a resource, or point at an emulator.
  optional_settings = {
    gateway = concat(local.identity_settings, local.call_settings, ["CALLER_GRACE_SECONDS", "CONNECTION_TTL_SECONDS", "DEVICES_PER_USER", "DEVICE_TTL_DAYS", "DIRECT_POST_TIMEOUT_MS", "FRAMES_PER_SECOND"])
    api     = concat(local.identity_settings, local.call_settings, local.timer_settings, ["CALLER_GRACE_SECONDS", "CONNECTION_TTL_SECONDS", "CORS_ORIGINS", "DEVICES_PER_USER", "DEVICE_TTL_DAYS", "DIRECT_POST_TIMEOUT_MS", "FRAMES_PER_SECOND", "POLL_HOLD_MS"])
    deliver = concat(local.timer_settings, ["CONNECTIONS_PER_USER"])
    push    = ["DEVICES_PER_USER"]
    ring    = ["CALLER_GRACE_SECONDS", "DIRECT_POST_TIMEOUT_MS"]
    sweep   = ["SWEEP_AFTER_SECONDS", "SWEEP_EVERY_SECONDS"]
  }
}

variable "settings" {
  description = "Optional settings of docs/settings.md by function, where a default won't do: { gateway = { DEVICE_TTL_DAYS = \"90\" } }."
  type        = map(map(string))
  default     = {}
  nullable    = false

  validation {
    condition = alltrue([
      for function, values in var.settings :
      contains(keys(local.optional_settings), function) && length(setsubtract(keys(values), try(local.optional_settings[function], []))) == 0
    ])
    error_message = "These are the optional settings of each function: ${jsonencode(local.optional_settings)}."
  }
}

variable "source_path" {
  description = "Where main.py, requirements.txt and functions/ are that are deployed; null: those beside this module."
  type        = string
  default     = null
}

variable "fcm_sender_role" {
  description = "The custom role that may send FCM messages, where it was made by hand: projects/PROJECT/roles/ROLE. null: Terraform makes it, and whoever applies needs roles/iam.roleAdmin."
  type        = string
  default     = null

  validation {
    condition     = var.fcm_sender_role == null || can(regex("^(projects|organizations)/[^/]+/roles/[A-Za-z0-9_.]+$", var.fcm_sender_role))
    error_message = "The role must look like projects/PROJECT/roles/ROLE."
  }
}

variable "allow_all_users" {
  description = "Whether allUsers may call gateway, which knows API Gateway by its secret, and api, which asks for a token or the key. false where an organisation forbids that: docs/operations.md says what to do instead."
  type        = bool
  default     = true
  nullable    = false
}

variable "token_secret" {
  description = "The secret that the app's own tokens are signed with, where settings choose it (docs/identity.md): a secret of Secret Manager in this project, which you have made, its version, and the version that is still accepted beside it."
  type = object({
    secret           = string
    version          = optional(string, "1")
    previous_version = optional(string)
  })
  default = null

  validation {
    condition     = var.token_secret == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.token_secret.secret)) && can(regex("^[0-9]+$", var.token_secret.version)) && (var.token_secret.previous_version == null || can(regex("^[0-9]+$", var.token_secret.previous_version)))
    error_message = "The secret is the id of one in Secret Manager, and its versions are numbers."
  }
}

variable "api_key" {
  description = "What the app's backend shows to api (docs/api.md): a secret of Secret Manager in this project, which you have made, its version, and the version that is still accepted beside it. null: no backend is let in."
  type = object({
    secret           = string
    version          = optional(string, "1")
    previous_version = optional(string)
  })
  default = null

  validation {
    condition     = var.api_key == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.api_key.secret)) && can(regex("^[0-9]+$", var.api_key.version)) && (var.api_key.previous_version == null || can(regex("^[0-9]+$", var.api_key.previous_version)))
    error_message = "The secret is the id of one in Secret Manager, and its versions are numbers."
  }
}

variable "internal_secret" {
  description = "What the app's backend shows to api where it calls its old socket server's paths (docs/api.md): a secret of Secret Manager in this project, which you have made, its version, and the version that is still accepted beside it. null: there are no such paths."
  type = object({
    secret           = string
    version          = optional(string, "1")
    previous_version = optional(string)
  })
  default = null

  validation {
    condition     = var.internal_secret == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.internal_secret.secret)) && can(regex("^[0-9]+$", var.internal_secret.version)) && (var.internal_secret.previous_version == null || can(regex("^[0-9]+$", var.internal_secret.previous_version)))
    error_message = "The secret is the id of one in Secret Manager, and its versions are numbers."
  }
}

variable "firebase_project" {
  description = "Id of the app's Firebase project, to which FCM and ID tokens belong, where Unring has a project of its own; null: var.project. Whoever applies may give roles there, and the FCM API is enabled in it."
  type        = string
  default     = null

  validation {
    condition     = var.firebase_project == null || can(regex("^[a-z][a-z0-9-]{4,28}[a-z0-9]$", var.firebase_project))
    error_message = "A project id has 6 to 30 lowercase letters, digits and hyphens and begins with a letter."
  }
}

# The app's own backend

variable "webhook_urls" {
  description = "Where the app's backend is told what becomes of calls (docs/webhooks.md). Each is told of everything, and the first alone is asked to push (pushed_by). Without any, there is no function webhook."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for url in var.webhook_urls : can(regex("^https://[A-Za-z0-9.-]+(:[0-9]{1,5})?([/?][!\"$-+\\--~]*)?$", url))]) && length(distinct(var.webhook_urls)) == length(var.webhook_urls)
    error_message = "A URL starts with https:// and a host's name, has no user, comma, space or fragment, and is named once."
  }
}

variable "webhook_secret" {
  description = "What webhooks are signed with: a secret of Secret Manager in this project, which you have made, its version, and the version that is signed with beside it. Each holds whsec_ and 24 to 64 bytes in base64."
  type = object({
    secret           = string
    version          = optional(string, "1")
    previous_version = optional(string)
  })
  default = null

  validation {
    condition     = var.webhook_secret == null ? true : can(regex("^[A-Za-z0-9_-]{1,255}$", var.webhook_secret.secret)) && can(regex("^[0-9]+$", var.webhook_secret.version)) && (var.webhook_secret.previous_version == null || can(regex("^[0-9]+$", var.webhook_secret.previous_version)))
    error_message = "The secret is the id of one in Secret Manager, and its versions are numbers."
  }

  validation {
    condition     = var.webhook_secret != null || length(var.webhook_urls) == 0
    error_message = "Webhooks are signed: webhook_urls need a secret."
  }
}

variable "pushed_by" {
  description = "Who sends the FCM messages incoming_call, call_cancelled and call_rejected: unring, backend (a webhook to the first of webhook_urls asks it to) or off, nobody. Two applies: webhook_urls with the first, and backend here with the second, as events before webhook is there would be pushed by nobody."
  type = object({
    incoming  = optional(string, "unring")
    cancelled = optional(string, "unring")
    rejected  = optional(string, "unring")
  })
  default  = {}
  nullable = false

  validation {
    condition     = alltrue([for by in values(var.pushed_by) : contains(["unring", "backend", "off"], by)])
    error_message = "Each is sent by unring, by backend, or off."
  }

  validation {
    condition     = !contains(values(var.pushed_by), "backend") || length(var.webhook_urls) > 0
    error_message = "A backend that is to push is asked to by webhooks: it needs one of webhook_urls."
  }
}

variable "gateway_secret_generation" {
  description = "Which gateway secret is current. Raise it by one, and apply once, to rotate the secret; never lower it."
  type        = number
  default     = 1

  validation {
    condition     = var.gateway_secret_generation >= 1 && floor(var.gateway_secret_generation) == var.gateway_secret_generation
    error_message = "The generation must be a whole number from 1 on."
  }
}

variable "ring_token_generation" {
  description = "Which secret of the ring tokens (docs/phones.md) is current. Raise it by one, and apply once, to rotate the secret; never lower it."
  type        = number
  default     = 1

  validation {
    condition     = var.ring_token_generation >= 1 && floor(var.ring_token_generation) == var.ring_token_generation
    error_message = "The generation must be a whole number from 1 on."
  }
}

# The WebSocket API

variable "stage" {
  description = "Stage of the WebSocket API; it is the path of its URL."
  type        = string
  default     = "prod"

  validation {
    condition     = can(regex("^[A-Za-z0-9_-]{1,128}$", var.stage))
    error_message = "The stage has 1 to 128 letters, digits, hyphens and underscores."
  }
}

variable "throttle" {
  description = "Frames and connects that the stage takes: rate, a second; burst, at once. More are refused with 429."
  type = object({
    rate  = optional(number, 1000)
    burst = optional(number, 2000)
  })
  default  = {}
  nullable = false

  validation {
    condition     = var.throttle.rate >= 1 && var.throttle.burst >= 1 && floor(var.throttle.burst) == var.throttle.burst
    error_message = "Both limits must be at least 1, and burst a whole number: with 0, every connect would be refused."
  }
}

variable "domain" {
  description = "Custom domain of the WebSocket API, with an ACM certificate of aws_region; with zone_id, that Route 53 zone gets the record. null: none."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain.name))
    error_message = "The domain's name must look like ws.example.com."
  }

  validation {
    condition     = var.domain == null || can(regex("^arn:aws[a-z-]*:acm:${var.aws_region}:[0-9]{12}:certificate/.+$", var.domain.certificate_arn))
    error_message = "The certificate must be one of ACM in aws_region."
  }
}

variable "connect_headers" {
  description = "Headers of a handshake that API Gateway is to pass on with another value. It passes on those of the client's WebSocket, which some servers answer with 400."
  type        = map(string)
  default     = { Sec-WebSocket-Version = "0" }
  nullable    = false

  validation {
    condition     = alltrue([for name, value in var.connect_headers : can(regex("^[A-Za-z0-9-]+$", name)) && !startswith(lower(name), "unring-") && can(regex("^[!#-&(-+\\--~]+$", value))])
    error_message = "A header has letters, digits and hyphens, is none of Unring's own, and its value is printable without spaces, quotes and commas."
  }
}

variable "hide_query_token" {
  description = "Whether the secrets in a handshake's query, token, ring and sid, are passed on as `-`. gateway gets them in headers; in its URL, they would be in request logs."
  type        = bool
  default     = true
  nullable    = false
}

variable "access_log" {
  description = "Whether the WebSocket API has an access log in CloudWatch. API Gateway needs a role for that, which is one for the whole AWS account and region: see manage_api_gateway_account."
  type        = bool
  default     = false
  nullable    = false
}

variable "manage_api_gateway_account" {
  description = "Whether to set the role by which API Gateway writes logs, for the whole AWS account and region. false where there is one: aws apigateway get-account names it."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.manage_api_gateway_account || var.access_log
    error_message = "Without access_log, the role is of no use."
  }
}

variable "aws_budget" {
  description = "A monthly budget in US dollars for what is tagged app = NAME in AWS, and who is told at 80 and at 100 %; null: none."
  type = object({
    monthly_usd = number
    emails      = list(string)
  })
  default = null

  validation {
    condition     = var.aws_budget == null ? true : var.aws_budget.monthly_usd > 0 && length(var.aws_budget.emails) > 0 && alltrue([for email in var.aws_budget.emails : can(regex("^[^@\\s]+@[^@\\s]+$", email))])
    error_message = "The budget is above 0, and somebody is told, by an e-mail address."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps the access log of the WebSocket API."
  type        = number
  default     = 30

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096], var.log_retention_days)
    error_message = "CloudWatch keeps logs for 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 or 1096 days."
  }
}

# Watching

variable "notification_channels" {
  description = "Cloud Monitoring channels that alerts go to: projects/PROJECT/notificationChannels/NUMBER."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for channel in var.notification_channels : can(regex("^projects/[^/]+/notificationChannels/[0-9]+$", channel))])
    error_message = "A channel must look like projects/PROJECT/notificationChannels/NUMBER."
  }
}

variable "latency_goal" {
  description = "Share of the signals that are to be told within 100 ms, over 28 days."
  type        = number
  default     = 0.99

  validation {
    condition     = var.latency_goal > 0 && var.latency_goal <= 0.9999
    error_message = "The goal must be above 0 and at most 0.9999."
  }
}
