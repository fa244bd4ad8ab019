#!/usr/bin/env bash
# Runs the demo with a statically linked program as the only file of a root folder that has nothing else but /dev/random,
# /dev/urandom and /tmp. Needs root (or a user namespace with devices).
#
#     cargo rustc --release --locked --bin specbench -- -C target-feature=+crt-static
#     tests/alone/empty_root.sh target/release/specbench
set -euo pipefail
program=$(realpath "$1")
if readelf -d "$program" | grep -q NEEDED; then
    echo "$program needs libraries:" && readelf -d "$program" | grep NEEDED
    exit 1
fi
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir "$root/dev" "$root/tmp"
mknod "$root/dev/random" c 1 8
mknod "$root/dev/urandom" c 1 9
cp "$program" "$root/specbench"
chroot "$root" /specbench doctor
chroot "$root" /specbench run demo --limit 50
test -s "$root/reports/demo/report.html"
echo "ran with $(find "$root" -maxdepth 1 -type f | wc -l) file"
