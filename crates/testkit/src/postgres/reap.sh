# Ends the processes of a part and removes its folder when nobody uses it any more.
#
#   sh reap.sh after-input PROGRAM WORD FOLDER          when the standard input ends
#   sh reap.sh when-unused PROGRAM WORD FOLDER COMMON   when nobody has held COMMON/used for about 20 seconds
#
# WORD stands in the command lines of all its processes. FOLDER/data is a cluster's data, if it is a cluster.
# COMMON/lock is held by who starts or ends the part, and COMMON/current has its word.

mode=$1 program=$2 word=$3 folder=$4 common=$5

processes() {
    for entry in /proc/[0-9]*; do
        if read -r name <"$entry/comm" && [ "$name" = "$program" ] && grep -qaF -- "$word" "$entry/cmdline"; then
            echo "${entry#/proc/}"
        fi
    done 2>/dev/null
}

signal() {
    for pid in $(processes); do kill "-$1" "$pid"; done 2>/dev/null
}

# At once, but so that a server gives its shared memory back; what does not end is killed.
end() {
    signal CONT
    signal QUIT
    tries=0
    while [ -n "$(processes)" ] && [ "$tries" -lt 100 ]; do
        sleep 0.03
        tries=$((tries + 1))
    done
    while [ -n "$(processes)" ]; do
        signal KILL
        sleep 0.03
    done
}

reap() {
    end
    if [ -f "$folder/data/postmaster.pid" ]; then
        set -- $(sed -n 7p "$folder/data/postmaster.pid")
        ipcrm -m "$2" 2>/dev/null
    fi
    # Somebody who was killed may have left a copy that still goes on.
    tries=0
    until rm -rf -- "$folder" 2>/dev/null || [ "$tries" -ge 100 ]; do
        sleep 0.03
        tries=$((tries + 1))
    done
}

is_current() {
    [ "$(cat "$common/current" 2>/dev/null)" = "$word" ]
}

# Fails when there is nothing left to do.
reap_if_unused() {
    (
        flock -x 8
        is_current || exit 1
        flock -n -x 9 || exit 0
        reap
        exit 1
    ) 8>>"$common/lock" 9>>"$common/used"
}

case $mode in
after-input)
    cat >/dev/null
    reap
    ;;
when-unused)
    idle=0
    while sleep 1; do
        # Another server has taken the place of this one, or somebody has tidied up under it.
        is_current || break
        if flock -n -x "$common/used" true; then idle=$((idle + 1)); else idle=0; fi
        # Who came and went between two looks has touched the file.
        if [ "$idle" -ge 20 ] && [ $(($(date +%s) - $(stat -c %Y "$common/used"))) -ge 20 ]; then
            reap_if_unused || exit 0
        fi
    done
    reap
    ;;
esac
