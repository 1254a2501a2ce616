/*
 * A boot sector that dirties memory at full speed. It sets up long mode, drops to ring 3 with
 * IOPL 3 (everything it does there needs no kernel mode), and then for ever writes one byte to each of N
 * pages from 16 MiB up. N is the 32-bit number at offset 504 of the boot sector, so a test
 * patches the image. After each pass it increments the counter at 0x6000; when the high bits of the time
 * stamp counter changed it writes a dot to the serial port, so one sees that it lives. The number at offset 500, if not 0,
 * is how many ticks of the time stamp counter lie between two pages; meanwhile it counts at 0x6000 as fast as it can.
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
        movb    $0xff, %al              /* no interrupts from now on */
        outb    %al, $0x21
        outb    %al, $0xa1

        /* identity map of 1 GiB by 2 MiB pages for ring 3: PML4 0x1000, PDPT 0x2000, PD 0x3000 */
        movw    $0x1000, %di
        xorl    %eax, %eax
        movw    $0x3000 / 4, %cx
        cld
        rep stosl
        movl    $0x2007, 0x1000
        movl    $0x3007, 0x2000
        movw    $0x3000, %di
        movl    $0x87, %eax
        movw    $512, %cx
2:      movl    %eax, (%di)
        addl    $0x200000, %eax
        addw    $8, %di
        loop    2b

        movl    $0, 0x6000
        movl    $0, 0x6004
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

        .code64
long:   movl    $0x10, %eax
        movl    %eax, %ss
        movl    $0x7c00, %esp
        pushq   $0x1b                   /* ss, rsp, rflags with IOPL 3, cs, rip */
        pushq   $0x7c00
        pushq   $0x3002
        pushq   $0x23
        pushq   $user
        iretq

user:   movl    pages, %ecx
        testl   %ecx, %ecx
        jz      3f
        movl    $0x1000000, %edi
        movb    0x6000, %al
2:      movb    %al, (%rdi)
        addq    $0x1000, %rdi
        movl    interval, %esi
        testl   %esi, %esi
        jz      5f
        rdtsc
        movl    %eax, %ebp              /* of the time stamp counter the low half will do */
4:      incq    0x6000
        rdtsc
        subl    %ebp, %eax
        cmpl    %esi, %eax
        jb      4b
5:      decl    %ecx
        jnz     2b
3:      incq    0x6000
        rdtsc
        shldl   $4, %eax, %edx
        cmpl    %edx, %ebx
        je      user
        movl    %edx, %ebx
        movw    $0x3f8, %dx
        movb    $'.', %al
        outb    %al, %dx
        jmp     user

        .balign 8
gdt:    .quad   0
        .quad   0x00209a0000000000      /* 0x08 ring 0 code, 64 bit */
        .quad   0x0000920000000000      /* 0x10 ring 0 data */
        .quad   0x0000f20000000000      /* 0x18 ring 3 data */
        .quad   0x0020fa0000000000      /* 0x20 ring 3 code, 64 bit */
gdtr:   .word   gdtr - gdt - 1
        .long   gdt
        .org    500
interval: .long 0
pages:  .long   0
        .word   0
        .word   0xaa55
