# A 64 KiB ROM for two processors that takes interrupts on every way there is, and tells on the debug console (port 0xe9)
# after each stage. At the end it goes on doing so for ever, a line for each round, so that it can be moved meanwhile.

    .set PML4, 0x20000          # then the table below it, then four directories of 2 MiB pages
    .set IDT, 0x27000
    .set VARS, 0x28000
    .set PIT, VARS              # how often each interrupt came
    .set RTC, VARS + 4
    .set TIMER, VARS + 8        # of the local APIC
    .set ECHO, VARS + 12        # the message that the other processor answers with
    .set NMIS, VARS + 16
    .set DISK, VARS + 20
    .set ALIVE, VARS + 24       # starts of the other processor
    .set ROUND, VARS + 28
    .set STACK, 0x40000
    .set OTHER_STACK, 0x38000
    .set START_PAGE, 8          # where the other processor starts
    .set BASE, 0xf0000

    .macro out port, value
    movb $\value, %al
    outb %al, $\port
    .endm

    .macro apic register, value
    movl $0xfee00000 + \register, %edi
    movl $\value, (%rdi)
    .endm

    .macro ioapic pin, value    # to the first processor
    movl $0xfec00000, %edi
    movl $0x11 + 2 * \pin, (%rdi)
    movl $0, 0x10(%rdi)
    movl $0x10 + 2 * \pin, (%rdi)
    movl $\value, 0x10(%rdi)
    .endm

    .macro clock register, value # nobody else chooses a register in between
    cli
    out 0x70, \register
    out 0x71, \value
    sti
    .endm

    .macro await counter, more  # sleeps until it has grown by so many
    movl \counter, %r14d
    addl $\more, %r14d
1:  cli
    movl \counter, %eax
    subl %r14d, %eax
    jns 2f
    sti
    hlt
    jmp 1b
2:  sti
    .endm

    .macro say text
    leaq \text(%rip), %rsi
    call puts
    .endm

    .macro vector number, handler
    movl $(BASE + \handler), %eax
    movl $(IDT + 16 * \number), %edi
    call gate
    .endm

    .macro send destination, command
    apic 0x310, \destination << 24
    apic 0x300, \command
    .endm

    .code16
    .org 0
start:
    movw $1, %bx                # the first processor
enter:
    cli
    cld
    lgdtl %cs:(gdtr - start)
    movl %cr0, %eax
    orb $1, %al
    movl %eax, %cr0
    ljmpl $0x08, $(BASE + protected)

other:                          # the other processor
    xorw %bx, %bx
    jmp enter

    .code32
protected:
    movl $0x10, %eax
    movl %eax, %ds
    movl %eax, %es
    movl %eax, %ss
    testw %bx, %bx
    jz 2f
    movl $PML4, %edi            # the first 4 GiB, one to one
    xorl %eax, %eax
    movl $0x2400, %ecx
    rep stosl
    movl $(PML4 + 0x1000 + 3), PML4
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $12, %eax
    addl $(PML4 + 0x2000 + 3), %eax
    movl %eax, PML4 + 0x1000(, %ecx, 8)
    incl %ecx
    cmpl $4, %ecx
    jb 1b
    xorl %ecx, %ecx
1:  movl %ecx, %eax
    shll $21, %eax
    orl $0x83, %eax
    movl %eax, PML4 + 0x2000(, %ecx, 8)
    incl %ecx
    cmpl $2048, %ecx
    jb 1b
    movb $0xea, (START_PAGE << 12)  # a far jump
    movl $(0xf0000000 + other - start), (START_PAGE << 12) + 1
2:  movl %cr4, %eax
    orl $0x20, %eax
    movl %eax, %cr4
    movl $PML4, %eax
    movl %eax, %cr3
    movl $0xc0000080, %ecx
    rdmsr
    orl $0x100, %eax
    wrmsr
    movl %cr0, %eax
    orl $0x80000000, %eax
    movl %eax, %cr0
    ljmpl $0x18, $(BASE + long)

    .code64
long:
    testw %bx, %bx
    jz second
    movl $STACK, %esp
    movl $IDT, %edi
    movl $256, %ecx
