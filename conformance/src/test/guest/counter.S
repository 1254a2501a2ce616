/*
 * A boot sector that counts. Every second tick of the PC's timer it writes one line
 *     tick 00000001 CR LF
 * (hexadecimal, from 1) to the first serial port, and stores the number into sector 1 of the disk it was
 * started from every 16th time. It halts in between, so it needs interrupts, the PIT, the serial port and
 * the disk to go on after whatever happened to its virtual machine.
 */
        .code16
        .globl _start
_start:
        ljmp    $0, $1f
1:      cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, drive
        sti

count:  movl    0x46c, %ebx             /* BIOS tick counter, 18.2 a second */
        addl    $2, %ebx
wait:   hlt
        cmpl    %ebx, 0x46c
        jl      wait
        incl    counter

        .include "tick.inc"

        testb   $15, counter
        jnz     count
        movl    counter, %eax
        movl    %eax, buffer
        movw    $0x0301, %ax            /* write one sector: cylinder 0, head 0, sector 2 */
        movw    $2, %cx
        xorb    %dh, %dh
        movb    drive, %dl
        movw    $buffer, %bx
        int     $0x13
        jnc     count
        movb    $'!', %al               /* the write failed: say so and go on */
        call    putc
        jmp     count

putc:   pushw   %dx
        pushw   %ax
        movw    $0x3fd, %dx
1:      inb     %dx, %al
        testb   $0x20, %al
        jz      1b
        popw    %ax
        movw    $0x3f8, %dx
        outb    %al, %dx
        popw    %dx
        ret

text:   .asciz  "tick "
drive:  .byte   0x80
        .balign 4
counter: .long  0
        .org    510
        .word   0xaa55
        .equ    buffer, 0x8000
