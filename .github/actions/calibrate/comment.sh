#!/usr/bin/env bash
# Write the comment on the pull request, in the place of the one that an earlier run left.
set -euo pipefail

marker='<!-- calibrate ci -->'
issues="repos/$GITHUB_REPOSITORY/issues"

if [ ! -f "$COMMENT" ]; then
  exit 0 # the gate had no answer before it came to write one
fi

write() {
  local found
  # Only a bot's: whoever else begins a comment like this must not have it written over.
  found=$(gh api --paginate "$issues/$PULL_REQUEST/comments?per_page=100" --jq \
    ".[] | select(.user.type == \"Bot\" and (.body | startswith(\"$marker\"))) | .id")
  if [ -n "$found" ]; then
    gh api --silent --method PATCH "$issues/comments/${found%%$'\n'*}" --field "body=@$COMMENT"
  else
    gh api --silent --method POST "$issues/$PULL_REQUEST/comments" --field "body=@$COMMENT"
  fi
}

write || echo "::notice::calibrate: no comment could be written, as from a fork; see the summary"
