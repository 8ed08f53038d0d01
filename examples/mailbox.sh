#!/bin/sh
# Two logins of one account write to each other, fetch and delete.
#
#   ACCOUNT=demo SECRET=… examples/mailbox.sh
#
# LONGCODE_URL: where the server is. Without ACCOUNT the calls are anonymous.
set -eu

url=${LONGCODE_URL:-http://127.0.0.1:8080}
alice="alice-$$"
bob="bob-$$"
pair="\"sender\": \"$alice\", \"recipient\": \"$bob\""

call() {
    if [ -n "${ACCOUNT:-}" ]; then
        curl -sS --fail-with-body -u "$ACCOUNT:$SECRET" -X "$1" "$url$2" --data-binary "$3"
    else
        curl -sS --fail-with-body -X "$1" "$url$2" --data-binary "$3"
    fi
    echo
}

call POST /register "{\"login\": \"$alice\"}"
call POST /register "{\"login\": \"$bob\"}"

for text in "Hello" "Are you there?" "Bye"; do
    call POST /send_message "{$pair, \"message\": \"$text\"}"
done

echo "New messages:"
new=$(call PUT /fetch_new_messages "{$pair}")
echo "$new"

echo "Nothing is new twice:"
call PUT /fetch_new_messages "{$pair}"

echo "The first two by index:"
call PUT /fetch_messages "{$pair, \"start\": 0, \"stop\": 2}"

echo "All of a period:"
call PUT /fetch_messages "{$pair, \"period_start\": \"2000-01-01\", \"period_end\": \"9999-12-31\"}"

# One timestamp a line.
stamps=$(printf '%s' "$new" | grep -o '"timestamp":"[^"]*"' | cut -d '"' -f 4)
first=$(printf '%s\n' "$stamps" | head -n 1)
rest=$(printf '%s\n' "$stamps" | sed 1d | sed 's/.*/"&"/' | paste -sd , -)

echo "Deleting one, then the others:"
call DELETE /delete_message "{$pair, \"timestamp\": \"$first\"}"
call DELETE /delete_messages "{$pair, \"timestamps\": [$rest]}"
call PUT /fetch_messages "{$pair, \"start\": 0}"
