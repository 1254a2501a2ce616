# A 64 KiB ROM that tries what an operating system relies on and tells on the debug console (port 0xe9) what came of
# it: exceptions with their error codes, flags, registers. A tester runs it on two processors and compares the texts.

    .set RAM, 0x20000           # tables and stacks
    .set GDT, RAM
    .set IDT, RAM + 0x1000
    .set TSS, RAM + 0x2000
    .set TSS2, RAM + 0x3000
    .set PD, RAM + 0x4000       # page directory, then its tables
    .set PT, RAM + 0x5000
    .set PML4, RAM + 0x8000
    .set VARS, RAM + 0x10000
    .set RESUME, VARS           # where to go on after an exception
    .set SAVED, VARS + 8
    .set TOP, RAM + 0x20000     # ring 0 stack
    .set USER_TOP, RAM + 0x28000
    .set BASE, 0xf0000

    .code16
    .org 0
start:
    cli
    cld
    movb $0xff, %al             # no interrupts from devices
    outb %al, $0x21
    outb %al, $0xa1
    xorw %ax, %ax
    movw %ax, %ss
    movw $0x7000, %sp
    movw %cs, %ax
    movw %ax, %ds
    xorw %ax, %ax
    movw %ax, %es
# real mode: divide error, INT and IRET, BOUND, INTO
    movw $(handler16 - start), %es:0
    movw $0xf000, %es:2
    movw $(handler16 - start), %es:16
    movw $0xf000, %es:18
    movw $(handler16 - start), %es:20
    movw $0xf000, %es:22
    movw $(handler16b - start), %es:0x80
    movw $0xf000, %es:0x82
    movw $0x1234, %ax
    xorw %cx, %cx
    movw $(1f - start), %bp
    divw %cx
1:  movb $0x7f, %al
    addb $1, %al
    movw $(2f - start), %bp
    into
2:  movw $(3f - start), %bp
    int $0x20
3:  movw $0x6000, %di
    movw $5, %es:(%di)
    movw $9, %es:2(%di)
    movw $10, %ax
    movw $(4f - start), %bp
    .byte 0x26, 0x62, 0x05      # bound %es:(%di), %ax
4:  movb $'R', %al
    outb %al, $0xe9

# protected mode
    lgdtl %cs:(gdtr - start)
    xorl %ebx, %ebx
    movl $(GDT >> 4), %eax
    movw %ax, %es
    xorw %di, %di
    movw $(gdt - start), %si
    movw $(gdt_end - gdt), %cx
    rep movsb
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $(BASE + protected)

handler16:
    pushw %ax
    movb $'e', %al
    outb %al, $0xe9
    popw %ax
    pushw %bp
    movw %sp, %bp
    movw 2(%bp), %ax
    call hex16
    movw 6(%bp), %ax
    andw $0x0fd7, %ax
    call hex16
    movw (%bp), %ax
    movw %ax, 2(%bp)
    popw %bp
    iret
handler16b:
    movb $'i', %al
    outb %al, $0xe9
    pushw %bp
    movw %sp, %bp
    movw 6(%bp), %ax
    popw %bp
    call hex16
    iret
hex16:
    movw $4, %cx
5:  rolw $4, %ax
    pushw %ax
    andb $15, %al
    addb $0x90, %al
    daa
    adcb $0x40, %al
    daa
    outb %al, $0xe9
    popw %ax
    loop 5b
    movb $32, %al
    outb %al, $0xe9
    ret

    .code32
    .macro say text
    pushl %eax
    movl $\text, %eax
    call tell
    popl %eax
    .endm
    .macro expect where
    movl $(BASE + \where), RESUME
    .endm

# tells the four letters of EAX
tell:
    outb %al, $0xe9
    shrl $8, %eax
    jnz tell
    ret
# tells EAX in hexadecimal and a blank
hex:
    pushl %ecx
    pushl %eax
    movl $8, %ecx
6:  roll $4, %eax
    pushl %eax
    andb $15, %al
    addb $0x90, %al
    daa
    adcb $0x40, %al
    daa
    outb %al, $0xe9
    popl %eax
    loop 6b
    movb $32, %al
    outb %al, $0xe9
    popl %eax
    popl %ecx
    ret
newline:
    pushl %eax
    movb $10, %al
    outb %al, $0xe9
    popl %eax
    ret

