locals {
  tags = { app = var.name } # by which the budget knows what is ours
}

# What AWS may cost a month. Google's budgets belong to the billing account: see docs/operations.md.
resource "aws_budgets_budget" "this" {
  for_each = var.aws_budget == null ? {} : { monthly = var.aws_budget }

  name         = var.name
  budget_type  = "COST"
  limit_unit   = "USD"
  limit_amount = tostring(each.value.monthly_usd)
  time_unit    = "MONTHLY"

  cost_filter {
    name   = "TagKeyValue"
    values = [format("user:app$%s", var.name)]
  }

  dynamic "notification" {
    for_each = [80, 100]

    content {
      comparison_operator        = "GREATER_THAN"
      threshold                  = notification.value
      threshold_type             = "PERCENTAGE"
      notification_type          = "ACTUAL"
      subscriber_email_addresses = each.value.emails
    }
  }
}
