# Ends the processes of a part and removes its folder when nobody uses it any more.
#
#   sh reap.sh after-input PROGRAM WORD FOLDER             when the standard input ends
#   sh reap.sh when-unused PROGRAM WORD FOLDER LOCK USED   when nobody has held USED for about 20 seconds
#
# WORD stands in the command lines of all its processes. FOLDER/data is a cluster's data, if it is a cluster.

mode=$1 program=$2 word=$3 folder=$4 lock=$5 used=$6

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
reap() {
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
    if [ -f "$folder/data/postmaster.pid" ]; then
        set -- $(sed -n 7p "$folder/data/postmaster.pid")
        ipcrm -m "$2" 2>/dev/null
    fi
    rm -rf -- "$folder"
}

# Fails when there is nothing left to do.
reap_if_unused() {
    (
        flock -x 8
        [ "$(cat "$folder/word")" = "$word" ] || exit 1
        flock -n -x 9 || exit 0
        reap
        exit 1
    ) 8>>"$lock" 9>>"$used"
}

case $mode in
after-input)
    cat >/dev/null
    reap
    ;;
when-unused)
    idle=0
    while sleep 1; do
        if flock -n -x "$used" true; then idle=$((idle + 1)); else idle=0; fi
        # Who came and went between two looks has touched the file.
        if [ "$idle" -ge 20 ] && [ $(($(date +%s) - $(stat -c %Y "$used"))) -ge 20 ]; then
            reap_if_unused || exit 0
        fi
    done
    ;;
esac
