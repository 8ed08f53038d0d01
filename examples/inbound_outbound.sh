#!/usr/bin/env bash
# A message comes to one of our numbers, we answer, the other side asks us to stop, and what is refused.
#
#   CREDENTIALS=demo:secret examples/inbound_outbound.sh
#   BASE=https://sms.example CREDENTIALS=account:secret NUMBER=12025550102 examples/inbound_outbound.sh
#
# These two paths always want credentials. NUMBER: one that the operator assigned to the account.
# Ends with 0 if every answer had the expected status.
set -euo pipefail

BASE=${BASE:-http://127.0.0.1:8080}
CREDENTIALS=${CREDENTIALS:?name and secret of an account, with a colon between}
NUMBER=${NUMBER:-12025550101}

# call STATUS PATH BODY: one request; shows it and its answer, and insists on the status.
call() {
  local expected=$1 path=$2 body=$3 answer status
  printf '\nPOST %s %s\n' "$path" "$body"
  answer=$(curl --silent --show-error --user "$CREDENTIALS" --write-out '\n%{http_code}' --data "$body" "$BASE$path")
  status=${answer##*$'\n'}
  printf '%s %s\n' "$status" "${answer%$'\n'*}"
  if [[ $status != "$expected" ]]; then
    printf 'expected %s\n' "$expected" >&2
    exit 1
  fi
}

# A number of the range that is reserved for fiction, another one at each run: a STOP holds for hours.
peer="1$((RANDOM % 700 + 201))55501$((RANDOM % 90 + 10))"

echo '# A message comes, and we answer it'
call 200 /inbound/sms/ "{\"from\": \"$peer\", \"to\": \"$NUMBER\", \"text\": \"Hello\"}"
call 200 /outbound/sms/ "{\"from\": \"$NUMBER\", \"to\": \"$peer\", \"text\": \"hello from longcode\"}"

echo
echo '# The other side wants no more; only that direction is stopped'
call 200 /inbound/sms/ "{\"from\": \"$peer\", \"to\": \"$NUMBER\", \"text\": \"STOP\"}"
call 400 /outbound/sms/ "{\"from\": \"$NUMBER\", \"to\": \"$peer\", \"text\": \"one more thing\"}"
call 200 /inbound/sms/ "{\"from\": \"$peer\", \"to\": \"$NUMBER\", \"text\": \"Bye\"}"

echo
echo '# Refused: a missing and an invalid field, numbers that are not ours'
call 400 /inbound/sms/ "{\"from\": \"$peer\", \"text\": \"Hello\"}"
call 400 /outbound/sms/ "{\"from\": \"12345\", \"to\": \"$peer\", \"text\": \"Hello\"}"
call 404 /inbound/sms/ "{\"from\": \"$peer\", \"to\": \"$peer\", \"text\": \"Hello\"}"
call 404 /outbound/sms/ "{\"from\": \"$peer\", \"to\": \"$NUMBER\", \"text\": \"Hello\"}"

echo
echo '# Refused: wrong credentials'
CREDENTIALS=${CREDENTIALS%%:*}:wrong
call 403 /outbound/sms/ "{\"from\": \"$NUMBER\", \"to\": \"$peer\", \"text\": \"Hello\"}"
