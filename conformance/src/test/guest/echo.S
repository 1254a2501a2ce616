/*
 * The boot sector of the network guest: loads what follows it on the disk (echo.c) to 0x8000, sets up long
 * mode with the first 4 GiB mapped one to one, drops to ring 3 with IOPL 3 and goes there. The guest's IPv4
 * address stands at offset 500, and at 504 whether it keeps what it gets, so a test can patch them.
 */
        .set    SECTORS, 24
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
        movw    $packet, %si            /* read by LBA, drive in dl */
        movb    $0x42, %ah
        sti
        int     $0x13
        cli
        jc      fail
        movb    $0xff, %al              /* no interrupts from now on */
        outb    %al, $0x21
        outb    %al, $0xa1

        /* 4 GiB by 2 MiB pages for ring 3: PML4 0x1000, PDPT 0x2000, PDs 0x3000 to 0x6fff */
        movw    $0x1000, %di
        xorl    %eax, %eax
        movw    $0x2000 / 4, %cx
        cld
        rep stosl
        movl    $0x2007, 0x1000
        movl    $0x3007, 0x2000
        movl    $0x4007, 0x2008
        movl    $0x5007, 0x2010
        movl    $0x6007, 0x2018
        movw    $0x3000, %di
        movl    $0x87, %eax
        movw    $2048, %cx
2:      movl    %eax, (%di)
        movl    $0, 4(%di)
        addl    $0x200000, %eax
        addw    $8, %di
        loop    2b

        lgdt    gdtr
        movl    $0x20, %eax             /* PAE */
        movl    %eax, %cr4
        movl    $0x1000, %eax
        movl    %eax, %cr3
        movl    $0xc0000080, %ecx       /* EFER.LME */
        rdmsr
        orl     $0x100, %eax
        wrmsr
        movl    $0x80000001, %eax
        movl    %eax, %cr0
        ljmpl   $0x08, $long

fail:   movw    $0x3f8, %dx
        movb    $'!', %al
        outb    %al, %dx
        hlt
        jmp     fail

        .code64
long:   movl    $0x10, %eax
        movl    %eax, %ss
        movl    $0x7c00, %esp
        pushq   $0x1b                   /* ss, rsp, rflags with IOPL 3, cs, rip */
        pushq   $0x80000
        pushq   $0x3002
        pushq   $0x23
        pushq   $0x8000
        iretq

        .balign 8
gdt:    .quad   0
        .quad   0x00209a0000000000      /* 0x08 ring 0 code, 64 bit */
        .quad   0x0000920000000000      /* 0x10 ring 0 data */
        .quad   0x0000f20000000000      /* 0x18 ring 3 data */
        .quad   0x0020fa0000000000      /* 0x20 ring 3 code, 64 bit */
gdtr:   .word   gdtr - gdt - 1
        .long   gdt
packet: .word   16, SECTORS
        .long   0x8000                  /* offset, segment 0 */
        .quad   1
        .org    500
        .byte   10, 77, 0, 50, 0
        .org    510
        .word   0xaa55
