# A token in a URL is in the request log of whoever serves the request, and so is the id of a polling
# session, with which anybody could go on with it. A client that can set no header shows its token there;
# API Gateway passes both on as `-` (websocket.tf), and where it did not, or the client polls `api`, the
# request is left out of Cloud Run's log. Metrics count it all the same.
resource "google_logging_project_exclusion" "tokens" {
  name        = "${var.name}-tokens"
  description = "Requests to Unring whose URL has a token in it, or a session's id"
  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=~\"^${var.name}-(api|gateway)$\"",
    "log_id(\"run.googleapis.com/requests\")",
    "httpRequest.requestUrl=~\"[?&](token|ring|sid)=([^-&]|-[^&])\"",
  ])
  depends_on = [google_project_service.api]
}

# A backend asks of a user, and erases him, under a path with his id (docs/api.md). Kept, the request log
# would be where an erased user is still named.
resource "google_logging_project_exclusion" "users" {
  name        = "${var.name}-users"
  description = "Requests to Unring whose path has a user's id in it"
  filter = join(" AND ", [
    "resource.type=\"cloud_run_revision\"",
    "resource.labels.service_name=\"${var.name}-api\"",
    "log_id(\"run.googleapis.com/requests\")",
    "httpRequest.requestUrl=~\"^https?://[^/]+/v1/users/\"",
  ])
  depends_on = [google_project_service.api]
}
