#!/bin/sh
# Builds the guests' boot sectors from their sources: build.sh OUTPUT-DIRECTORY
set -e
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTPUT-DIRECTORY}
mkdir -p "$out"
for guest in counter dirty; do
    as --64 -o "$out/$guest.o" "$here/$guest.S"
    ld -m elf_x86_64 -Ttext 0x7c00 -e _start --oformat binary -o "$out/$guest.bin" "$out/$guest.o"
    rm "$out/$guest.o"
done
