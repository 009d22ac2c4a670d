#!/bin/bash
# Turns a bare Amazon Linux 2023 host (arm64) into a host of the shop: as root, at every boot, whatever state it finds.
# What is as it should be is left alone. EC2 user data is this file after its settings (`export SHOP_NAME=...`), so it
# only fetches the release; what a host does with it lies in the release: app.sh, and server.sh for the single host.
#
#   boot.sh              everything, the first time and at each boot
#   boot.sh release      run the release that /<name>/release names; go back when it does not answer
#   boot.sh settings     read the parameters again, for instance after the active database changed
#   boot.sh certificate  get or renew the certificate (a timer does this on the single host)
#   boot.sh files        copy what was uploaded to the single host into the bucket
set -euo pipefail # and no `a && b` for what must succeed: a failing `a` would not stop the script
shopt -s inherit_errexit
cd /

: "${SHOP_NAME:?}" "${SHOP_REGION:?}" "${SHOP_ROLE:?server or fleet}"
ROOT=${ROOT:-} # a test puts a whole file system here
export AWS_DEFAULT_REGION=$SHOP_REGION PATH=$PATH:/opt/aws/bin:/opt/aws/amazon-cloudwatch-agent/bin
shop=$ROOT/opt/shop
scripts=$shop/current/shop/host
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
    -e "s|@QUARTER_OF_MEMORY@|$memory|g" "$scripts/$1") || fail "the release has no $1"
  put "$2" "$3" "$text" "${4:-}"
}

has_changed() { [[ " ${changed[*]} " == *" $1 "* ]]; }

enable_unit() {
  [[ " ${changed[*]} " != *" /etc/systemd/"* ]] || systemctl daemon-reload
  systemctl is-enabled --quiet "$1" || systemctl enable --quiet "$1"
}

run() { # run UNIT PATH... [-- PATH...]: enabled and running; restarted, or only reloaded, when one of these has changed
  local unit=$1 how=restart path
  shift
  enable_unit "$unit"
  for path; do
    if [[ $path == -- ]]; then
      how=reload-or-restart
    elif has_changed "$path"; then
      systemctl "$how" "$unit"
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

parameter() { aws ssm get-parameter --name "/$SHOP_NAME/$1" --query Parameter.Value --output text; }

read_release() { release_url=$(parameter release); }

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
    # A process may not write here, and would compile everything each time it starts.
    python3.13 -m compileall -qj 0 -s "$new/files" -p /opt/shop/current "$new/files" || say "warning: not all is compiled"
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

read_scripts() { # of the release that is current
  # shellcheck source=shop/host/app.sh
  source "$scripts/app.sh"
  if [[ $SHOP_ROLE == server ]]; then
    # shellcheck source=shop/host/server.sh
    source "$scripts/server.sh"
  fi
}

boot() {
  keep_this_script
  install_packages
  follow_release
  read_scripts
  place shop-boot.service /etc/systemd/system/shop-boot.service 0644
  enable_unit shop-boot.service
  if [[ $SHOP_ROLE == server ]]; then
    mount_data_volume
    start_database
  fi
  say_what_is_active
  prepare_databases
  if [[ $SHOP_ROLE == server ]]; then let_the_shop_log_in; fi
  start_app
  if [[ $SHOP_ROLE == server ]]; then
    start_nginx
    keep_a_certificate
  fi
  keep_two_releases
}

release() {
  follow_release
  read_scripts
  prepare_databases
  start_app
  keep_two_releases
}

settings() {
  read_scripts
  start_app
}

certificate() {
  read_scripts
  renew_certificate
}

files() {
  read_scripts
  copy_files
}

go_back() {
  switch_to "$going_back_to"
  read_scripts
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
[[ $task =~ ^(boot|release|settings|certificate|files)$ ]] || fail "unknown: $task"
mkdir -p "$ROOT/var/log/shop" "$ROOT/run"
exec > >(tee -a "$ROOT/var/log/shop/boot.log") 2>&1
exec 9>"$ROOT/run/shop-boot.lock"
flock 9 # one at a time
trap leave EXIT
"$task"
