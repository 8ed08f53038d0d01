#!/usr/bin/env bash
# Two people write to each other; what was said is told to the server and read back, whole and page by page.
#
#   examples/conversations.sh
#   BASE=https://sms.example CREDENTIALS=account:secret examples/conversations.sh
#
# Without CREDENTIALS the calls are anonymous, which a server started by `longcode up` allows on its own machine.
# Ends with 0 if every answer had the expected status.
set -euo pipefail

BASE=${BASE:-http://127.0.0.1:8080}
CREDENTIALS=${CREDENTIALS:-}

auth=()
if [[ -n $CREDENTIALS ]]; then
  auth=(--user "$CREDENTIALS")
fi
answer=

# call STATUS METHOD PATH [BODY]: one request; shows it and its answer, and insists on the status.
call() {
  local expected=$1 method=$2 path=$3 body=${4:-} status
  local options=(--silent --show-error --write-out '\n%{http_code}' --request "$method")
  if [[ -n $body ]]; then
    options+=(--header 'Content-Type: application/json' --data "$body")
  fi
  printf '\n%s %s %s\n' "$method" "$path" "$body"
  answer=$(curl ${auth[@]+"${auth[@]}"} "${options[@]}" "$BASE$path")
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  printf '%s %s\n' "$status" "$answer"
  if [[ $status != "$expected" ]]; then
    printf 'expected %s\n' "$expected" >&2
    exit 1
  fi
}

# told SENDER RECEIVER TEXT TIMESTAMP UUID: a message's body.
told() {
  printf '{"senderPhone": "%s", "receiverPhone": "%s", "messageText": "%s", "timestamp": %s, "uuid": "%s"}' "$@"
}

# Two numbers of the range that is reserved for fiction, other ones at each run.
area=$((RANDOM % 700 + 201))
alice="+1${area}5550101"
bob="+1${area}5550102"
run="$$-$(date +%s)"

echo '# Alice writes, Bob answers'
call 200 POST /api/send-sms "$(told "$alice" "$bob" 'Hello' 1645845235 "$run-1")"
call 200 POST /api/receive-sms "$(told "$bob" "$alice" 'Hi there' 1645845278 "$run-2")"
call 200 POST /api/send-sms "$(told "$alice" "$bob" 'Lunch?' 1645845290 "$run-3")"

echo
echo '# The same message again is stored once; another one under its uuid is refused'
call 200 POST /api/send-sms "$(told "$alice" "$bob" 'Lunch?' 1645845290 "$run-3")"
call 409 POST /api/send-sms "$(told "$alice" "$bob" 'Dinner?' 1645845290 "$run-3")"

echo
echo '# What each of them sees; in a path %2B is a plus sign'
call 200 GET "/api/get-conversation/%2B${alice#+}"
call 200 GET "/api/get-conversation/%2B${bob#+}"

echo
echo '# Page by page, the newest first'
call 200 GET "/api/get-conversation/%2B${alice#+}?limit=2"
cursor=$(sed -n 's/.*"next_before":"\([^"]*\)".*/\1/p' <<<"$answer")
call 200 GET "/api/get-conversation/%2B${alice#+}?limit=2&before=$cursor"

echo
echo '# Refused: missing and invalid fields, a number that nobody knows'
call 400 POST /api/send-sms "{\"senderPhone\": \"$alice\"}"
call 400 POST /api/receive-sms "$(told "$bob" "$alice" 'Hi there' true "$run-4")"
call 404 GET /api/get-conversation/nobody
