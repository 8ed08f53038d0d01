#!/usr/bin/env bash
# Two logins of one account write to each other, fetch and delete.
#
#   examples/mailbox.sh
#   BASE=https://sms.example CREDENTIALS=account:secret examples/mailbox.sh
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

# call STATUS METHOD PATH BODY: one request; shows it and its answer, and insists on the status.
call() {
  local expected=$1 method=$2 path=$3 body=$4 status
  local options=(--silent --show-error --write-out '\n%{http_code}' --request "$method")
  printf '\n%s %s %s\n' "$method" "$path" "$body"
  answer=$(curl ${auth[@]+"${auth[@]}"} "${options[@]}" --data-binary "$body" "$BASE$path")
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  printf '%s %s\n' "$status" "$answer"
  if [[ $status != "$expected" ]]; then
    printf 'expected %s\n' "$expected" >&2
    exit 1
  fi
}

# Other logins at each run.
run="$$-$(date +%s)"
alice="alice-$run"
bob="bob-$run"
pair="\"sender\": \"$alice\", \"recipient\": \"$bob\""

echo '# Two logins; a third with a taken name is refused'
call 201 POST /register "{\"login\": \"$alice\"}"
call 201 POST /register "{\"login\": \"$bob\"}"
call 409 POST /register "{\"login\": \"$bob\"}"

echo
echo '# One writes to the other'
for text in 'Hello' 'Are you there?' 'Bye'; do
  call 201 POST /send_message "{$pair, \"message\": \"$text\"}"
done

echo
echo '# What is new, and nothing is new twice'
call 200 PUT /fetch_new_messages "{$pair}"
# One timestamp a line.
stamps=$(grep -o '"timestamp":"[^"]*"' <<<"$answer" | cut -d '"' -f 4)
call 200 PUT /fetch_new_messages "{$pair}"

echo
echo '# The first two by index, and all of a period'
call 200 PUT /fetch_messages "{$pair, \"start\": 0, \"stop\": 2}"
call 200 PUT /fetch_messages "{$pair, \"period_start\": \"2000-01-01\", \"period_end\": \"9999-12-31\"}"

echo
echo '# Delete one, then the others; what is gone cannot be deleted again'
first=$(head -n 1 <<<"$stamps")
rest=$(sed '1d; s/.*/"&"/' <<<"$stamps" | paste -sd , -)
call 201 DELETE /delete_message "{$pair, \"timestamp\": \"$first\"}"
call 400 DELETE /delete_message "{$pair, \"timestamp\": \"$first\"}"
call 201 DELETE /delete_messages "{$pair, \"timestamps\": [$rest]}"
call 200 PUT /fetch_messages "{$pair, \"start\": 0}"

echo
echo '# Refused: a missing field, an unknown login'
call 400 POST /send_message "{$pair}"
call 400 POST /send_message "{\"sender\": \"$alice\", \"recipient\": \"nobody-$run\", \"message\": \"Hello\"}"
