# What lets gateway, api, deliver, ring and sweep post to sockets and close them: Google vouches for them, AWS
# believes it, and no key is stored. AWS knows accounts.google.com by itself, so there is no provider
# to create.

locals {
  token_audience = "unring"
  posters        = ["gateway", "api", "deliver", "ring", "sweep"]
}

resource "aws_iam_role" "poster" {
  tags        = local.tags
  name        = "${var.name}-poster"
  description = "Posts to the open sockets of ${var.name}"

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    # A statement for each account. With lists in a single one, AWS would compare each condition by
    # itself, and take the azp of one account with the subject of the other.
    Statement = [for function in local.posters : {
      Sid       = title(function)
      Effect    = "Allow"
      Principal = { Federated = "accounts.google.com" }
      Action    = "sts:AssumeRoleWithWebIdentity"
      Condition = {
        StringEquals = {
          # The token's azp: the account's number, or in some tokens its e-mail address. Whichever it
          # is, `sub` is the account's number.
          "accounts.google.com:aud"  = [google_service_account.function[function].unique_id, google_service_account.function[function].email]
          "accounts.google.com:oaud" = local.token_audience # the token's aud
          "accounts.google.com:sub"  = google_service_account.function[function].unique_id
        }
      }
    }]
  })
}

resource "aws_iam_role_policy" "poster" {
  name = "post"
  role = aws_iam_role.poster.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow"
      Action   = "execute-api:ManageConnections"
      Resource = [for method in ["POST", "DELETE"] : "${aws_apigatewayv2_api.this.execution_arn}/${var.stage}/${method}/@connections/*"]
    }]
  })
}