protected:
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs
    movw %ax, %gs
    movl $TOP, %esp
# 48 gates to the stubs; vector 0x21 for user space, 0x22 a trap gate, 0x23 a task gate
    movl $IDT, %edi
    movl $(BASE + stubs), %eax
    movl $48, %ecx
7:  movw %ax, (%edi)
    movw $0x08, 2(%edi)
    movw $0x8e00, 4(%edi)
    movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%edi)
    addl $8, %edi
    addl $16, %eax
    decl %ecx
    jnz 7b
    movw $0xee00, IDT + 0x21 * 8 + 4
    movw $0xef00, IDT + 0x22 * 8 + 4
    movw $0xee00, IDT + 0x2f * 8 + 4
    movw $0x38, IDT + 0x23 * 8 + 2
    movw $0xe500, IDT + 0x23 * 8 + 4
    lidtl BASE + idtr
# task state segments
    movl $TSS, %edi
    xorl %eax, %eax
    movl $0x800, %ecx
    rep stosl
    movl $TOP, TSS + 4
    movl $0x10, TSS + 8
    movw $0x68, TSS + 102
    movl $0xffffffff, TSS + 0x68
    andl $~(1 << 5), TSS + 0x68 + 0x1c   # port 0xe5 is allowed
    andb $~(1 << 1), TSS + 0x68 + 0x1d   # and port 0xe9
    movw $0x28, %ax
    ltr %ax

    say 0x0a3a4d50              # "PM:"
    expect 1f
    ud2
1:  expect 1f
    xorl %ecx, %ecx
    movl $7, %eax
    divl %ecx
1:  expect 1f
    int3
1:  expect 1f
    int $0x22
1:  expect 1f
    movw $0x43, %ax             # beyond what is usable
    movw %ax, %ds
1:  expect 1f
    movw $0x48, %ax             # not present
    movw %ax, %es
1:  expect 1f
    movw $0x48, %ax
    movw %ax, %ss
1:  expect 1f
    movw $0x08, %ax             # code in SS
    movw %ax, %ss
1:  expect 1f
    xorl %eax, %eax
    movw %ax, %ss
1:  expect 1f
    movw $0xfff8, %ax           # outside the table
    movw %ax, %es
1:  expect 1f
    ljmpl $0x10, $(BASE + 1f)   # data in CS
1:  expect 1f
    ljmpl $0x48, $(BASE + 1f)
1:  expect 1f
    movl $0x80000000, %eax      # PG without PE stays out of reach; NW without CD
    movl %cr0, %ebx
    orl $0x20000000, %ebx
    movl %ebx, %cr0
1:  expect 1f
    movl $0x12345678, %ecx      # no such register
    movl $1, %eax
    movl %eax, %cr5
1:
    movl $0x08, %ecx
    larl %ecx, %eax
    call hex
    movl $0x18, %ecx
    lsll %ecx, %eax
    call hex
    movw $0x10, %cx
    verr %cx
    setz %al
    verw %cx
    setz %ah
    movw $0x08, %cx
    verw %cx
    setz %bl
    movzbl %bl, %ebx
    shll $16, %ebx
    movzwl %ax, %eax
    orl %ebx, %eax
    call hex
    movw $0x10, %ax
    movw $0x3, %cx
    arpl %cx, %ax
    movzwl %ax, %eax
    call hex
    sldt %eax
    call hex
    str %eax
    call hex
    smsw %eax
    call hex
    call newline

# single step, and breakpoints
    say 0x003a4244
    movl $(BASE + 2f), RESUME
    movl $1, SAVED              # the handler lets three steps go by
    pushfl
    orl $0x100, (%esp)
    popfl
    nop
    incl %eax
    nop
2:  movl $0, SAVED
    pushfl
    andl $~0x100, (%esp)
    popfl
    movl %dr6, %eax
    call hex
    xorl %eax, %eax
    movl %eax, %dr6
    movl $(BASE + 3f), %eax
    movl %eax, %dr0
    movl $VARS + 64, %eax
    movl %eax, %dr1
    movl $0xd00005, %eax        # DR0 on instructions, DR1 on writes of four bytes
    movl %eax, %dr7
    expect 4f
3:  nop
4:  expect 5f
    movl %dr6, %eax
    call hex
    xorl %eax, %eax
    movl %eax, %dr6
    movb $1, VARS + 66
    nop
