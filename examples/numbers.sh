#!/usr/bin/env bash
# The number inventory by curl: list, create, read, replace, change, delete, and what is refused.
#
#   examples/numbers.sh
#   BASE=https://sms.example CREDENTIALS=account:secret examples/numbers.sh
#
# Without CREDENTIALS the calls are anonymous, which a server started by `longcode up` allows on its own machine.
# Ends with 0 if every answer had the expected status. What it creates it deletes again.
set -euo pipefail

BASE=${BASE:-http://127.0.0.1:8080}
CREDENTIALS=${CREDENTIALS:-}

headers=$(mktemp)
location=
auth=()
if [[ -n $CREDENTIALS ]]; then
  auth=(--user "$CREDENTIALS")
fi

finish() {
  rm -f "$headers"
  if [[ -n $location ]]; then
    curl --silent --output /dev/null ${auth[@]+"${auth[@]}"} --request DELETE "$BASE$location"
  fi
}
trap finish EXIT

# call STATUS METHOD PATH [BODY]: one request; shows it and its answer, and insists on the status.
call() {
  local expected=$1 method=$2 path=$3
  local options=(--silent --show-error --dump-header "$headers" --write-out '\n%{http_code}' --request "$method")
  if (($# > 3)); then
    options+=(--header 'Content-Type: application/json' --data "$4")
    printf '\n%s %s %s\n' "$method" "$path" "$4"
  else
    printf '\n%s %s\n' "$method" "$path"
  fi
  local answer
  answer=$(curl ${auth[@]+"${auth[@]}"} "${options[@]}" "$BASE$path")
  local status=${answer##*$'\n'}
  printf '%s %s\n' "$status" "${answer%$'\n'*}"
  if [[ $status != "$expected" ]]; then
    printf 'expected %s\n' "$expected" >&2
    exit 1
  fi
}

# A number of the range that is reserved for fiction, another one at each run.
value="+1 303 555-01$((RANDOM % 90 + 10))"
digits=${value//[^0-9]/}

echo '# Create'
call 201 POST /api/numbers \
  "{\"value\": \"$value\", \"monthyPrice\": \"0.03\", \"setupPrice\": \"3.40\", \"currency\": \"U\$\"}"
location=$(sed -n 's/\r$//; s/^[Ll]ocation: //p' "$headers")

echo
echo '# Read: one, a page, sorted, found by its digits'
call 200 GET "$location"
call 200 GET '/api/numbers?page=1&per_page=5'
call 200 GET '/api/numbers?sort=-monthyPrice&per_page=5'
call 200 GET "/api/numbers?search=$digits"

echo
echo '# Replace all fields'
call 200 PUT "$location" \
  "{\"value\": \"$value\", \"monthyPrice\": \"1.50\", \"setupPrice\": \"0.00\", \"currency\": \"€\"}"

echo
echo '# Change some'
call 200 PATCH "$location" '{"monthyPrice": "2.00", "currency": "R$"}'

echo
echo '# Refused: a negative price, missing fields, a duplicate, an unknown number'
call 400 PATCH "$location" '{"monthyPrice": "-1"}'
call 400 POST /api/numbers '{"currency": "U$"}'
call 409 POST /api/numbers \
  "{\"value\": \"$digits\", \"monthyPrice\": \"0.03\", \"setupPrice\": \"3.40\", \"currency\": \"U\$\"}"
call 404 GET /api/numbers/0

echo
echo '# Delete'
gone=$location
location=
call 204 DELETE "$gone"
call 404 GET "$gone"
