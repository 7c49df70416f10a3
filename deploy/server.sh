#!/bin/sh
# Install or upgrade Gatehouse as systemd services. It is safe to run again: it keeps settings, state and content.
#   git clone … /opt/gatehouse && sudo sh /opt/gatehouse/deploy/server.sh
# For Debian 12 or newer and Ubuntu 24.04 or newer. DESTDIR=folder writes the files below that folder and only prints
# the other commands.
set -eu
umask 022

user=gatehouse
home=/opt/gatehouse
state=/var/lib/gatehouse
env=/etc/gatehouse/env
# Not /etc/systemd: units that a person writes there override these, and `systemctl mask` puts its links there.
units=/usr/local/lib/systemd/system
root=${DESTDIR:-}
app=$(cd -- "$(dirname -- "$0")/.." && pwd -P)

main() {
    check_machine
    check_python
    make_user
    make_folders
    make_env
    open_code
    install_app
    check_tables
    install_units
    start
}

fail() {
    echo "gatehouse: $1" >&2
    exit 1
}

# Run a command that changes more than our own files; with DESTDIR only print it.
change() {
    if [ -n "$root" ]; then
        echo "would run: $*"
    else
        "$@"
    fi
}

check_machine() {
    [ -z "$root" ] || return 0
    [ "$(id -u)" = 0 ] || fail "run this as root: sudo sh $0"
    [ -d /run/systemd/system ] || fail "systemd does not run here; docs/deploy.md describes Docker and Procfile hosts"
    [ "$app" = "$home" ] || fail "this folder is $app, but the services run $home; move it: mv $app $home"
}

check_python() {
    "${PYTHON:-python3}" -c 'import ensurepip, venv' 2>/dev/null ||
        change sh -c 'apt-get update && apt-get install --yes python3-venv'
}

make_user() {
    getent passwd "$user" >/dev/null ||
        change useradd --system --user-group --home-dir "$state" --no-create-home --shell /usr/sbin/nologin "$user"
}

# The services may read the code but not change it, whatever the umask of the clone was. Private files of a `make up` stay
# private: settings, data (of earlier versions in state/, beside the code) and drafts; so does .git, whose URL may hold a token.
open_code() {
    change chmod -R go-w "$app"
    change find "$app" \( -path "$app/.git" -o -name '.env' -o -name '.env.*' ! -name '.env.example' \
        -o -path "$app/var" -o -path "$app/content/drafts" \
        -o -path "$app/state/run" -o -path "$app/state/mailbox" -o -path "$app/state/secrets" \
        -o -path "$app/state/agents/*.json*" -o -path "$app/state/journal/*.json*" \) -prune \
        -o ! -type l -exec chmod go+rX {} +
}

install_app() {
    change cd "$app"
    change sh deploy/install.sh .
    # The services cannot write compiled code, and compiling at every start costs a second and some MB.
    change "$home/.venv/bin/python" -m compileall -q -x '/\.venv/' "$home"
}

make_folders() {
    install -d -m 0755 "$root$units"
    install -d -m 0750 "$root${env%/*}"
    install -d -m 0700 "$root$state" "$root$state/state" "$root$state/public"
    [ -d "$root$state/content" ] || cp -R "$app/content" "$root$state/content"
    change chown -R "$user:$user" "$state"
}

make_env() {
    if [ -f "$home/.env" ] && [ ! -L "$home/.env" ] && [ -z "$root" ]; then
        [ ! -e "$env" ] || fail "$home/.env and $env both exist; merge them into $env and remove the first"
        mv "$home/.env" "$env"
    fi
    [ -e "$root$env" ] || install -m 0640 "$app/deploy/server.env" "$root$env"
    chmod 0640 "$root$env"
    [ -z "$(tail -c 1 "$root$env")" ] || echo >>"$root$env"
    set_once STATE_DIR "$state/state"
    set_once PUBLIC_DIR "$state/public"
    set_once CONTENT_DIR "$state/content"
    set_once DESK_PASSWORD "$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')"
    change chown -R "root:$user" "${env%/*}"
    change ln -sfn "$env" "$home/.env"
}

# Append NAME=VALUE unless the file has a line for NAME, even an empty one.
set_once() {
    grep -q "^$1=" "$root$env" || echo "$1=$2" >>"$root$env"
}

# A version that cannot start must not replace the one that runs.
check_tables() {
    change runuser -u "$user" -- "$home/.venv/bin/python" -m web.validate_config
}

install_units() {
    for unit in "$app"/deploy/systemd/gatehouse*.service "$app"/deploy/systemd/gatehouse.target; do
        install -m 0644 "$unit" "$root$units/"
    done
    dropins=$root$units/gatehouse-.service.d
    install -d -m 0755 "$dropins"
    install -m 0644 "$app"/deploy/systemd/gatehouse-.service.d/*.conf "$dropins/"
    # An older systemd would warn about each of its lines; it restarts every 5 s instead.
    [ "$(systemd_version)" -ge 254 ] || rm -f "$dropins/30-backoff.conf"
}

systemd_version() {
    version=$(systemctl --version 2>/dev/null | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    echo "${version:-0}"
}

start() {
    change systemctl enable --quiet gatehouse.target
    change systemctl daemon-reload
    change systemctl restart gatehouse.target
    [ -z "$root" ] || return 0
    echo "Gatehouse is installed and started. Check it with:"
    echo "  systemctl status 'gatehouse*'"
    echo "  cd $home && sudo -u $user .venv/bin/gatehouse status"
    echo "Settings, and the password of Flower's user admin: $env"
}

main
