#!/bin/sh
# Makes the secrets that are not there yet, one a file. The folder is closed to others; the files are open to the containers' users.
set -eu
cd "$(dirname "$0")"
umask 022
mkdir -p secrets
chmod 700 secrets

made() { [ -s "secrets/$1" ] || printf '%s' "$2" >"secrets/$1"; }
fresh() { head -c 24 /dev/urandom | od -An -tx1 | tr -d ' \n'; }

for name in postgres_password redis_password minio_password grafana_password metrics__key serve__key; do
    made "$name" "$(fresh)"
done
made minio_user tickhouse
made warm__url "postgresql://tickhouse:$(cat secrets/postgres_password)@postgres:5432/tickhouse"
made hot__url "redis://:$(cat secrets/redis_password)@redis:6379/0"
made lake__url "s3://$(cat secrets/minio_user):$(cat secrets/minio_password)@tickhouse/?endpoint=http://minio:9000"
echo "secrets are in $(pwd)/secrets; the key of the page is in secrets/serve__key"
