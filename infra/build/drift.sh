#!/usr/bin/env bash
# Tells whether what is there is what this code says; fails if it is not. It changes nothing, and needs the
# right to read alone.
#
#   ENVIRONMENT=production STATE_BUCKET=my-project-terraform infra/build/drift.sh
set -euo pipefail
source "$(dirname "$0")/common.sh"

begin
status=0
terraform plan -input=false -no-color -lock=false -detailed-exitcode -var-file="$variables" || status=$?
case $status in
  0) echo "What is there is what the code says." ;;
  2) fail "Something has been changed by hand, or was never applied: see the plan above." ;;
  *) exit "$status" ;;
esac
