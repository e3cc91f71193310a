#!/bin/sh
# Prints a price for $SYMBOL every second, as a feed of quotes would. Offline: the prices are a random walk that stays
# between 50 and 150.
#
#   ticker.sh            until it is stopped
#   ticker.sh -n COUNT   that many prices
#
# EVERY sets the seconds between two prices.
set -eu

count=0
while getopts n: option; do
    case $option in
        n) count=$OPTARG ;;
        *) echo "usage: ticker.sh [-n COUNT]" >&2; exit 2 ;;
    esac
done

symbol=${SYMBOL:-TEST}
cents=10000
seed=$$
printed=0
while :; do
    # Linear congruential steps: good enough for a walk, and in every shell.
    seed=$(( (seed * 1103515245 + 12345) % 2147483648 ))
    cents=$(( cents + (seed / 65536) % 201 - 100 ))
    [ "$cents" -ge 5000 ] || cents=5000
    [ "$cents" -le 15000 ] || cents=15000
    printf '%s %d.%02d\n' "$symbol" $((cents / 100)) $((cents % 100))
    printed=$((printed + 1))
    [ "$printed" -ne "$count" ] || exit 0
    sleep "${EVERY:-1}"
done