5:  movl %dr6, %eax
    call hex
    xorl %eax, %eax
    movl %eax, %dr7
    movl %eax, %dr6
    call newline

# user mode
    say 0x003a4d55
    movl $(BASE + back), SAVED + 8
    movl %esp, SAVED + 12
    pushl $0x23
    pushl $USER_TOP
    pushl $0x3202
    andl $~0x3000, (%esp)
    pushl $0x1b
    pushl $(BASE + user)
    movw $0x23, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %fs
    iret
user:
    pushfl
    popl %eax
    call hex
    movl %cs, %eax
    call hex
    movl $(BASE + 1f), RESUME
    cli
1:  movl $(BASE + 1f), RESUME
    hlt
1:  movl $(BASE + 1f), RESUME
    int $0x20
1:  movl $(BASE + 1f), RESUME
    int $0x21
1:  movl $(BASE + 1f), RESUME
    movb $0, %al
    outb %al, $0xe5
    movl $(BASE + 1f), RESUME
    outw %ax, $0xe5
1:  movl $(BASE + 1f), RESUME
    movl %cr0, %eax
1:  movl $(BASE + 1f), RESUME
    movw $0x10, %ax
    movw %ax, %es
1:  movl $(BASE + 1f), RESUME
    ljmpl $0x08, $(BASE + 1f)
1:  movl $(BASE + 1f), RESUME
    lgdtl BASE + gdtr
1:  pushfl                      # IF and IOPL can't be changed here
    orl $0x3200, (%esp)
    popfl
    pushfl
    popl %eax
    call hex
    pushl $0x11111111           # a parameter for the call gate
    lcall $0x5b, $0
    movl %esp, %eax
    call hex
    movl $(BASE + 1f), RESUME
    lcall $0x63, $0             # its privilege level is 0
1:  jmp user2
    .org 0xd00
gate_entry:                     # ring 0, through the gate
    movl %cs, %eax
    call hex
    movl %ss, %eax
    call hex
    movl 8(%esp), %eax
    call hex
    lret $4
user2:
    call newline
    int $0x2f
    .org 0xd80
back:
    movl SAVED + 12, %esp
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    xorl %eax, %eax
    movw %ax, %fs

# task switches: a jump, a call with IRET, and an interrupt through a task gate
    say 0x003a5354
    movl $(BASE + task), TSS2 + 0x20
    movl $0x2, TSS2 + 0x24
    movl $0xaaaa, TSS2 + 0x28
    movl $(TOP - 0x1000), TSS2 + 0x38
    movl $0x10, TSS2 + 0x48
    movl $0x08, TSS2 + 0x4c
    movl $0x10, TSS2 + 0x50
    movl $0x10, TSS2 + 0x54
    movw $0x68, TSS2 + 102
    movl $0x5555, %esi
    lcall $0x38, $0
    movl %esi, %eax
    call hex
    str %eax
    call hex
    pushfl
    popl %eax
    andl $0x4000, %eax
    call hex
    movl %cr0, %eax
    andl $8, %eax
    call hex
    clts
    int $0x23
    str %eax
    call hex
    ljmpl $0x38, $0
task_back:
    call newline
    jmp v86
task:
    call hex                    # EAX as its state segment had it
    str %eax
    call hex
    pushfl
    popl %eax
    andl $0x4000, %eax
    call hex
    movl TSS2, %eax
    andl $0xffff, %eax
    call hex
    iret
    str %eax
    call hex
    iret
    movl $0xbbbb, %eax
    ljmpl $0x28, $0

v86:
# virtual-8086 mode: what faults there
    say 0x003a3856
    movl %esp, SAVED + 12
    movl %esp, TSS + 4
    movl $(BASE + v86_back), SAVED + 8
    xorl %eax, %eax
    pushl %eax                  # GS to ES
    pushl %eax
    pushl $0xf000
    pushl $0x1000
    pushl $0x0000               # SS
    pushl $0x6f00
    pushl $0x20002
    pushl $0xf000
    pushl $(v86_code - start)
    iret
    .code16
v86_code:
    movw %cs, %ax
    movw $0xbeef, %bx
    movw %bx, %es:0x10          # 0x10010
    movw %es:0x10, %cx
    cli
    nop
    int $0x21
    pushf
    hlt
    outb %al, $0x70
    ud2
    .code32
