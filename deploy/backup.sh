#!/bin/sh
# Copy what an installation would be rebuilt from, while it runs:
#   sh deploy/backup.sh STATE_DIR NEW-FOLDER [FOLDER-OR-FILE…]    everything; the last ones are content, public and .env
#   sh deploy/backup.sh --journal STATE_DIR FOLDER                bring the journal of that copy up to date; each minute
# The ledger comes first and the journal after it, so that the journal has every effect that the ledger's copy has.
# deploy/restore.sh puts it back. docs/operations/backups.md says what a copy lacks.
set -eu
umask 077

say() {
    echo "backup: $*" >&2
}

fail() {
    say "$*"
    exit 1
}

# A file appears in the copy whole or not at all; what has not changed is not copied again.
copy_file() {
    cmp -s "$1" "$2" && return
    cp -p "$1" "$2.new"
    mv -f "$2.new" "$2"
}

copy_journal() {
    mkdir -p "$2/journal"
    for file in "$1"/journal/*.jsonl "$1"/journal/*.jsonl.gz; do
        [ -f "$file" ] && copy_file "$file" "$2/journal/${file##*/}"
    done
    # A month that was compressed since is in the copy once.
    for file in "$2"/journal/*.jsonl.gz; do
        [ -f "$file" ] && rm -f "${file%.gz}"
    done
    return 0
}

# The files that the manifest names are only appended to. If the server begins new ones meanwhile, the copy is repeated.
copy_ledger_once() {
    rm -rf "$2"
    mkdir -p "$2"
    cp -p "$1/appendonly.aof.manifest" "$2/" || return 1
    while read -r _ name _; do
        cp -p "$1/$name" "$2/" || return 1
    done <"$2/appendonly.aof.manifest"
    cmp -s "$1/appendonly.aof.manifest" "$2/appendonly.aof.manifest"
}

copy_ledger() {
    if [ ! -d "$1/appendonlydir" ]; then
        say "no ledger in $1: REDIS_URL names a server of its own, which you back up as its manual says"
        return
    fi
    for _ in 1 2 3 4 5; do
        copy_ledger_once "$1/appendonlydir" "$2/ledger/appendonlydir" 2>/dev/null && return
    done
    fail "the ledger's files changed during each of five copies; run this again"
}

# The journal is not among them: each of its lines has a sum of its own, and --journal may be cut off after any file.
write_sums() {
    (
        cd "$1"
        find . -path ./journal -prune -o -type f ! -name 'SHA256SUMS*' -exec sha256sum {} + >SHA256SUMS.new
        mv -f SHA256SUMS.new SHA256SUMS
    )
    sync
}

if [ "${1:-}" = --journal ]; then
    [ $# -eq 3 ] || fail "write: backup.sh --journal STATE_DIR FOLDER"
    [ -d "$2/journal" ] || fail "$2 has no journal; name the STATE_DIR of the installation"
    [ -f "$3/SHA256SUMS" ] || fail "$3 is not a finished backup; make one first, without --journal"
    copy_journal "$2" "$3"
    sync
    exit
fi

[ $# -ge 2 ] || fail "write: backup.sh STATE_DIR NEW-FOLDER [FOLDER-OR-FILE…]"
state=$1 to=$2
shift 2
[ -d "$state/journal" ] || fail "$state has no journal; name the STATE_DIR of the installation"
[ ! -e "$to" ] || fail "$to exists; a backup begins in a new folder, and --journal brings that up to date"
mkdir -p "$to"
copy_ledger "$state/run/redis" "$to"
copy_journal "$state" "$to"
for name in agents secrets mailbox mail; do
    [ -d "$state/$name" ] && cp -pR "$state/$name" "$to/$name"
done
for each in "$@"; do
    mkdir -p "$to/files"
    cp -pR "$each" "$to/files/"
done
write_sums "$to"
say "$to has $(find "$to" -type f | wc -l) files"
