#!/usr/bin/env bash
# Plans what it takes to bring an environment to this code, into .unring/plans: ENVIRONMENT.tfplan
# for apply.sh, and ENVIRONMENT.txt to read. The first holds secrets.
#
#   ENVIRONMENT=production STATE_BUCKET=my-project-terraform infra/build/plan.sh
set -euo pipefail
source "$(dirname "$0")/common.sh"

[[ -n ${STATE_BUCKET:-} ]] || fail "STATE_BUCKET must name the bucket of Terraform's state."
variables=$root/infra/cloud/$ENVIRONMENT.tfvars
[[ -f $variables ]] || fail "infra/cloud/$ENVIRONMENT.tfvars is missing; terraform.tfvars.example is its model."

umask 077
mkdir -p "${plan%/*}"
rm -f "$plan" "${plan%.tfplan}.txt" # should this one fail, apply.sh must not find an older one
take_on_aws_role
terraform init -input=false -no-color -reconfigure \
  -backend-config="bucket=$STATE_BUCKET" -backend-config="prefix=unring/$ENVIRONMENT"
terraform plan -input=false -no-color -lock-timeout=300s -var-file="$variables" -out="$plan"
terraform show -no-color "$plan" >"${plan%.tfplan}.txt"
