/*
 * A boot sector that writes through its disk: with every tick of the PC's timer one sector, 65 behind the one
 * before, over the first 32 MiB and so on from the beginning, but never sector 0, where it is itself. Each is
 * filled with the number of the write, from 1. It then writes one line
 *     tick 00000001 CR LF
 * with that number in hexadecimal digits to the first serial port.
 */
        .code16
        .globl _start
        .equ    buffer, 0x8000
        .equ    step, 65                /* sectors from one write to the next */
        .equ    span, 65536             /* sectors that it goes through */
_start:
        ljmp    $0, $1f
1:      cli
        xorw    %ax, %ax
        movw    %ax, %ds
        movw    %ax, %es
        movw    %ax, %ss
        movw    $0x7c00, %sp
        movb    %dl, drive
        cld
        sti

count:  movl    0x46c, %ebx             /* BIOS tick counter, 18.2 a second */
        incl    %ebx
wait:   hlt
        cmpl    %ebx, 0x46c
        jl      wait
        incl    counter

        movl    counter, %eax           /* the sector is filled with the number */
        movw    $buffer, %di
        movw    $128, %cx
        rep stosl

        movl    sector, %eax
        addl    $step, %eax
        andl    $(span - 1), %eax
        jnz     1f
        incl    %eax                    /* sector 0 is this program */
1:      movl    %eax, sector
        movb    $0x43, %ah              /* extended write */
        xorb    %al, %al
        movb    drive, %dl
        movw    $packet, %si
        int     $0x13
        jnc     say
        movb    $'!', %al               /* the write failed: say so and go on */
        call    putc

say:    .include "tick.inc"
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
packet: .byte   16, 0
        .word   1                       /* one sector */
        .word   buffer, 0               /* from there */
sector: .long   0, 0
        .org    510
        .word   0xaa55
