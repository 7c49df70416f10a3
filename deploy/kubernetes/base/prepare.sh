#!/bin/sh
# Make the folders of a pod before its process starts: its own below /data, which end with it, and those that all pods
# share below /shared. The folders belong to the user of the process, because Gatehouse refuses those of another user.
set -eu
umask 077
data=${DATA:-/data} shared=${SHARED:-/shared} signing=${SIGNING:-/signing}
mkdir -p "$data/state/secrets"
for name in content public mailbox mail; do
    mkdir -p "$shared/$name"
done
# Replies and letters are data: they are where the end of a pod does not remove them.
ln -sfn "$shared/mailbox" "$data/state/mailbox"
ln -sfn "$shared/mail" "$data/state/mail"
# What signs links and sessions: a link that one pod made must be valid in every other one.
for secret in status-links decision-links desk-sessions; do
    install -m 0600 "$signing/$secret" "$data/state/secrets/$secret"
done