v86_back:
    movl SAVED + 12, %esp
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    movl $TOP, TSS + 4
    movl 0x10010, %eax
    call hex
    call newline

# paging, two levels: everything where it is; 0x400000 has pages with all kinds of rights
    say 0x003a4750
    movl $PD, %edi
    xorl %eax, %eax
    movl $0xc00, %ecx
    rep stosl
    movl $(PT + 7), PD
    movl $(PT + 0x1000 + 7), PD + 4
    movl $PT, %edi
    movl $7, %eax
    movl $1024, %ecx
8:  movl %eax, (%edi)
    addl $4, %edi
    addl $0x1000, %eax
    loop 8b
    movl $0x50000, %ebx
    movl $(PT + 0x1000), %edi
    movl $0x50001, (%edi)       # system, read
    movl $0x50003, 4(%edi)      # system, write
    movl $0x50005, 8(%edi)      # user, read
    movl $0x50007, 12(%edi)     # user, write
    movl $0x50006, 16(%edi)     # not present
    movl $0x12345678, 0x50000
    movl $PD, %eax
    movl %eax, %cr3
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    jmp 1f
1:  call faults
    movl %cr0, %eax
    orl $0x10000, %eax          # WP
    movl %eax, %cr0
    call faults
    movl PT + 0x1000, %eax      # accessed and dirty bits
    call hex
    movl PT + 0x1004, %eax
    call hex
    movl PT + 0x1008, %eax
    call hex
    movl PT + 0x1010, %eax
    call hex
    movl PD + 4, %eax
    call hex
    call newline
# the same from user mode
    say 0x003a5550
    movl %esp, SAVED + 12
    movl $(BASE + user_paging_back), SAVED + 8
    pushl $0x23
    pushl $USER_TOP
    pushl $0x2
    pushl $0x1b
    pushl $(BASE + user_paging)
    movw $0x23, %ax
    movw %ax, %ds
    movw %ax, %es
    iret
user_paging:
    call faults
    int $0x2f
user_paging_back:
    movl SAVED + 12, %esp
    movw $0x10, %ax
    movw %ax, %ds
    movw %ax, %es
    movw %ax, %ss
    call newline
# a word across two pages, the second of which is not there; REP MOVS into such a page
    say 0x003a5250
    expect 1f
    movl 0x400ffe + 0x3000, %eax
1:  movl $0x403f00, %edi
    movl $0x50000, %esi
    movl $0x200, %ecx
    expect 1f
    rep movsb
1:  movl %edi, %eax
    call hex
    movl %ecx, %eax
    call hex
    expect 1f
    movl $0x404000, %eax
    jmp *%eax
1:  call newline

# long mode
    say 0x003a4d4c
    movl %cr0, %eax
    andl $0x7fffffff, %eax
    movl %eax, %cr0
    movl $PML4, %edi
    xorl %eax, %eax
    movl $0x1000, %ecx
    rep stosl
    movl $(PML4 + 0x1007), PML4
    movl $(PML4 + 0x2007), PML4 + 0x1000
    movl $(PML4 + 0x3007), PML4 + 0x2000
    movl $(0x200000 + 0x87), PML4 + 0x2008
    movl $0x80000000, PML4 + 0x200c          # a large page without execution
    movl $PML4 + 0x3000, %edi
    movl $7, %eax
    movl $512, %ecx
9:  movl %eax, (%edi)
    addl $8, %edi
    addl $0x1000, %eax
    loop 9b
    movl %cr4, %eax
    orl $0x620, %eax
    movl %eax, %cr4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x901, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    movl $0xc0000080, %ecx
    rdmsr
    call hex
    ljmpl $0x68, $(BASE + long64)

# reads and writes of the five pages: EAX, or what the handler tells
faults:
    .irp at, 0x400000, 0x401000, 0x402000, 0x403000, 0x404000
    movl $(BASE + 1f), RESUME
    movl \at, %eax
    call hex
1:  movl $(BASE + 1f), RESUME
    movl $0x12345678, \at
    movb $'w', %al
    outb %al, $0xe9
1:
    .endr
    ret

    .code64
tell64:
    outb %al, $0xe9
    shrl $8, %eax
    jnz tell64
    ret
hex64:
    pushq %rcx
    pushq %rax
    movl $16, %ecx
1:  rolq $4, %rax
    pushq %rax
    andb $15, %al
    cmpb $10, %al
    jb 2f
    addb $7, %al
