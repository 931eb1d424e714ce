.code16
.globl _start
_start:
 cli
 xorw %ax,%ax
 movw %ax,%ds
 movw %ax,%es
 movw %ax,%ss
 movw $0x7c00,%sp
 movl $0x1000,%edi
 movl %edi,%cr3
 xorl %eax,%eax
 movl $0xc00,%ecx
 cld
 rep stosl
 movl $0x2003,0x1000
 movl $0x3003,0x2000
 movl $0x83,0x3000
 movl %cr4,%eax
 orl $0x20,%eax
 movl %eax,%cr4
 movl $0xc0000080,%ecx
 rdmsr
 orl $0x100,%eax
 wrmsr
 lgdt gdtr
 movl %cr0,%eax
 orl $0x80000001,%eax
 movl %eax,%cr0
 ljmp $8,$long
.code64
long:
 movw $0x3f8,%dx
 movb $'6',%al
 outb %al,%dx
 movb $'4',%al
 outb %al,%dx
1: hlt
 jmp 1b
.align 8
gdt: .quad 0
 .quad 0x00209a0000000000
gdtr: .word 15
 .long gdt
.org 510
.byte 0x55,0xaa
