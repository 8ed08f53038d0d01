#!/bin/sh
# Sends a message, sends it again under the same key, reads it, and reports it as delivered.
#
#   ACCOUNT=demo SECRET=… DLR_SECRET=… examples/messages.sh
#
# LONGCODE_URL: where the server is. Without ACCOUNT the calls are anonymous. DLR_SECRET: the server's
# LONGCODE_DLR_SECRET; without it nothing is reported. The simulator soon reports most messages itself, and
# a final status never changes; RECIPIENT may name one that it leaves to us (its last four digits are 0003).
set -eu

url=${LONGCODE_URL:-http://127.0.0.1:8080}
recipient=${RECIPIENT:-12025550147}
key="example-$$-$(date +%s)"
body="{\"sender_id\": \"MyCorp\", \"recipient\": \"$recipient\", \"text\": \"Hello, this is a test message.\"}"

call() {
    if [ -n "${ACCOUNT:-}" ]; then
        set -- -u "$ACCOUNT:$SECRET" "$@"
    fi
    curl -sS --fail-with-body "$@"
    echo
}

# The value of a string in a record, nothing if it is null.
field() {
    printf '%s' "$2" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"
}

echo "A new message:"
record=$(call "$url/api/messages/" -H "Idempotency-Key: send_msg:$key" --data-binary "$body")
echo "$record"

echo "The same again is the same message:"
call "$url/api/messages/" -H "Idempotency-Key: send_msg:$key" --data-binary "$body"

echo "As soon as the carrier has it, it has the carrier's reference:"
id=$(field id "$record")
reference=
tries=0
while [ -z "$reference" ] && [ "$tries" -lt 20 ]; do
    record=$(call "$url/api/messages/$id/")
    reference=$(field provider_reference "$record")
    tries=$((tries + 1))
    [ -n "$reference" ] || sleep 0.5
done
echo "$record"

if [ -z "$reference" ] || [ -z "${DLR_SECRET:-}" ]; then
    echo "No report: that takes a message that is with its carrier, and DLR_SECRET."
    exit 0
fi

echo "The carrier reports it as delivered:"
report="{\"provider_reference\": \"$reference\", \"status\": \"DELIVERED\"}"
signature=$(printf '%s' "$report" | openssl dgst -sha256 -hmac "$DLR_SECRET" | sed 's/.* //')
curl -sS --fail-with-body "$url/api/webhooks/dlr/" -H "X-Provider-Signature: $signature" --data-binary "$report"
echo
call "$url/api/messages/$id/"