2:  addb $48, %al
    outb %al, $0xe9
    popq %rax
    loop 1b
    movb $32, %al
    outb %al, $0xe9
    popq %rax
    popq %rcx
    ret
long64:
    movl $TOP, %esp
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
# gates of 16 bytes
    movl $IDT, %edi
    movl $(BASE + stubs64), %eax
    movl $48, %ecx
1:  movw %ax, (%rdi)
    movw $0x68, 2(%rdi)
    movw $0x8e00, 4(%rdi)
    movl %eax, %edx
    shrl $16, %edx
    movw %dx, 6(%rdi)
    movq $0, 8(%rdi)
    addl $16, %edi
    addl $16, %eax
    decl %ecx
    jnz 1b
    movw $0xee01, IDT + 0x21 * 16 + 4   # on a stack of its own
    movw $0xee00, IDT + 0x2e * 16 + 4
    lidt BASE + idtr64
    movq $TOP, TSS + 4
    movq $(TOP - 0x800), TSS + 0x24
    movb $0x89, GDT + 0x28 + 5
    movl $0x28, %eax
    ltr %ax
    .macro expect64 where
    movq $(BASE + \where), RESUME
    .endm
    expect64 1f
    ud2
1:  expect64 1f
    movabsq $0x800000000000, %rax
    movq (%rax), %rbx
1:  expect64 1f
    movabsq $0x800000000000, %rbp
    movq (%rbp), %rbx
1:  expect64 1f
    movabsq $0x123456789000, %rax
    movq (%rax), %rbx
1:  expect64 1f
    movl $0x200000, %eax
    movb $0xc3, (%rax)
    call *%rax
1:  movl $(TOP), %esp
    expect64 1f
    lfence
    movq %cr0, %rax
    orq $8, %rax
    movq %rax, %cr0
    fld1
1:  clts
    expect64 1f
    movaps TOP - 0x81, %xmm0
1:  movb $10, %al
    outb %al, $0xe9
# system calls
    movl $0xc0000081, %ecx
    xorl %eax, %eax
    movl $0x00700068, %edx
    wrmsr
    movl $0xc0000082, %ecx
    movl $(BASE + syscall), %eax
    xorl %edx, %edx
    wrmsr
    movl $0xc0000084, %ecx
    movl $0x40700, %eax
    wrmsr
    movl $0xc0000102, %ecx
    movl $0x11112222, %eax
    movl $0x1, %edx
    wrmsr
    swapgs
    rdmsr
    call hex64
    movl $0xc0000101, %ecx
    rdmsr
    call hex64
    pushq $0x7b
    pushq $USER_TOP
    pushq $0x2
    pushq $0x83
    pushq $(BASE + user64)
    iretq
user64:
    movl %cs, %eax
    movl %eax, %r12d
    movl %ss, %eax
    movl %eax, %r13d
    movq %rsp, %r14
    movl $0x8d5, %eax
    pushq %rax
    popfq
    syscall
    expect64 1f
    movb $0, %al
    outb %al, $0x70
1:  expect64 1f
    hlt
1:  expect64 1f
    swapgs
1:  expect64 1f
    int $0x21
1:  expect64 done
    movl $0, 0x800000
done:
    int $0x2e
syscall:
    movq %rcx, %rax
    subq $BASE, %rax
    call hex64
    movq %r11, %rax
    call hex64
    movl %cs, %eax
    call hex64
    movl %ss, %eax
    call hex64
    movq %r12, %rax
    call hex64
    movq %r13, %rax
    call hex64
    pushfq
    popq %rax
    call hex64
    sysretq

    .org 0x2000
# 48 stubs of 16 bytes: those without an error code push one that says so
stubs:
    .code32
    .set v, 0
    .rept 48
    .balign 16
    .if v == 8 || (v >= 10 && v <= 14) || v == 17
    .else
    pushl $-1
    .endif
    pushl $v
    jmp common
    .set v, v + 1
    .endr
common:
    pushal
    pushl %ds
    movw $0x10, %ax
    movw %ax, %ds
    movl 36(%esp), %eax
    cmpl $0x2f, %eax
    je leave_user
    pushl %eax
    movb $'V', %al
    outb %al, $0xe9
    popl %eax
    call hex                    # vector
    movl 40(%esp), %eax
    call hex                    # error
    movl 44(%esp), %eax
    subl $BASE, %eax
    call hex                    # where
    movl 48(%esp), %eax
    call hex                    # CS
    movl 52(%esp), %eax
    andl $0x23f02, %eax
    call hex                    # flags, those that are the same everywhere
    cmpl $14, 36(%esp)
    jne 1f
    movl %cr2, %eax
    call hex
