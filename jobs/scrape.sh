#!/bin/sh
# Reads the headlines of a page, as a scraper would. Offline: the page is the file beside this script, or $PAGE.
#
# Real pages fail now and then, and so does this one: every FAIL_EVERY-th attempt (default 3; 0 for never) finds the
# server out of order and ends with exit code 1.
set -eu

page=${PAGE:-$(dirname "$0")/page.html}
attempt=${JOBEXEC_ATTEMPT:-1}
every=${FAIL_EVERY:-3}

echo "attempt $attempt: fetching $(basename "$page")"
if [ "$every" -gt 0 ] && [ $((attempt % every)) -eq 0 ]; then
    echo "scrape: 503 Service Unavailable" >&2
    exit 1
fi
if [ ! -r "$page" ]; then
    echo "scrape: cannot read $page" >&2
    exit 1
fi
headlines=$(sed -n 's:.*<h2>\(.*\)</h2>.*:\1:p' "$page")
if [ -z "$headlines" ]; then
    echo "scrape: no headline in $page; has the page changed?" >&2
    exit 1
fi
echo "$headlines"