1:  movl $(BASE + unexpected), %eax
    call gate
    loop 1b
    vector 0x02, nmi
    vector 0x20, pic_pit
    vector 0x27, spurious
    vector 0x28, pic_rtc
    vector 0x2f, spurious
    vector 0x30, apic_pit
    vector 0x38, apic_rtc
    vector 0x40, apic_timer
    vector 0x50, call_other
    vector 0x51, echo
    vector 0x60, disk
    vector 0xff, spurious
    lidt idtr(%rip)

    apic 0xf0, 0x1ff
    apic 0x350, 0x700           # the PIC's output
    apic 0x360, 0x400
    apic 0xe0, -1
    apic 0xd0, 0x01000000

# The timer through the PIC.
    out 0x20, 0x11
    out 0xa0, 0x11
    out 0x21, 0x20
    out 0xa1, 0x28
    out 0x21, 4
    out 0xa1, 2
    out 0x21, 1
    out 0xa1, 1
    out 0x21, 0xfe
    out 0xa1, 0xff
    out 0x43, 0x34              # channel 0, about 100 Hz
    out 0x40, 0x9c
    out 0x40, 0x2e
    await PIT, 5
    say text_pit

# The clock through both.
    out 0x21, 0xfb
    out 0xa1, 0xfe
    clock 0x0a, 0x2a            # 64 Hz
    clock 0x0b, 0x42
    call acknowledge_clock
    await RTC, 3
    say text_rtc
    clock 0x0b, 0x02
    call acknowledge_clock
    out 0x21, 0xff
    out 0xa1, 0xff

# The timer through the IOAPIC.
    ioapic 2, 0x30
    await PIT, 5
    say text_ioapic

# The clock likewise, level-triggered: as long as nobody clears it, it comes again behind each end of interrupt.
    ioapic 8, 0x8038
    clock 0x0b, 0x42
    call acknowledge_clock
    await RTC, 6
    clock 0x0b, 0x02
    ioapic 8, 0x10000
    call acknowledge_clock
    say text_level

# The local APIC's timer, 100 Hz where its clock is 1 GHz.
    apic 0x320, 0x20040
    apic 0x3e0, 3
    apic 0x380, 625000
    await TIMER, 5
    say text_timer

# The task priority, by CR8 and by the register; an interrupt waits behind it.
    cli
    movl $5, %eax
    movq %rax, %cr8
    movl TIMER, %r14d
    sti
    movl $0xfee00220, %edi
1:  testl $1, (%rdi)            # vector 0x40 waits
    jz 1b
    movl $1000, %ecx
1:  nop
    loop 1b
    cmpl TIMER, %r14d
    jne unexpected
    movl $0xfee00080, %edi
    cmpl $0x50, (%rdi)
    jne unexpected
    xorl %eax, %eax
    movq %rax, %cr8
1:  outb %al, $0x80             # a KVM that emulates this code tells of CR8 when there is something else
    cmpl TIMER, %r14d
    je 1b
    movl $0xfee00080, %edi
    movl $0x60, (%rdi)
    movq %cr8, %rax
    cmpl $6, %eax
    jne unexpected
    movl $0, (%rdi)
    movq %cr8, %rax
    testl %eax, %eax
    jnz unexpected
    await TIMER, 1
    say text_priority

# The disk.
    ioapic 14, 0x60
    movw $0x3f6, %dx
    movb $0, %al
    outb %al, %dx
    movw $0x1f6, %dx
    movb $0xa0, %al
    outb %al, %dx
    cli
    movl DISK, %r14d
    movw $0x1f7, %dx
    movb $0xec, %al             # IDENTIFY DEVICE
    outb %al, %dx
1:  cli
    cmpl DISK, %r14d
    jne 2f
    sti
    hlt
    jmp 1b
2:  sti
    say text_disk

# The other processor: starts, answers messages, takes an NMI, starts again.
    call start_other
    say text_other
    movl $5, %ebx
1:  push %rbx
    call ask_other
    pop %rbx
    decl %ebx
    jnz 1b
    say text_message
    movl NMIS, %r14d
    send 1, 0x4400
