#!/bin/sh
# Packs the directory $SOURCE into an archive in $TARGET, verifies it, and keeps the newest $KEEP archives (default 3).
#
# An archive gets its name only when it is complete: whenever this script ends, nothing half done looks finished.
set -eu

: "${SOURCE:?set SOURCE to the directory to be saved}"
: "${TARGET:?set TARGET to the directory of the archives}"
keep=${KEEP:-3}

mkdir -p "$TARGET"
stamp=$(date -u +%Y%m%dT%H%M%SZ)
part=$TARGET/.backup-$$.part
trap 'rm -f "$part"' EXIT
trap 'exit 143' TERM
trap 'exit 130' INT

tar -czf "$part" -C "$SOURCE" .
tar -dzf "$part" -C "$SOURCE"

# Backups within one second are numbered; a number is not used again.
last=$(ls "$TARGET" | sed -n "s/^backup-$stamp-\([0-9]*\)\.tar\.gz\$/\1/p" | sort -n | tail -n 1)
archive=$TARGET/backup-$stamp-$((${last:-0} + 1)).tar.gz
mv "$part" "$archive"
files=$(find "$SOURCE" -type f | wc -l)
echo "saved $((files)) files in $(basename "$archive")"

# The names sort by age: time stamps of one length, then a small number.
ls "$TARGET" | grep '^backup-.*\.tar\.gz$' | sort -t- -k2,2 -k3,3n | head -n "-$keep" | while read -r old; do
    rm -f "$TARGET/$old"
    echo "removed $old"
done
