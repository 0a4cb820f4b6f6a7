#!/usr/bin/env bash
# Posts the review of one workflow run. What GitHub says of the run is believed; what the artifact says is not.
# Needs: GH_TOKEN, REPOSITORY, RUN_ID, HEAD_SHA, HEAD_OWNER, HEAD_BRANCH, RUNNER_TEMP with pgolf installed under it.
set -euo pipefail

max_bytes=20000000
marker='<!-- pgolf:review/1 '
work=$(mktemp -d "$RUNNER_TEMP/verdict.XXXXXX")

say() { printf '%s\n' "$1"; }

# The pull request: open, of that fork and branch, and still at the commit that was reviewed. Forks leave the event's own list
# of pull requests empty, so it is looked up.
find_pull_request() {
  gh api --method GET --paginate "repos/$REPOSITORY/pulls" -f state=open -f "head=$HEAD_OWNER:$HEAD_BRANCH" \
    --jq '.[] | select(.head.sha == env.HEAD_SHA) | .number'
}

mapfile -t numbers < <(find_pull_request)
if [ "${#numbers[@]}" -ne 1 ]; then
  say "${#numbers[@]} open pull requests are at $HEAD_SHA: nothing to comment on"
  exit 0
fi
number=${numbers[0]}

# A pull request that changes workflows changes the program that wrote the artifact.
changed=$(gh api "repos/$REPOSITORY/pulls/$number" --jq .changed_files)
if [ "$changed" -ge 3000 ]; then
  say "PR $number changes $changed files; GitHub lists 3,000: review it by hand"
  exit 0
fi
gh api --paginate "repos/$REPOSITORY/pulls/$number/files?per_page=100" \
  --jq '.[] | (.filename, .previous_filename // empty) | @json' >"$work/files"
if grep -qi '^"\.github/' "$work/files"; then
  say "PR $number changes .github/: its verdict could be forged, review it by hand"
  exit 0
fi
if [ "$(find_pull_request)" != "$number" ]; then
  say "PR $number has moved on: the run of its new head will comment"
  exit 0
fi

# The artifact: one file, bounded before and after decompression.
read -r artifact size < <(gh api "repos/$REPOSITORY/actions/runs/$RUN_ID/artifacts?name=pgolf-verdict" \
  --jq '.artifacts[0] | "\(.id // 0) \(.size_in_bytes // 0)"')
if [ "$artifact" = 0 ] || [ "$size" -gt "$max_bytes" ]; then
  say "no verdict of at most $max_bytes bytes was left by run $RUN_ID"
  exit 0
fi
gh api "repos/$REPOSITORY/actions/artifacts/$artifact/zip" >"$work/verdict.zip"
{ unzip -p "$work/verdict.zip" verdict.json || true; } | head -c "$((max_bytes + 1))" >"$work/verdict.json"

"$RUNNER_TEMP/pgolf/bin/python" -I -m harness comment --from-json "$work/verdict.json" \
  --pr "$number" --head "$HEAD_SHA" --repository "$REPOSITORY" >"$work/comment.md"

# One comment a pull request: ours begins with the marker and was written by this bot.
export MARKER=$marker
mapfile -t existing < <(gh api --paginate "repos/$REPOSITORY/issues/$number/comments?per_page=100" \
  --jq '.[] | select(.user.login == "github-actions[bot]" and (.body | startswith(env.MARKER))) | .id')
if [ "${#existing[@]}" -gt 0 ]; then
  gh api --silent --method PATCH "repos/$REPOSITORY/issues/comments/${existing[0]}" -F "body=@$work/comment.md"
else
  gh api --silent --method POST "repos/$REPOSITORY/issues/$number/comments" -F "body=@$work/comment.md"
fi
say "commented on PR $number"
