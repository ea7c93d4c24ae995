# Runs in a rig, with busybox: tries which numbers files take. For each that takes back what it held:
# `PATH VALUE=READ …` or `VALUE!` where it refuses, and `PATH ?VALUE` where the old value did not
# come back.
#
# $1: a file with a path a line.

# The shell's own `read` takes a byte at a time, and of many files of the kernel only the first is had.
show() {
    now=$(cat "$1")
}

put() {
    echo "$1" >"$2"
}

while read -r path; do
    show "$path"
    old=$now
    put "$old" "$path" || continue
    said=
    for value in -1 0 1 2147483647; do
        if put "$value" "$path"; then
            show "$path"
            said="$said $value=$now"
        else
            said="$said $value!"
        fi
    done
    put "$old" "$path"
    show "$path"
    [ "$now" = "$old" ] || said="$said ?$now"
    echo "$path$said"
done <"$1" 2>/dev/null
