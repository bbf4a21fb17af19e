#!/usr/bin/env bash
# Keeps the plan that plan.sh made, and what the functions consist of (sbom.json), beside the state. For a pull
# request, whose plan is to be read and not to be applied, it prints the plan.
#
#   ENVIRONMENT=production STATE_BUCKET=my-project-terraform BUILD_ID=1 infra/build/keep.sh
set -euo pipefail
source "$(dirname "$0")/common.sh"

if [[ -n ${PULL_REQUEST:-} ]]; then
  cat "${plan%.tfplan}.txt"
  exit
fi
gcloud storage cp "$plan" "${plan%.tfplan}.txt" "$root/.unring/sbom.json" \
  "gs://$STATE_BUCKET/plans/$ENVIRONMENT/$BUILD_ID/"
