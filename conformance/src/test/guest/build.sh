#!/bin/sh
# Builds the guests' boot sectors from their sources: build.sh OUTPUT-DIRECTORY
set -e
here=$(cd "$(dirname "$0")" && pwd)
out=${1:?usage: build.sh OUTPUT-DIRECTORY}
mkdir -p "$out"
for guest in counter dirty writer; do
    as --64 -I "$here" -o "$out/$guest.o" "$here/$guest.S"
    ld -m elf_x86_64 -Ttext 0x7c00 -e _start --oformat binary -o "$out/$guest.bin" "$out/$guest.o"
    rm "$out/$guest.o"
done

# The firmware that tries the processor, that which takes interrupts, and that which finds out what a KVM knows.
for guest in system interrupts linux-probe; do
    as --64 -o "$out/$guest.o" "$here/$guest.S"
    ld -m elf_x86_64 -Ttext 0 -e start --oformat binary -o "$out/$guest.bin" "$out/$guest.o"
    rm "$out/$guest.o"
done

# The network guest is C behind a boot sector of its own.
gcc -m64 -Os -ffreestanding -fno-pic -fno-pie -mno-red-zone -mno-sse -mno-mmx -fno-stack-protector \
    -fno-asynchronous-unwind-tables -fcf-protection=none -Wall -Wextra -c -o "$out/echo-c.o" "$here/echo.c"
as --64 -o "$out/echo-s.o" "$here/echo.S"
ld -m elf_x86_64 -Ttext 0x7c00 -e _start --oformat binary -o "$out/echo-s.bin" "$out/echo-s.o"
ld -m elf_x86_64 -T "$here/echo.ld" --oformat binary -o "$out/echo-c.bin" "$out/echo-c.o"
cat "$out/echo-s.bin" "$out/echo-c.bin" >"$out/echo.bin"
rm "$out/echo-s.o" "$out/echo-c.o" "$out/echo-s.bin" "$out/echo-c.bin"
