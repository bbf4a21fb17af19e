# What plan.sh, apply.sh and drift.sh share. They read these variables:
#
#   ENVIRONMENT         its variables are infra/cloud/ENVIRONMENT.tfvars
#   STATE_BUCKET        the bucket of Terraform's state
#   TERRAFORM           the program; `terraform` where it is not set
#   AWS_ROLE_ARN        the AWS role to take on as the service account of the machine; without it,
#                       Terraform uses the AWS credentials that it finds
#   AWS_TOKEN_AUDIENCE  the audience that the role's trust policy asks for
#   GCE_METADATA_HOST   host:port of what plays the metadata server

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)

fail() {
  echo "$*" >&2
  exit 1
}

[[ ${ENVIRONMENT:-} =~ ^[a-z0-9][a-z0-9-]*$ ]] ||
  fail "ENVIRONMENT must be set to lowercase letters, digits and hyphens: the name of a file infra/cloud/NAME.tfvars."

plan=$root/.unring/plans/$ENVIRONMENT.tfplan
variables=$root/infra/cloud/$ENVIRONMENT.tfvars

terraform() {
  TF_IN_AUTOMATION=1 "${TERRAFORM:-terraform}" -chdir="$root/infra/cloud" "$@"
}

# Prepares Terraform, with the providers that the lock file names by their hashes and no others.
begin() {
  [[ -n ${STATE_BUCKET:-} ]] || fail "STATE_BUCKET must name the bucket of Terraform's state."
  [[ -f $variables ]] || fail "infra/cloud/$ENVIRONMENT.tfvars is missing; terraform.tfvars.example is its model."
  [[ -f $root/infra/cloud/.terraform.lock.hcl ]] ||
    fail "infra/cloud/.terraform.lock.hcl is missing. Make it once, and commit it: terraform -chdir=infra/cloud get && terraform -chdir=infra/cloud providers lock -platform=linux_amd64 -platform=darwin_amd64 -platform=darwin_arm64"
  take_on_aws_role
  terraform init -input=false -no-color -reconfigure -lockfile=readonly \
    -backend-config="bucket=$STATE_BUCKET" -backend-config="prefix=unring/$ENVIRONMENT"
}

# Google's ID token of this machine's service account is what AWS trusts. The provider finds the
# file by itself, and reads it again when it renews its credentials.
take_on_aws_role() {
  if [[ -z ${AWS_ROLE_ARN:-} ]]; then
    [[ -z ${BUILD_ID:-} ]] || fail "The build needs an AWS role: set _AWS_ROLE_ARN."
    unset AWS_ROLE_ARN
    return
  fi
  private=$(mktemp -d)
  trap 'rm -rf "$private"' EXIT
  curl --fail --silent --show-error --retry 3 --max-time 20 --header "Metadata-Flavor: Google" \
    --get --data-urlencode "audience=${AWS_TOKEN_AUDIENCE:-unring-deploy}" --output "$private/token" \
    "http://${GCE_METADATA_HOST:-metadata.google.internal}/computeMetadata/v1/instance/service-accounts/default/identity" ||
    fail "The metadata server gave no ID token. Cloud Build gives one only to a service account that holds roles/iam.serviceAccountOpenIdTokenCreator on itself."
  export AWS_ROLE_ARN AWS_WEB_IDENTITY_TOKEN_FILE=$private/token
  export AWS_ROLE_SESSION_NAME=unring-${BUILD_ID:-by-hand}
}
