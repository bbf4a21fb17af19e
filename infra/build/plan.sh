#!/usr/bin/env bash
# Plans what it takes to bring an environment to this code, into .unring/plans: ENVIRONMENT.tfplan
# for apply.sh, and ENVIRONMENT.txt to read. The first holds secrets.
#
#   ENVIRONMENT=production STATE_BUCKET=my-project-terraform infra/build/plan.sh
#
# For a pull request (PULL_REQUEST) it takes no lock, since whoever plans that may write nothing.
set -euo pipefail
source "$(dirname "$0")/common.sh"

umask 077
mkdir -p "${plan%/*}"
rm -f "$plan" "${plan%.tfplan}.txt" # should this one fail, apply.sh must not find an older one
begin
[[ -z ${PULL_REQUEST:-} ]] && lock=-lock-timeout=300s || lock=-lock=false
terraform plan -input=false -no-color "$lock" -var-file="$variables" -out="$plan"
terraform show -no-color "$plan" >"${plan%.tfplan}.txt"
