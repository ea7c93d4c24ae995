# Runs in a rig, with busybox: shows the files that patterns lead to. For each its permission bits
# (`M 644 PATH`), and its first line (`V PATH:LINE`).
#
# $1: a file with a pattern a line; the files below a folder count, too.

# Patterns are meant to be expanded here, and no path of the kernel has a blank in it.
# shellcheck disable=SC2046
find $(cat "$1") -type f 2>/dev/null | sort -u >/tmp/files
find $(cat "$1") -type c 2>/dev/null | sort -u >/tmp/devices

# What reads as binary, or as a report.
grep -v -e '/page_idle/bitmap$' -e '/sched/debug$' -e '/sched/domains/' -e /kcov /tmp/files >/tmp/shown
xargs stat -L -c 'M %a %n' </tmp/shown
xargs -r stat -L -c 'M %a %n' </tmp/devices
# One process reads them all. Those that refuse to be read are named on standard error.
xargs grep -a -m 1 -H '' </tmp/shown 2>/dev/null | cut -b 1-400 | sed 's/^/V /'
true
