# A 64 KiB ROM that executes in ring 0 what a Linux kernel executes there and what an emulator of few instructions does
# not know; each that the processor has. Tells on the debug console (port 0xe9): its name, then whether it did it.

    .set PML4, 0x20000          # then the table below it, then a directory of 2 MiB pages
    .set IDT, 0x23000
    .set AREA, 0x24000          # of XSAVE
    .set STACK, 0x30000
    .set BASE, 0xf0000

    .macro say text
    leaq \text(%rip), %rsi
1:  lodsb
    testb %al, %al
    jz 2f
    outb %al, $0xe9
    jmp 1b
2:
    .endm

    .macro has leaf, register, bit, otherwise
    movl $\leaf, %eax
    xorl %ecx, %ecx
    cpuid
    btl $\bit, \register
    jnc \otherwise
    .endm

    .code16
    .org 0
start:
    cli
    cld
    lgdtl %cs:(gdtr - start)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $(BASE + protected)

    .code32
protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    movl $PML4, %edi            # the first 2 MiB, one to one
    xorl %eax, %eax
    movl $0x1800, %ecx
    rep stosl
    movl $(PML4 + 0x1003), PML4
    movl $(PML4 + 0x2003), PML4 + 0x1000
    movl $0x83, PML4 + 0x2000
    movl %cr4, %eax
    orl $0x620, %eax            # PAE, SSE and its exceptions
    movl %eax, %cr4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    andb $~4, %al               # no FPU emulation
    orl $0x80000002, %eax
    movl %eax, %cr0
    ljmpl $0x18, $(BASE + long)

    .code64
long:
    movl $STACK, %esp
    movw $(breakpoint - start), IDT + 3 * 16
    movl $0x8e000018, IDT + 3 * 16 + 2
    movw $(BASE >> 16), IDT + 3 * 16 + 6
    lidt idtr(%rip)

    say name_int3
    xorl %ebx, %ebx
    int3
    testl %ebx, %ebx
    jz failed
    say done

    has 1, %ecx, 13, try_popcnt
    say name_cmpxchg16b
    xorl %eax, %eax
    xorl %edx, %edx
    movl $5, %ebx
    xorl %ecx, %ecx
    lock cmpxchg16b AREA
    jnz failed
    cmpl $5, AREA
    jne failed
    say done
try_popcnt:
    has 1, %ecx, 23, try_clac
    say name_popcnt
    movl $0x70, %eax
    popcntl %eax, %eax
    cmpl $3, %eax
    jne failed
    say done
try_clac:
    has 7, %ebx, 20, try_xrstor
    say name_clac
    movq %cr4, %rax
    orl $0x200000, %eax
    movq %rax, %cr4
    stac
    clac
    say done
try_xrstor:
    has 1, %ecx, 26, through
    say name_xrstor
    movq %cr4, %rax
    orl $0x40000, %eax
    movq %rax, %cr4
    xorl %ecx, %ecx
    xorl %edx, %edx
    movl $3, %eax
    xsetbv
    movl $AREA, %edi            # nothing in it: the initial state
    xorl %eax, %eax
    movl $0x100, %ecx
    rep stosl
    movl $3, %eax
    xrstor AREA
    xsave AREA
    say done
through:
    say end
failed:
    cli
    hlt
    jmp failed

breakpoint:
    incl %ebx
    iretq

name_int3:
    .asciz "int3"
name_cmpxchg16b:
    .asciz "cmpxchg16b"
name_popcnt:
    .asciz "popcnt"
name_clac:
    .asciz "clac"
name_xrstor:
    .asciz "xrstor"
done:
    .asciz " works\n"
end:
    .asciz "END\n"

    .align 8
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    # 08 code
    .quad 0x00cf93000000ffff    # 10 data
    .quad 0x00af9b000000ffff    # 18 64-bit code
gdt_end:
gdtr:
    .word gdt_end - gdt - 1
    .long BASE + gdt
idtr:
    .word 4 * 16 - 1
    .quad IDT

    .org 0xfff0
    .code16
    ljmpw $0xf000, $0
    .org 0x10000
