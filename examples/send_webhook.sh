#!/bin/sh
# Send a signed delivery to /hooks/standard of this machine, as a Standard Webhooks sender does:
#   sh examples/send_webhook.sh TYPE DATA [ID]       such as: guest.arrived '{"guest": "ada"}'
# The secret is the newest one of .env in this folder; WEB_PORT=… names another port than 8000, URL=… another server.
set -eu

type=$1
data=$2
id=${3:-msg_$(openssl rand -hex 8)}

secret=${WEBHOOK_SECRET_STANDARD:-$(sed -n 's/^WEBHOOK_SECRET_STANDARD=//p' .env 2>/dev/null | tail -n 1)}
secret=${secret##* }
[ -n "$secret" ] || { echo "send_webhook: no WEBHOOK_SECRET_STANDARD in .env of this folder; see docs/webhooks.md" >&2; exit 1; }
now=$(date +%s)
body=$(printf '{"type": "%s", "data": %s}' "$type" "$data")
key=$(printf %s "${secret#whsec_}" | base64 -d | od -An -v -tx1 | tr -d ' \n')
signature=$(printf %s "$id.$now.$body" | openssl dgst -sha256 -mac HMAC -macopt "hexkey:$key" -binary | base64)

curl --fail-with-body --silent --show-error "${URL:-http://127.0.0.1:${WEB_PORT:-8000}}/hooks/standard" \
    --header 'Content-Type: application/json' --header "webhook-id: $id" --header "webhook-timestamp: $now" \
    --header "webhook-signature: v1,$signature" --data "$body"
