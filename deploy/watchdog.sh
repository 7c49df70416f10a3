#!/bin/sh
# Stop the processes that a killed supervisor leaves behind: read the roster from stdin, and act when stdin ends.
#
# The supervisor holds the only write end of that pipe, and writes a line whenever the roster changes: for each stage the
# tenths of a second that it gets, and the leaders of its process groups: "80 12 13 14;15 11;". The last whole line counts.
# On Linux the children could ask the kernel for a signal (PR_SET_PDEATHSIG), but it would reach all of them at once: the
# server would be gone before the workers have settled, and a process that ignores SIGTERM would stay.
# It is a shell script because it waits as long as the system runs: Python would take 5 MB for that.
set -u
trap '' INT TERM HUP # it ends after its supervisor, once it has stopped the others

# Whether a process runs; a zombie does not, and in a container it may never be reaped.
is_running() {
    kill -0 "$1" 2>/dev/null || return 1
    status=$(cat "/proc/$1/stat" 2>/dev/null) || return 0 # there is no /proc, or the next check will see that it ended
    case ${status##*) } in Z*) return 1 ;; esac
}

any_runs() {
    for leader in "$@"; do
        is_running "$leader" && return 0
    done
    return 1
}

# Send SIGTERM to process group leaders, and after some tenths of a second SIGKILL to what is left of their groups.
stop() {
    left=$1
    shift
    [ $# -eq 0 ] && return
    kill -s TERM -- "$@" 2>/dev/null
    while any_runs "$@" && [ "$left" -gt 0 ]; do
        sleep 0.1
        left=$((left - 1))
    done
    for leader in "$@"; do
        kill -s KILL -- "-$leader" 2>/dev/null
    done
}

roster=
while IFS= read -r line; do
    roster=$line
done
while [ -n "$roster" ]; do
    stage=${roster%%;*}
    roster=${roster#*;}
    # shellcheck disable=SC2086  # the words of a stage are the arguments
    stop $stage
done
exit 0 # what was already gone is as good as stopped
