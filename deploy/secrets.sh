#!/bin/sh
# Makes the secret files of docker-compose.prod.yml that are not there yet, in deploy/secrets or the folder given.
# The certificate is self-signed: put a real one in the place of tls_certificate and tls_key.
set -eu

folder=${1:-$(dirname "$0")/secrets}
mkdir -p "$folder"
# The containers run as other users than yours and must read the files, so it is the folder that keeps
# everybody else on this machine out.
chmod 700 "$folder"
cd "$folder"

keep() { # NAME: standard input becomes that file, in one step
    cat > ".$1.new"
    chmod 644 ".$1.new"
    mv ".$1.new" "$1"
    echo "made $1"
}

for name in postgres_password longcode_dlr_secret longcode_secret_key; do
    [ -s "$name" ] || openssl rand -hex 32 | keep "$name"
done
if [ ! -s longcode_database_url ]; then
    echo "postgresql://longcode:$(cat postgres_password)@postgres:5432/longcode" | keep longcode_database_url
fi
if [ ! -s tls_certificate ] || [ ! -s tls_key ]; then
    name=${TLS_NAME:-localhost}
    openssl req -x509 -newkey rsa:2048 -nodes -days 365 -subj "/CN=$name" -addext "subjectAltName=DNS:$name" \
        -keyout .tls_key.pem -out .tls_certificate.pem 2> /dev/null
    keep tls_key < .tls_key.pem
    keep tls_certificate < .tls_certificate.pem
    rm .tls_key.pem .tls_certificate.pem
fi
