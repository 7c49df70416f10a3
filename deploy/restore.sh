#!/bin/sh
# Put a copy that deploy/backup.sh made into an empty STATE_DIR, while nothing of Gatehouse runs there:
#   sh deploy/restore.sh FOLDER STATE_DIR
set -eu
umask 077

fail() {
    echo "restore: $*" >&2
    exit 1
}

[ $# -eq 2 ] || fail "write: restore.sh FOLDER STATE_DIR"
from=$1 state=$2
[ -f "$from/SHA256SUMS" ] || fail "$from is not a finished backup: it has no SHA256SUMS"
for name in journal agents run/redis; do
    if [ -n "$(ls -A "$state/$name" 2>/dev/null || true)" ]; then
        fail "$state/$name holds data; move it away, because the copy must not be mixed with it"
    fi
done
[ -d "$from/journal" ] || fail "$from has no journal; use another copy"
(cd "$from" && [ ! -s SHA256SUMS ] || sha256sum --check --quiet SHA256SUMS) || fail "$from is damaged; use another copy"
mkdir -p "$state/run/redis"
for name in journal agents secrets mailbox mail; do
    [ -d "$from/$name" ] && cp -pR "$from/$name" "$state/"
done
[ -d "$from/ledger" ] && cp -pR "$from/ledger/." "$state/run/redis/"
sync
cat <<END
restore: $state is as the copy was. Now
  1. start only the server and the web process, so that no agent runs yet
  2. gatehouse recover
  3. compare what went out after the copy with the services themselves, and take the keys that are missing
  4. start everything
docs/operations/backups.md has each step.
END
