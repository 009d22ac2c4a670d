#!/bin/bash
# What every host does with its release, read by boot.sh: databases, settings, the shop, its relay, metrics and logs.

units=/etc/systemd/system
in_release=(env -C "$shop/current" "PYTHONPATH=$shop/current/lib") # "${in_release[@]}" python3.13 -m shop COMMAND

say_what_is_active() { # where rows and files are: what no template may say, or a deployment would point at empty ones
  local database=host
  # Managed only where no row can be on the host: in a fleet, or where an empty cluster was made beside a managed one.
  if [[ $SHOP_ROLE == fleet ]]; then database=managed; fi
  if has_changed /var/lib/pgsql/data && managed_database_exists; then database=managed; fi
  parameter database/active >/dev/null 2>&1 || put_parameter database/active "$database" --no-overwrite
  # A fleet has its files in the bucket and nowhere else, whatever was said for the single host before.
  if [[ $SHOP_ROLE == fleet && "$(parameter files/active 2>/dev/null)" != bucket ]]; then
    put_parameter files/active bucket --overwrite
  fi
}

put_parameter() { # put_parameter PATH VALUE --[no-]overwrite
  local answer
  answer=$(aws ssm put-parameter --name "/$SHOP_NAME/$1" --type String --value "$2" "$3" 2>&1) ||
    [[ $answer == *ParameterAlreadyExists* ]] || fail "cannot write /$SHOP_NAME/$1: $answer"
}

managed_database_exists() { parameter database/managed/endpoint >/dev/null 2>&1; }

prepare_databases() { # before new code runs; migrations only add, so the code before it runs on the new schema too
  local active other=host
  active=$(parameter database/active) || fail "nobody says which database is active"
  [[ $active == managed ]] || other=managed
  # The other one first: while rows move over to it, it must never lack a column.
  if [[ $other == host ]] || managed_database_exists; then
    prepare "$other" || say "warning: the $other database, which is not in use, was not prepared"
  fi
  within 24 "the $active database" prepare "$active" # a standby needs up to two minutes to take over
}

prepare() { # prepare host|managed: roles, database and schema, once for each release and database
  local known=/var/lib/shop/prepared-$1 endpoint=here now
  if [[ $SHOP_ROLE-$1 == fleet-host ]]; then return; fi
  if [[ $1 == managed ]]; then endpoint=$(parameter database/managed/endpoint) || return 1; fi
  now="$(readlink "$shop/current") $endpoint"
  if [[ -f $ROOT$known && "$(<"$ROOT$known")" == "$now" ]]; then return; fi
  "prepare_$1" "$endpoint" || return 1
  put "$known" 0644 "$now"
}

prepare_managed() ( # as the master; every host may try, all do the same
  port=$(parameter database/managed/port) || return 1
  secret=$(parameter database/managed/secret) || return 1
  master=$(aws secretsmanager get-secret-value --secret-id "$secret" --query SecretString --output text) || return 1
  PGUSER=$(jq -er .username <<<"$master") || return 1
  PGPASSWORD=$(jq -er .password <<<"$master") || return 1
  export PGHOST=$1 PGPORT=$port PGUSER PGPASSWORD PGSSLMODE=require PGCONNECT_TIMEOUT=5
  PGDATABASE=postgres psql -Xq -v ON_ERROR_STOP=1 -f "$scripts/database.sql" >/dev/null || return 1
  PGDATABASE=shop "${in_release[@]}" python3.13 -m shop migrate --role shop_owner
)

write_settings() { # /shop/database/managed/endpoint becomes DATABASE_MANAGED_ENDPOINT, and so for every parameter
  local found text name value own='LISTEN=0.0.0.0:8080'
  found=$(aws ssm get-parameters-by-path --path "/$SHOP_NAME/" --recursive \
    --query 'Parameters[].[Name,Value]' --output text) || fail "cannot read the parameters under /$SHOP_NAME"
  text=$(while IFS=$'\t' read -r name value; do
    name=${name#"/$SHOP_NAME/"}
    name=${name//[^A-Za-z0-9]/_}
    [[ $name == release || -z $value ]] || echo "${name^^}=$value"
  done <<<"$found" | sort)
  log_group=$(sed -n 's/^LOGS_APP=//p' <<<"$text")
  if [[ $SHOP_ROLE == server ]]; then
    text=$(only_here "$text")
    own=$'LISTEN=127.0.0.1:8080\nFRONT_HOPS=1\nDATABASE_HOST_ENDPOINT=127.0.0.1\nFILES_FOLDER='$uploads
  fi
  # The shop reads this itself, also while it runs; what is secret is in another file.
  put /etc/shop/app.env 0640 "SHOP_NAME=$SHOP_NAME"$'\n'"AWS_REGION=$SHOP_REGION"$'\n'"AWS_DEFAULT_REGION=$SHOP_REGION
$own
$text" root:shop
}

place_service() { # place_service UNIT: with what the shop's services have in common
  place "$1" "$units/$1" 0644
  place shop-process.conf "$units/$1.d/process.conf" 0644
}

start_app() {
  local on_change=(/etc/shop/database.env /opt/shop/current)
  write_settings
  place_service shop.service
  run shop.service "$units/shop.service" "$units/shop.service.d/process.conf" "${on_change[@]}" -- /etc/shop/app.env
  within 36 "the application" app_answers
  if grep -q '^EVENTS_TOPIC=' "$ROOT/etc/shop/app.env"; then
    place_service shop-relay.service
    run shop-relay.service "$units/shop-relay.service" "$units/shop-relay.service.d/process.conf" \
      "${on_change[@]}" /etc/shop/app.env
  elif systemctl is-enabled --quiet shop-relay.service; then # no topic any more: nobody is to be told
    systemctl disable --quiet --now shop-relay.service
  fi
  start_agent || say "warning: no metrics and no logs from this host"
}

app_answers() { curl -fs --max-time 2 -o /dev/null http://127.0.0.1:8080/healthz; }

start_agent() { # metrics and logs: the shop can do without for a while, so a failure is only said
  place amazon-cloudwatch-agent.json /etc/shop/agent.json 0644
  place logrotate.conf /etc/logrotate.d/shop 0644
  run logrotate.timer || return 1
  if has_changed /etc/shop/agent.json || ! systemctl is-active --quiet amazon-cloudwatch-agent; then
    amazon-cloudwatch-agent-ctl -a fetch-config -m ec2 -s -c "file:$ROOT/etc/shop/agent.json" >/dev/null
  fi
}
