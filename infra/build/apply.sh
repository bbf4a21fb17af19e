#!/usr/bin/env bash
# Applies the plan that plan.sh made, if it is main's; of anything else it says so and is done.
#
#   ENVIRONMENT=production BRANCH_NAME=main infra/build/apply.sh
set -euo pipefail
source "$(dirname "$0")/common.sh"

if [[ ${BRANCH_NAME:-} != main ]]; then
  echo "Only main is applied, and this is ${BRANCH_NAME:-no branch}: nothing was changed."
  exit
fi
# The branch of a pull request from a fork may be called main, too.
if [[ -n ${PULL_REQUEST:-} ]]; then
  echo "Only main is applied, and this is pull request $PULL_REQUEST: nothing was changed."
  exit
fi

[[ -f $plan ]] || fail "There is no plan of $ENVIRONMENT: run infra/build/plan.sh first."
take_on_aws_role
terraform apply -input=false -no-color -lock-timeout=300s "$plan"
