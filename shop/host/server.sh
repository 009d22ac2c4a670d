#!/bin/bash
# What only the single host does, read by boot.sh: the data volume, PostgreSQL and uploads on it, nginx, its certificate.

pgsql=/var/lib/pgsql data=/var/lib/pgsql/data uploads=/var/lib/shop/files
instance='' volume='' device=''

find_volume() { # two under one tag: one of them is the wrong one, and only a person knows which
  local found
  found=$(aws ec2 describe-volumes --query "join(' ', Volumes[].VolumeId)" --output text --filters \
    "Name=tag:shop:data-volume,Values=$SHOP_NAME" Name=status,Values=creating,available,in-use)
  read -ra found <<<"$found"
  ((${#found[@]} == 1)) || fail "need one volume with tag shop:data-volume=$SHOP_NAME, found ${#found[@]}: ${found[*]}"
  volume=${found[0]}
}

volume_is_ours() { # a host that is being replaced still holds it for some minutes
  local holder answer
  holder=$(aws ec2 describe-volumes --volume-ids "$volume" --query 'Volumes[0].Attachments[0].InstanceId' --output text)
  if [[ $holder == "$instance" ]]; then return; fi
  if [[ $holder != None ]]; then
    say "$volume is still attached to ${holder:-?}"
    return 1
  fi
  if answer=$(aws ec2 attach-volume --volume-id "$volume" --instance-id "$instance" --device /dev/sdf 2>&1); then return; fi
  [[ $answer == *IncorrectState* || $answer == *VolumeInUse* ]] || fail "cannot attach $volume: $answer"
  return 1
}

make_file_system_if_blank() { # blkid says 2 also about what it cannot read, so the zeros are looked at too
  local code=0 written
  blkid --probe "$device" >/dev/null || code=$?
  if ((code == 0)); then return; fi
  ((code == 2)) || fail "blkid says $code about $device: not touched"
  written=$(head -c 1048576 "$device" | tr -d '\0' | wc -c)
  ((written == 0)) || fail "$device holds something that blkid does not know: not touched"
  mkfs.xfs -q "$device"
}

mount_data_volume() {
  local uuid
  instance=$(this_instance)
  find_volume
  within 120 "volume $volume" volume_is_ours
  device=$ROOT/dev/disk/by-id/nvme-Amazon_Elastic_Block_Store_${volume/-/}
  within 60 "device $device" test -e "$device"
  make_file_system_if_blank
  uuid=$(blkid --match-tag UUID --output value "$device")
  mount_here "$pgsql" "UUID=$uuid $pgsql xfs defaults,noatime,nofail,x-systemd.device-timeout=60 0 2"
  # A second way to the same volume: into the folder above it only PostgreSQL may look.
  if [[ ! -d $ROOT$pgsql/files ]]; then
    mkdir -m 0700 "$ROOT$pgsql/files"
    chown shop: "$ROOT$pgsql/files"
  fi
  mount_here "$uploads" "$pgsql/files $uploads none bind,nofail,x-systemd.requires-mounts-for=$pgsql 0 0"
}

mount_here() { # mount_here FOLDER LINE: now, and by this line of fstab at the next start
  if ! grep -qxF "$2" "$ROOT/etc/fstab"; then
    echo "$2" >>"$ROOT/etc/fstab"
    systemctl daemon-reload
  fi
  if ! mountpoint -q "$ROOT$1"; then
    mkdir -p "$ROOT$1"
    mount "$ROOT$1"
  fi
}

as_postgres() { runuser -u postgres -- "$@"; }

sql() { as_postgres psql -XqAt -v ON_ERROR_STOP=1; }

create_cluster() { # beside its place and moved there at the end: half a cluster never looks like a whole one
  local new=$ROOT$data.new
  rm -rf "$new"
  chown postgres: "$ROOT$pgsql"
  chmod 0700 "$ROOT$pgsql"
  # The built-in collation: one from the C library can change with a patch, and every index on text with it.
  as_postgres initdb --pgdata "$new" --data-checksums --auth-local peer --auth-host scram-sha-256 --encoding UTF8 \
    --locale-provider builtin --builtin-locale C.UTF-8 --locale C.UTF-8 >/dev/null
  echo "include_dir = 'conf.d'" >>"$new/postgresql.conf"
  as_postgres mkdir "$new/conf.d"
  as_postgres openssl req -x509 -newkey rsa:2048 -nodes -days 3650 -subj "/CN=$SHOP_NAME-host" \
    -keyout "$new/server.key" -out "$new/server.crt" 2>/dev/null
  mv -T "$new" "$ROOT$data"
  changed+=("$data")
}

start_database() {
  local drop_in=/etc/systemd/system/postgresql.service.d/shop.conf major bucket
  [[ -e $ROOT$data/PG_VERSION ]] || create_cluster
  major=$(<"$ROOT$data/PG_VERSION")
  [[ $major == 17 ]] || fail "the data are of PostgreSQL $major, this host has 17"
  bucket=$(parameter files/bucket) || fail "nobody says where the archive of the database goes"
  put /etc/shop/wal.env 0644 "SHOP_NAME=$SHOP_NAME"$'\n'"AWS_DEFAULT_REGION=$SHOP_REGION"$'\n'"WAL_BUCKET=$bucket"
  place postgresql.conf "$data/conf.d/shop.conf" 0600 postgres:
  place pg_hba.conf "$data/pg_hba.conf" 0600 postgres:
  place postgresql.service.conf "$drop_in" 0644
  run postgresql.service "$data/conf.d/shop.conf" "$data/pg_hba.conf" "$drop_in"
  within 60 "PostgreSQL" as_postgres pg_isready -q
}

prepare_host() { # as the superuser, who may act for the owner of the tables
  sql <"$scripts/database.sql" >/dev/null || return 1
  as_postgres "${in_release[@]}" PGHOST=/run/postgresql PGDATABASE=shop python3.13 -m shop migrate --role shop_owner
}

let_the_shop_log_in() { # a new host with old data: the role gets a new password
  local password
  if [[ -s $ROOT/etc/shop/database.env ]]; then return; fi
  password=$(openssl rand -hex 24)
  sql <<<"alter role shop_app password '$password'"
  put /etc/shop/database.env 0600 "DATABASE_PASSWORD=$password"
}

only_here() { # only_here SETTINGS: without what is another value on this host, where uploads may still be on the disk
  local left
  # The endpoint may still be that of the host before.
  left=$(sed '/^DATABASE_HOST_ENDPOINT=/d; /^FRONT_/d' <<<"$1")
  if grep -qx FILES_ACTIVE=bucket <<<"$left"; then echo "$left"; else sed '/^FILES_BUCKET=/d' <<<"$left"; fi
}

copy_files() ( # again does no harm; until /<name>/files/active says `bucket`, the shop goes on with its own
  bucket=$(parameter files/bucket)
  set -a # the password as well, without which the settings make no sense
  # shellcheck source=/dev/null
  source "$ROOT/etc/shop/database.env"
  runuser -u shop -- "${in_release[@]}" "SHOP_SETTINGS=$ROOT/etc/shop/app.env" "FILES_BUCKET=$bucket" \
    python3.13 -m shop copy-files
)

start_nginx() { # never plain HTTP where HTTPS was promised: until there is a certificate, the answer is "not yet"
  local site=plain
  if [[ -n ${SHOP_DOMAIN:-} ]]; then
    site=waiting
    if [[ -e $ROOT/etc/letsencrypt/live/$SHOP_DOMAIN/fullchain.pem ]]; then site=secure; fi
  fi
  place nginx.conf /etc/nginx/nginx.conf 0644
  place "nginx-$site.conf" /etc/nginx/shop.conf 0644
  run nginx.service /etc/nginx/nginx.conf /etc/nginx/shop.conf
}

keep_a_certificate() { # by a timer: the name may point here only later, and boot does not wait for it
  if [[ -z ${SHOP_DOMAIN:-} ]]; then return; fi
  place shop-certificate.service "$units/shop-certificate.service" 0644
  place shop-certificate.timer "$units/shop-certificate.timer" 0644
  run shop-certificate.timer "$units/shop-certificate.timer"
}

renew_certificate() { # asks nobody while the certificate is still good for a month
  local certbot=$ROOT/opt/certbot challenge=/var/lib/shop/challenge contact=(--register-unsafely-without-email)
  [[ -z ${SHOP_EMAIL:-} ]] || contact=(--email "$SHOP_EMAIL")
  if [[ ! -x $certbot/bin/certbot ]]; then # Amazon Linux 2023 has no package of it
    python3.13 -m venv "$certbot"
    "$certbot/bin/pip" install -q --require-hashes --only-binary :all: \
      -r "$scripts/certbot-requirements.txt"
  fi
  mkdir -p "$ROOT$challenge"
  "$certbot/bin/certbot" certonly --webroot --webroot-path "$challenge" --domain "${SHOP_DOMAIN:?}" --non-interactive \
    --agree-tos --keep-until-expiring --deploy-hook 'systemctl reload nginx' "${contact[@]}"
  start_nginx
}
