#!/bin/bash
# PostgreSQL's archive, in the files bucket. Runs as PostgreSQL's user, in the folder of the cluster.
#
#   wal.sh put PATH NAME   archive_command: 0 only when the bucket holds exactly this file
#   wal.sh get NAME PATH   restore_command: 1 when there is no such file, 200 when nobody knows
set -euo pipefail

set -a
# shellcheck source=/dev/null
source "${WAL_SETTINGS:-/etc/shop/wal.env}"
set +a

# A new cluster counts from the beginning again, so each has a folder of its own.
cluster=$(pg_controldata . | sed -n 's/^Database system identifier: *//p')
box=$(mktemp -d)
trap 'rm -rf "$box"' EXIT

object() { # object ACTION NAME ARGUMENT...
  local action=$1 key=wal/$cluster/$2.gz
  shift 2
  # shellcheck disable=SC2069 # what it complains about is what we want to know
  aws s3api "$action-object" --bucket "$WAL_BUCKET" --key "$key" "$@" 2>&1 >/dev/null
}

complain() { # a line for the log that is also a metric
  local directive='{"Namespace":"ShopArchive","Dimensions":[["Environment"]],"Metrics":[{"Name":"ArchiveFailures","Unit":"Count"}]}'
  printf '{"level":"error","message":"%s","Environment":"%s","ArchiveFailures":1,"_aws":{"Timestamp":%s,"CloudWatchMetrics":[%s]}}\n' \
    "${1//[\"\\]/}" "$SHOP_NAME" "$(date +%s000)" "$directive" >&2
  exit 1
}

put() {
  local answer
  gzip -nc "$1" >"$box/new" # a segment that was closed early is mostly zeros
  if answer=$(object put "$2" --body "$box/new" --if-none-match '*'); then return; fi
  [[ $answer == *PreconditionFailed* ]] || complain "the archive did not take $2: ${answer//$'\n'/ }"
  # There already, from an attempt whose answer got lost; or something else, which is never overwritten.
  answer=$(object get "$2" "$box/there") || complain "the archive does not show $2: ${answer//$'\n'/ }"
  gunzip -c <"$box/there" | cmp -s - "$1" || complain "the archive holds another $2"
}

get() {
  local answer
  if answer=$(object get "$1" "$box/there"); then
    gunzip -c <"$box/there" >"$box/whole" && mv "$box/whole" "$2" && return
  elif [[ $answer == *NoSuchKey* ]]; then
    exit 1
  fi
  echo "the archive does not answer: $answer" >&2
  exit 200 # above 125 PostgreSQL stops, instead of taking this for the end of the archive
}

"$@"
