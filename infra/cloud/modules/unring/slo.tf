resource "google_monitoring_custom_service" "this" {
  service_id   = var.name
  display_name = "Unring"
  depends_on   = [google_project_service.api]
}

resource "google_monitoring_slo" "latency" {
  service             = google_monitoring_custom_service.this.service_id
  slo_id              = "told-within-100-ms"
  display_name        = "Told within 100 ms"
  goal                = var.latency_goal
  rolling_period_days = 28

  request_based_sli {
    distribution_cut {
      distribution_filter = "metric.type=\"logging.googleapis.com/user/${google_logging_metric.this["told_latency"].name}\" AND resource.type=\"cloud_run_revision\""

      range {
        max = local.promised_ms
      }
    }
  }

  depends_on = [terraform_data.metrics_known]
}
