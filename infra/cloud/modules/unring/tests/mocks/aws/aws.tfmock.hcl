# What AWS would have made up, where another resource checks the form of it.

mock_resource "aws_apigatewayv2_api" {
  defaults = {
    id            = "abcdef1234"
    api_endpoint  = "wss://abcdef1234.execute-api.us-east-1.amazonaws.com"
    execution_arn = "arn:aws:execute-api:us-east-1:210987654321:abcdef1234"
  }
}

mock_resource "aws_cloudwatch_log_group" {
  defaults = { arn = "arn:aws:logs:us-east-1:210987654321:log-group:access" }
}

mock_resource "aws_iam_role" {
  defaults = { arn = "arn:aws:iam::210987654321:role/unring" }
}

mock_data "aws_region" {
  defaults = { name = "us-east-1" }
}
