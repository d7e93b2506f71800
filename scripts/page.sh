#!/usr/bin/env bash
# The status page's JavaScript: TypeScript's checker finds names that do not exist
# and arguments that do not fit, and no line is longer than 120 characters.
. "$(dirname "$0")/lib.sh"
long=$(awk 'length > 120 { print FILENAME ":" FNR ": " length " characters" }' monitor/page/*.js)
[ -z "$long" ] || fail "lines of more than 120 characters:"$'\n'"$long"
npm_config_update_notifier=false npx --yes --package "$TYPESCRIPT" tsc --project monitor/page/tsconfig.json