1:  hlt                         # until the timer has come; the NMI has overtaken it, or comes soon
    cmpl NMIS, %r14d
    je 1b
    say text_nmi
    call start_other
    call ask_other
    say text_again

# For ever: all of it.
    out 0x21, 0xfb
    out 0xa1, 0xfe
    clock 0x0b, 0x42
    call acknowledge_clock
round:
    await PIT, 1
    await TIMER, 1
    await RTC, 1
    call ask_other
    incl ROUND
    movl $12, %ecx
1:  movl ROUND, %eax            # four digits
    shrl %cl, %eax
    andl $0xf, %eax
    addb $'0', %al
    cmpb $'9', %al
    jbe 2f
    addb $('a' - '9' - 1), %al
2:  outb %al, $0xe9
    subl $4, %ecx
    jns 1b
    out 0xe9, '\n'
    jmp round

start_other:
    movl ALIVE, %r15d
    send 1, 0x4500
    await PIT, 2
    send 1, 0x4600 + START_PAGE
1:  hlt                         # the timers go on
    cmpl ALIVE, %r15d
    je 1b
    ret

ask_other:
    cli
    movl ECHO, %r14d
    send 1, 0x4050
1:  cli
    cmpl ECHO, %r14d
    jne 2f
    sti
    hlt
    jmp 1b
2:  sti
    ret

second:
    movl $OTHER_STACK, %esp
    lidt idtr(%rip)
    apic 0xf0, 0x1ff
    incl ALIVE
1:  sti
    hlt
    jmp 1b

acknowledge_clock:
    out 0x70, 0x0c
    inb $0x71, %al
    ret

puts:
    lodsb
    testb %al, %al
    jz 1f
    outb %al, $0xe9
    jmp puts
1:  ret

gate:                           # an interrupt gate at %rdi to %eax; %rdi goes on
    movw %ax, (%rdi)
    movl $0x8e000018, 2(%rdi)
    shrl $16, %eax
    movw %ax, 6(%rdi)
    movq $0, 8(%rdi)
    addl $16, %edi
    ret

unexpected:
    cli
    say text_unexpected
1:  hlt
    jmp 1b

pic_pit:
    incl PIT
    jmp end_of_pic
pic_rtc:
    push %rax
    incl RTC
    call acknowledge_clock
    out 0xa0, 0x20
    out 0x20, 0x20
    pop %rax
    iretq
end_of_pic:
    push %rax
    out 0x20, 0x20
    pop %rax
spurious:
    iretq

apic_pit:
    incl PIT
    jmp end
apic_rtc:
    push %rax
    push %rdx
    push %rcx
    incl RTC
    movl RTC, %eax
    xorl %edx, %edx
    movl $3, %ecx
    divl %ecx
    testl %edx, %edx
    jnz 1f
    call acknowledge_clock
1:  pop %rcx
    pop %rdx
    pop %rax
    jmp end
apic_timer:
    incl TIMER
    jmp end
echo:
    incl ECHO
    jmp end
disk:
    push %rax
    push %rdx
    incl DISK
    movw $0x1f7, %dx
    inb %dx, %al
    pop %rdx
    pop %rax
end:
    push %rdi
    apic 0xb0, 0
    pop %rdi
    iretq
nmi:
    incl NMIS
    iretq
call_other:                     # on the other processor: the answer
    push %rdi
    send 0, 0x4051
    pop %rdi
    jmp end

text_pit:
    .asciz "The timer through the PIC\n"
text_rtc:
    .asciz "The clock through the second PIC\n"
text_ioapic:
    .asciz "The timer through the IOAPIC\n"
text_level:
    .asciz "The clock, level-triggered\n"
text_timer:
    .asciz "The local APIC's timer\n"
text_priority:
    .asciz "The task priority\n"
text_disk:
    .asciz "The disk\n"
text_other:
    .asciz "The other processor\n"
text_message:
    .asciz "Messages between them\n"
text_nmi:
    .asciz "A non-maskable interrupt\n"
text_again:
    .asciz "The other processor again\n"
text_unexpected:
    .asciz "UNEXPECTED\n"

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
    .word 256 * 16 - 1
    .quad IDT

    .org 0xfff0
    .code16
    ljmpw $0xf000, $0
    .org 0x10000
