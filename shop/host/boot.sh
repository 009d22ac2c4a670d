#!/bin/bash
# Turns a bare Amazon Linux 2023 host (arm64) into a host of the shop: as root, at every boot, whatever state it finds.
# What is as it should be is left alone. EC2 user data is this file after its settings (`export SHOP_NAME=...`);
# all that can change with a release lies in the release, and what only the single host does is in its server.sh.
#
#   boot.sh              everything, the first time and at each boot
#   boot.sh release      run the release that /<name>/release names; go back when it does not answer
#   boot.sh settings     read the parameters again, for instance after the active database changed
#   boot.sh certificate  get or renew the certificate (a timer does this on the single host)
set -euo pipefail # and no `a && b` for what must succeed: a failing `a` would not stop the script
shopt -s inherit_errexit
cd /

: "${SHOP_NAME:?}" "${SHOP_REGION:?}" "${SHOP_ROLE:?server or fleet}"
ROOT=${ROOT:-} # a test puts a whole file system here
export AWS_DEFAULT_REGION=$SHOP_REGION PATH=$PATH:/opt/aws/bin:/opt/aws/amazon-cloudwatch-agent/bin
shop=$ROOT/opt/shop
changed=() going_back_to='' release_url='' log_group=''

say() { echo "$(date -u +%FT%TZ) boot: $*"; }

fail() {
  say "error: $*" >&2
  exit 1
}

within() { # within TRIES WHAT COMMAND...: every five seconds until it succeeds, but not for ever
  local tries=$1 what=$2
  shift 2
  until "$@"; do
    ((tries-- > 1)) || fail "gave up waiting for $what"
    sleep 5
  done
}

put() { # put PATH MODE TEXT [OWNER]: writes only what differs, and remembers that it did
  local file=$ROOT$1
  if [[ -f $file && "$(<"$file")" == "$3" ]]; then return; fi
  mkdir -p "${file%/*}"
  (umask 077 && printf '%s\n' "$3" >"$file.new")
  chmod "$2" "$file.new"
  [[ -z ${4:-} ]] || chown "$4" "$file.new"
  mv "$file.new" "$file"
  changed+=("$1")
}

place() { # place NAME PATH MODE [OWNER]: a file of the release, with its marks filled in
  local text memory
  memory=$(awk '/^MemTotal/ { print int($2 / 4096) "MB" }' /proc/meminfo)
  text=$(sed -e "s|@NAME@|$SHOP_NAME|g; s|@DOMAIN@|${SHOP_DOMAIN:-}|g; s|@LOG_GROUP@|$log_group|g" \
    -e "s|@QUARTER_OF_MEMORY@|$memory|g" "$shop/current/host/$1") || fail "the release has no host/$1"
  put "$2" "$3" "$text" "${4:-}"
}

has_changed() { [[ " ${changed[*]} " == *" $1 "* ]]; }

enable_unit() {
  [[ " ${changed[*]} " != *" /etc/systemd/"* ]] || systemctl daemon-reload
  systemctl is-enabled --quiet "$1" || systemctl enable --quiet "$1"
}

run() { # run UNIT PATH...: enabled and running, restarted when one of these files has changed
  local unit=$1 path
  shift
  enable_unit "$unit"
  for path; do
    if has_changed "$path"; then
      systemctl restart "$unit"
      return
    fi
  done
  systemctl is-active --quiet "$unit" || systemctl start "$unit"
}

