#!/usr/bin/env bash
# Install the calibrate that this action is part of, and run the gate.
set -euo pipefail

folder="$RUNNER_TEMP/calibrate"
environment="$RUNNER_TEMP/calibrate-environment"
"$PYTHON" -m venv "$environment"
calibrate=$(cd "$GITHUB_ACTION_PATH/../../.." && pwd)
"$environment/bin/python" -m pip install --quiet --disable-pip-version-check "$calibrate[charts]"

options=(--project "$PROJECT" --out "$folder" --tolerance "$TOLERANCE" --drop "$DROP")
if [ -n "$BASE" ]; then
  # A checkout is shallow by default.
  git -C "$PROJECT" rev-parse --quiet --verify --end-of-options "$BASE^{commit}" > /dev/null ||
    git -C "$PROJECT" fetch --quiet --no-tags --depth=1 origin "$BASE"
  options+=(--base "$BASE")
fi
if [ -n "$MAX_USD" ]; then
  options+=(--live --max-usd "$MAX_USD")
fi
read -r -a workflows <<< "$WORKFLOWS" || true

echo "folder=$folder" >> "$GITHUB_OUTPUT"
"$environment/bin/calibrate" ci "${options[@]}" -- "${workflows[@]}"
