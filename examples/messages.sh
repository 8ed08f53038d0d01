#!/usr/bin/env bash
# A message is sent, sent again under the same key, read, and reported as delivered.
#
#   DLR_SECRET=dlr-secret examples/messages.sh
#   BASE=https://sms.example CREDENTIALS=account:secret DLR_SECRET=… examples/messages.sh
#
# Without CREDENTIALS the calls are anonymous, which a server started by `longcode up` allows on its own machine.
# DLR_SECRET: what the server was started with as LONGCODE_DLR_SECRET; without it nothing is reported.
# RECIPIENT: the simulator gives numbers that end in 0003 no receipt, which leaves the report to us.
# Ends with 0 if every answer had the expected status.
set -euo pipefail

BASE=${BASE:-http://127.0.0.1:8080}
CREDENTIALS=${CREDENTIALS:-}
DLR_SECRET=${DLR_SECRET:-}
RECIPIENT=${RECIPIENT:-447700900003}

auth=()
if [[ -n $CREDENTIALS ]]; then
  auth=(--user "$CREDENTIALS")
fi
answer=
status=

# ask METHOD PATH [OPTION…]: one request; shows it and its answer.
ask() {
  local method=$1 path=$2
  shift 2
  printf '\n%s %s\n' "$method" "$path"
  answer=$(curl --silent --show-error --write-out '\n%{http_code}' --request "$method" "$@" "$BASE$path")
  status=${answer##*$'\n'}
  answer=${answer%$'\n'*}
  printf '%s %s\n' "$status" "$answer"
}

# call STATUS METHOD PATH [OPTION…]: as the account, and insists on the status.
call() {
  local expected=$1
  shift
  ask "$@" ${auth[@]+"${auth[@]}"}
  if [[ $status != "$expected" ]]; then
    printf 'expected %s\n' "$expected" >&2
    exit 1
  fi
}

# field NAME: a string in the latest answer, nothing if it is null.
field() {
  sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p" <<<"$answer"
}

key="Idempotency-Key: send_msg:example-$$-$(date +%s)"
text='Hello, this is a test message.'
body="{\"sender_id\": \"MyCorp\", \"recipient\": \"$RECIPIENT\", \"text\": \"$text\"}"

echo '# A new message; the same again is the same message; another one under its key is refused'
call 201 POST /api/messages/ --header "$key" --data-binary "$body"
id=$(field id)
call 200 POST /api/messages/ --header "$key" --data-binary "$body"
call 422 POST /api/messages/ --header "$key" --data-binary "${body/Hello/Goodbye}"

echo
echo '# Refused: a sender ID that is not in the whitelist'
call 400 POST /api/messages/ --header "$key-2" --data-binary "${body/MyCorp/Nobody}"

echo
echo "# As soon as the carrier has it, it has the carrier's reference"
reference=
for _ in {1..20}; do
  call 200 GET "/api/messages/$id/"
  reference=$(field provider_reference)
  if [[ -n $reference ]]; then
    break
  fi
  sleep 0.5
done
if [[ -z $reference ]]; then
  echo 'No carrier has taken the message: see `longcode doctor` and `longcode carrier list`.' >&2
  exit 1
fi

if [[ -z $DLR_SECRET ]]; then
  echo
  echo 'Nothing is reported: DLR_SECRET is not set.'
  exit 0
fi

echo
echo '# The carrier reports it as delivered'
report="{\"provider_reference\": \"$reference\", \"status\": \"DELIVERED\"}"
signature=$(printf '%s' "$report" | openssl dgst -sha256 -hmac "$DLR_SECRET" | sed 's/.* //')
ask POST /api/webhooks/dlr/ --header "X-Provider-Signature: $signature" --data-binary "$report"
if [[ $status == 403 ]]; then
  echo "The report was refused: DLR_SECRET is not the server's LONGCODE_DLR_SECRET, or the server was started without." >&2
  exit 1
elif [[ $status != 200 ]]; then
  echo 'expected 200' >&2
  exit 1
fi
call 200 GET "/api/messages/$id/"