this_instance() {
  local token address=http://169.254.169.254/latest
  token=$(curl -fsS -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' "$address/api/token")
  curl -fsS -H "X-aws-ec2-metadata-token: $token" "$address/meta-data/instance-id"
}

keep_this_script() { # with its settings, for later boots and for Run Command
  local itself
  itself=$(<"${BASH_SOURCE[0]}")
  put /opt/shop/boot.sh 0755 "$itself"
}

install_packages() {
  local packages=(python3.13 postgresql17 unzip jq logrotate amazon-cloudwatch-agent aws-cfn-bootstrap)
  [[ $SHOP_ROLE != server ]] || packages+=(postgresql17-server nginx openssl xfsprogs)
  rpm -q "${packages[@]}" >/dev/null || within 20 "the package repository" dnf install -y -q "${packages[@]}"
  id -u shop >/dev/null 2>&1 || useradd --system --home-dir /opt/shop --no-create-home --shell /sbin/nologin shop
}

read_release() {
  release_url=$(aws ssm get-parameter --name "/$SHOP_NAME/release" --query Parameter.Value --output text)
}

follow_release() { # from here until the application answers, any failure goes back to the release before
  local hash previous new=$shop/releases/.new
  release_url=${SHOP_RELEASE:-}
  [[ -n $release_url ]] || within 60 "the parameter /$SHOP_NAME/release" read_release
  [[ $release_url == s3://*.zip ]] || fail "not a release: $release_url"
  hash=$(basename "$release_url" .zip)
  if [[ ! -d $shop/releases/$hash ]]; then
    rm -rf "$new"
    mkdir -p "$new"
    aws s3 cp --only-show-errors "$release_url" "$new/zip"
    unzip -q "$new/zip" -d "$new/files"
    chmod -R u=rwX,go=rX "$new/files"
    mv -T "$new/files" "$shop/releases/$hash"
    rm -rf "$new"
  fi
  previous=$(readlink "$shop/current" || true)
  if [[ $previous != "releases/$hash" ]]; then
    going_back_to=$previous
    switch_to "releases/$hash"
  fi
}

switch_to() {
  say "switching to $1"
  ln -sfn "$1" "$shop/current.new"
  mv -T "$shop/current.new" "$shop/current"
  changed+=(/opt/shop/current)
}

keep_two_releases() { # this one and the one before
  local current
  current=$(readlink "$shop/current")
  [[ -z $going_back_to ]] || find "$shop/releases" -mindepth 1 -maxdepth 1 \
    ! -name "${current##*/}" ! -name "${going_back_to##*/}" -exec rm -rf {} +
  going_back_to=''
}

say_which_database_is_active() { # once in the life of an environment; after that only a migration changes it
  local path=/$SHOP_NAME/database/active answer here=host
  # Managed only where no row can be on the host: in a fleet, or where an empty cluster was made beside a managed one.
  if [[ $SHOP_ROLE == fleet ]]; then here=managed; fi
  if has_changed /var/lib/pgsql/data && managed_database_exists; then here=managed; fi
  if aws ssm get-parameter --name "$path" >/dev/null 2>&1; then return; fi
  answer=$(aws ssm put-parameter --name "$path" --type String --value "$here" --no-overwrite 2>&1) ||
    [[ $answer == *ParameterAlreadyExists* ]] || fail "cannot write $path: $answer"
}

managed_database_exists() { aws ssm get-parameter --name "/$SHOP_NAME/database/managed/endpoint" >/dev/null 2>&1; }

prepare_managed_database() { # its role and its database, once for each host; every host may try, all do the same
  local path=/$SHOP_NAME/database/managed known=/var/lib/shop/prepared-database endpoint port secret admin script
  managed_database_exists || return 0
  endpoint=$(aws ssm get-parameter --name "$path/endpoint" --query Parameter.Value --output text) || return 1
  script=$shop/current/host/database.sql
  if [[ -f $ROOT$known && "$(<"$ROOT$known")" == "$endpoint $(cksum <"$script")" ]]; then return; fi
  port=$(aws ssm get-parameter --name "$path/port" --query Parameter.Value --output text) || return 1
  secret=$(aws ssm get-parameter --name "$path/secret" --query Parameter.Value --output text) || return 1
  admin=$(aws secretsmanager get-secret-value --secret-id "$secret" --query SecretString --output text) || return 1
  PGHOST=$endpoint PGPORT=$port PGDATABASE=postgres PGSSLMODE=require PGCONNECT_TIMEOUT=5 \
    PGUSER=$(jq -er .username <<<"$admin") PGPASSWORD=$(jq -er .password <<<"$admin") \
    psql -Xq -v ON_ERROR_STOP=1 -f "$script" >/dev/null || return 1
  put "$known" 0644 "$endpoint $(cksum <"$script")"
}

write_settings() { # /shop/database/managed/endpoint becomes DATABASE_MANAGED_ENDPOINT, and so for every parameter
  local found text name value listen=0.0.0.0:8080
  found=$(aws ssm get-parameters-by-path --path "/$SHOP_NAME/" --recursive \
    --query 'Parameters[].[Name,Value]' --output text) || fail "cannot read the parameters under /$SHOP_NAME"
  text=$(while IFS=$'\t' read -r name value; do
    name=${name#"/$SHOP_NAME/"}
    name=${name//[^A-Za-z0-9]/_}
    [[ $name == release || -z $value ]] || echo "${name^^}=$value"
  done <<<"$found" | sort)
  log_group=$(sed -n 's/^LOGS_APP=//p' <<<"$text")
  if [[ $SHOP_ROLE == server ]]; then # its own PostgreSQL: the parameter may still hold the address of the host before
    listen=127.0.0.1:8080
    text=$(sed '/^DATABASE_HOST_ENDPOINT=/d' <<<"$text")$'\nDATABASE_HOST_ENDPOINT=127.0.0.1'
  fi
  put /etc/shop/app.env 0600 "SHOP_NAME=$SHOP_NAME"$'\n'"AWS_REGION=$SHOP_REGION"$'\n'"LISTEN=$listen"$'\n'"$text"
}

start_agent() { # metrics and logs: the shop can do without for a while, so a failure is only said
  place amazon-cloudwatch-agent.json /etc/shop/agent.json 0644
  place logrotate.conf /etc/logrotate.d/shop 0644
  run logrotate.timer || return 1
  if has_changed /etc/shop/agent.json || ! systemctl is-active --quiet amazon-cloudwatch-agent; then
    amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c "file:$ROOT/etc/shop/agent.json" >/dev/null
  fi
}

app_answers() { curl -fs --max-time 2 -o /dev/null http://127.0.0.1:8080/healthz; }

start_app() {
  write_settings
  place shop.service /etc/systemd/system/shop.service 0644
  run shop.service /etc/systemd/system/shop.service /etc/shop/app.env /etc/shop/database.env /opt/shop/current
  within 36 "the application" app_answers
  start_agent || say "warning: no metrics and no logs from this host"
}

boot() {
  keep_this_script
  install_packages
  follow_release
  place shop-boot.service /etc/systemd/system/shop-boot.service 0644
  enable_unit shop-boot.service
  if [[ $SHOP_ROLE == server ]]; then
    the_server
    mount_data_volume
    start_database
    create_database
  fi
  say_which_database_is_active
  prepare_managed_database || say "warning: the managed database was not prepared; the next boot tries again"
  start_app
  if [[ $SHOP_ROLE == server ]]; then
    start_nginx
    keep_a_certificate
  fi
  keep_two_releases
}

release() {
  follow_release
  start_app
  keep_two_releases
}

settings() { start_app; }

certificate() {
  the_server
  renew_certificate
}

the_server() {
  # shellcheck source=shop/host/server.sh
  source "$shop/current/host/server.sh"
}

go_back() {
  switch_to "$going_back_to"
  start_app
}

report_readiness() { # to the group, which sends requests only to a host that answers, and to a deployment that waits
  local code=$1 result=CONTINUE instance group
  ((code == 0)) || result=ABANDON
  instance=$(this_instance) || say "warning: this host does not know who it is"
  group=$(aws autoscaling describe-auto-scaling-instances --instance-ids "$instance" \
    --query 'AutoScalingInstances[0].AutoScalingGroupName' --output text) || say "warning: no group was found"
  aws autoscaling complete-lifecycle-action --auto-scaling-group-name "$group" --lifecycle-hook-name "$SHOP_HOOK" \
    --instance-id "$instance" --lifecycle-action-result "$result" || say "warning: the group did not wait for this host"
  cfn-signal --exit-code "$code" --stack "$SHOP_STACK" --resource "$SHOP_GROUP" --region "$SHOP_REGION" ||
    say "warning: nobody waited for a signal"
}

leave() { # whatever happened: go back from a release that does not work, and tell who waits for this host
  local code=$? ready=/var/lib/shop/ready
  trap - EXIT
  if ((code)) && [[ -n $going_back_to ]]; then
    (go_back) || say "error: the release before does not answer either"
  fi
  if [[ $task == boot && ! -e $ROOT$ready ]]; then
    [[ $SHOP_ROLE != fleet ]] || report_readiness "$code"
    ((code)) || put "$ready" 0644 "answered once"
  fi
  ((code)) || say "$task: done"
  exit "$code"
}

task=${1:-boot}
[[ $task =~ ^(boot|release|settings|certificate)$ ]] || fail "unknown: $task"
mkdir -p "$ROOT/var/log/shop" "$ROOT/run"
exec > >(tee -a "$ROOT/var/log/shop/boot.log") 2>&1
exec 9>"$ROOT/run/shop-boot.lock"
flock 9 # one at a time
trap leave EXIT
"$task"