1:  testl $0x20000, 52(%esp)
    jnz from_v86
    cmpl $1, 36(%esp)
    jne 2f
    cmpl $1, SAVED              # stepping: three times on
    jne 2f
    movl VARS + 32, %eax
    incl %eax
    movl %eax, VARS + 32
    cmpl $3, %eax
    jb 3f
    andl $~0x100, 52(%esp)
2:  movl RESUME, %eax
    movl %eax, 44(%esp)
3:  movb $10, %al
    outb %al, $0xe9
    popl %ds
    popal
    addl $8, %esp
    iret
leave_user:
    movl SAVED + 8, %eax
    jmp *%eax
from_v86:
    movb $10, %al
    outb %al, $0xe9
    movl 44(%esp), %eax
    addl $BASE, %eax
    cmpw $0x0b0f, (%eax)        # UD2 ends it
    je leave_user
    incl 44(%esp)               # CLI, PUSHF and HLT have one byte,
    cmpb $0xcd, (%eax)          # INT and OUT two
    je 4f
    cmpb $0xe6, (%eax)
    jne 5f
4:  incl 44(%esp)
5:  popl %ds
    popal
    addl $8, %esp
    iret

    .org 0x3000
    .code64
stubs64:
    .set v, 0
    .rept 48
    .balign 16
    .if v == 8 || (v >= 10 && v <= 14) || v == 17
    .else
    pushq $-1
    .endif
    pushq $v
    jmp common64
    .set v, v + 1
    .endr
common64:
    pushq %rax
    movl $'W', %eax
    outb %al, $0xe9
    movq 8(%rsp), %rax
    call hex64
    movq 16(%rsp), %rax
    call hex64
    movq 24(%rsp), %rax
    subq $BASE, %rax
    call hex64
    movq 32(%rsp), %rax
    call hex64
    movq 40(%rsp), %rax
    andl $0x23f02, %eax
    call hex64
    movq 48(%rsp), %rax
    call hex64
    movq 56(%rsp), %rax
    call hex64
    movq %rsp, %rax
    call hex64
    cmpl $14, 8(%rsp)
    jne 1f
    movq %cr2, %rax
    call hex64
1:  movb $10, %al
    outb %al, $0xe9
    cmpl $0x2e, 8(%rsp)
    jne 2f
    movl $0x2a444e45, %eax      # "END*": that is all
    call tell64
    cli
    hlt
2:  movq RESUME, %rax
    movq %rax, 24(%rsp)
    popq %rax
    addq $16, %rsp
    iretq

    .org 0x4000
gdt:
    .quad 0
    .quad 0x00cf9b000000ffff    # 08 code
    .quad 0x00cf93000000ffff    # 10 data
    .quad 0x00cffb000000ffff    # 18 user code
    .quad 0x00cff3000000ffff    # 20 user data
    .quad 0x0000890220002067 + ((TSS & 0xffff) << 16) - 0x20000000  # 28 task, with its bitmap
    .quad 0
    .quad 0x0000890200000067 + (((TSS2) & 0xffff) << 16)            # 38 the other task
    .quad 0
    .quad 0x00cf12000000ffff    # 48 not present
    .quad 0
    .quad 0x0000ec0100080000 + (0xd00) + (0xf << 48)                # 58 call gate, one parameter
    .quad 0x00008c0000080000 + (0xd00) + (0xf << 48)                # 60 call gate of ring 0
    .quad 0x00af9b000000ffff    # 68 64-bit code
    .quad 0x00cf93000000ffff    # 70 data behind it, for system calls
    .quad 0x00cff3000000ffff    # 78 user data
    .quad 0x00affb000000ffff    # 80 user 64-bit code
gdt_end:
gdtr:
    .word gdt_end - gdt - 1
    .long GDT
idtr:
    .word 48 * 8 - 1
    .long IDT
idtr64:
    .word 48 * 16 - 1
    .quad IDT

    .org 0xfff0
    .code16
    ljmpw $0xf000, $0
    .org 0x10000
