/* Multiboot entry, segment table and interrupt stubs.
 *
 * Sources: Multiboot Specification 0.6.96, 3.1.1 (header), 3.2 (machine state); Intel SDM volume 3A, 3.4.5 (segment
 * descriptors), 6.13 (error codes), 6.15 (exceptions).
 */
        .set    MULTIBOOT_HEADER_MAGIC, 0x1BADB002
        .set    MULTIBOOT_FLAGS, 0              /* an ELF file says by itself where it is to be loaded */
        .set    CODE_SELECTOR, 8
        .set    DATA_SELECTOR, 16
        .set    STACK_BYTES, 16384

        .section .multiboot, "a"                /* kernel.ld puts it first: it must lie in the file's first 8192 bytes */
        .balign 4
        .long   MULTIBOOT_HEADER_MAGIC
        .long   MULTIBOOT_FLAGS
        .long   -(MULTIBOOT_HEADER_MAGIC + MULTIBOOT_FLAGS)

        .text
        .globl  boot_entry
boot_entry:
        cli
        cld
        movl    $stack_top, %esp
        /* The boot loader's segment table may be gone by now (3.2: "GDTR may be invalid"), so load our own first. */
        lgdt    segment_table_pointer
        ljmp    $CODE_SELECTOR, $1f
1:      movl    $DATA_SELECTOR, %ecx
        movl    %ecx, %ds
        movl    %ecx, %es
        movl    %ecx, %fs
        movl    %ecx, %gs
        movl    %ecx, %ss
        xorl    %ebp, %ebp
        pushl   %ebx                            /* second argument: the boot information */
        pushl   %eax                            /* first argument: the loader's magic */
        call    main
2:      cli
        hlt
        jmp     2b

        /* Exceptions 8, 10-14, 17, 21, 29 and 30 push an error code; for the others a zero keeps the frame alike. */
        .macro  STUB vector
        .balign 8
        .if     (\vector == 8) || ((\vector >= 10) && (\vector <= 14)) || (\vector == 17) || (\vector == 21) || (\vector == 29) || (\vector == 30)
        .else
        pushl   $0
        .endif
        pushl   $\vector
        jmp     interrupt_common
        .endm

        .altmacro
        .macro  NUMBERED_STUB vector
stub_\vector:
        STUB    \vector
        .endm
        .macro  NUMBERED_ADDRESS vector
        .long   stub_\vector
        .endm

        .set    number, 0
        .rept   48
        NUMBERED_STUB %number
        .set    number, number + 1
        .endr

interrupt_common:
        pushal
        cld
        pushl   %esp                            /* struct interrupt_frame * */
        call    interrupt_handle
        addl    $4, %esp
        popal
        addl    $8, %esp                        /* vector and error code */
        /* Interrupts are let in at two places only, x86.h's interrupts_take and interrupts_wait, which want them off again
         * afterwards and keep nothing in the flags. So drop code segment and flags and simply return. An `iret` would do as
         * well, but where KVM runs 32-bit code by its instruction emulator (a host that is itself a guest without hardware
         * nesting) there is none: "iret from protected mode unimplemented", Linux, arch/x86/kvm/emulate.c. */
        ret     $8

        .section .rodata
        .balign 4
        .globl  interrupt_stubs
interrupt_stubs:
        .set    number, 0
        .rept   48
        NUMBERED_ADDRESS %number
        .set    number, number + 1
        .endr

        .balign 8
segment_table:
        .quad   0
        .quad   0x00CF9A000000FFFF              /* code: base 0, limit 4 GiB, 32 bits, ring 0 */
        .quad   0x00CF92000000FFFF              /* data: the same range */
segment_table_pointer:
        .word   . - segment_table - 1
        .long   segment_table

        .bss
        .balign 16
        .skip   STACK_BYTES
stack_top:

        .section .note.GNU-stack, "", @progbits
