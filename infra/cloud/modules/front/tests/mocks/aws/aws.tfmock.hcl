# What AWS would have made up, where another resource checks the form of it.

mock_resource "aws_cloudfront_function" {
  defaults = { arn = "arn:aws:cloudfront::210987654321:function/unring-origin" }
}

mock_resource "aws_cloudfront_distribution" {
  defaults = {
    id             = "EDFDVBD6EXAMPLE"
    domain_name    = "d111111abcdef8.cloudfront.net"
    hosted_zone_id = "Z2FDTNDATAQYW2"
  }
}
