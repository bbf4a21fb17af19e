variable "name" {
  description = "What the names of the AWS resources begin with: the name of the deployment that the front is for."
  type        = string
  default     = "unring"

  validation {
    condition     = can(regex("^[a-z]([a-z0-9-]{0,18}[a-z0-9])?$", var.name))
    error_message = "The name has 1 to 20 lowercase letters, digits and hyphens and begins with a letter."
  }
}

variable "stage_url" {
  description = "The WebSocket API's own URL, with its stage: the output stage_url of modules/unring."
  type        = string

  validation {
    condition     = can(regex("^wss://([a-z0-9-]+\\.)+[a-z]+/[A-Za-z0-9_-]+$", var.stage_url))
    error_message = "The URL must look like wss://abcdef1234.execute-api.us-east-1.amazonaws.com/prod, without a slash at its end."
  }
}

variable "api_url" {
  description = "The URL of the function api: the output api_url of modules/unring."
  type        = string

  validation {
    condition     = can(regex("^https://([a-z0-9-]+\\.)+[a-z]+/?$", var.api_url))
    error_message = "The URL must look like https://unring-api-abcdefghij-uk.a.run.app, without a path."
  }
}

variable "domain" {
  description = "Custom domain of the front, with an ACM certificate of us-east-1; with zone_id, that Route 53 zone gets the records. It can't be the domain of modules/unring as well. null: CloudFront's own name."
  type = object({
    name            = string
    certificate_arn = string
    zone_id         = optional(string)
  })
  default = null

  validation {
    condition     = var.domain == null || can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.domain.name))
    error_message = "The domain's name must look like calls.example.com."
  }

  validation {
    condition     = var.domain == null || can(regex("^arn:aws:acm:us-east-1:[0-9]{12}:certificate/.+$", var.domain.certificate_arn))
    error_message = "The certificate must be one of ACM in us-east-1: CloudFront takes none of another region."
  }
}

variable "price_class" {
  description = "From where CloudFront serves: PriceClass_All from everywhere; PriceClass_200 and PriceClass_100 cost less, and clients far from what is left wait longer."
  type        = string
  default     = "PriceClass_All"
  nullable    = false

  validation {
    condition     = contains(["PriceClass_All", "PriceClass_200", "PriceClass_100"], var.price_class)
    error_message = "The price class is PriceClass_All, PriceClass_200 or PriceClass_100."
  }
}
