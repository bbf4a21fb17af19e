#!/usr/bin/env bash
# Tells, before anything is made, what would keep the first apply from succeeding, or endanger what is there
# already; with the line that mends it. It changes nothing.
#
#   ENVIRONMENT=production STATE_BUCKET=my-project-terraform infra/build/preflight.sh
set -euo pipefail
cd "$(dirname "$0")/../.."
exec "${PYTHON:-python3}" -m infra.build.preflight
