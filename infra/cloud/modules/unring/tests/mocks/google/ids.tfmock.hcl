# The secrets of one provider that is played have one id, unless they are told apart.

override_resource {
  target = google_secret_manager_secret.ring_token
  values = { id = "projects/unring-test/secrets/unring-ring-token" }
}

# Accounts need the form that roles are given to, and each needs to be another.

override_resource {
  target = google_service_account.function["gateway"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-gateway@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-gateway@unring-test.iam.gserviceaccount.com"
    email     = "unring-gateway@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-gateway@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000001"
  }
}

override_resource {
  target = google_service_account.function["api"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-api@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-api@unring-test.iam.gserviceaccount.com"
    email     = "unring-api@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-api@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000007"
  }
}

override_resource {
  target = google_service_account.function["deliver"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-deliver@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-deliver@unring-test.iam.gserviceaccount.com"
    email     = "unring-deliver@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-deliver@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000002"
  }
}

override_resource {
  target = google_service_account.function["push"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-push@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-push@unring-test.iam.gserviceaccount.com"
    email     = "unring-push@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-push@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000003"
  }
}

override_resource {
  target = google_service_account.function["sweep"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-sweep@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-sweep@unring-test.iam.gserviceaccount.com"
    email     = "unring-sweep@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-sweep@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000004"
  }
}

override_resource {
  target = google_service_account.function["webhook"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-webhook@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-webhook@unring-test.iam.gserviceaccount.com"
    email     = "unring-webhook@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-webhook@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000008"
  }
}

override_resource {
  target = google_service_account.function["ring"]
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-ring@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-ring@unring-test.iam.gserviceaccount.com"
    email     = "unring-ring@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-ring@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000009"
  }
}

override_resource {
  target = google_service_account.caller
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-caller@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-caller@unring-test.iam.gserviceaccount.com"
    email     = "unring-caller@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-caller@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000005"
  }
}

override_resource {
  target = google_service_account.builder
  values = {
    id        = "projects/unring-test/serviceAccounts/unring-builder@unring-test.iam.gserviceaccount.com"
    name      = "projects/unring-test/serviceAccounts/unring-builder@unring-test.iam.gserviceaccount.com"
    email     = "unring-builder@unring-test.iam.gserviceaccount.com"
    member    = "serviceAccount:unring-builder@unring-test.iam.gserviceaccount.com"
    unique_id = "100000000000000000006"
  }
}
