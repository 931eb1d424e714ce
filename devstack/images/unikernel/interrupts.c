/* Sources: Intel SDM volume 3A, 6.11 (gate descriptors); Intel 8259A data sheet (initialisation command words). */
#include "interrupts.h"

#include <stdint.h>

#include "serial.h"
#include "x86.h"

#define MASTER_COMMAND 0x20
#define MASTER_DATA 0x21
#define SLAVE_COMMAND 0xa0
#define SLAVE_DATA 0xa1
#define END_OF_INTERRUPT 0x20

#define FIRST_LINE_VECTOR 32            /* 0..31 are the processor's own exceptions */
#define LINES 16
#define VECTORS (FIRST_LINE_VECTOR + LINES)
#define CASCADE_LINE 2                  /* the slave's interrupts arrive on it */

#define CODE_SELECTOR 8                 /* as in boot.S */
#define INTERRUPT_GATE 0x8e00           /* present, ring 0, 32 bits, clears the interrupt flag */

struct gate {
    uint16_t offset_low;
    uint16_t selector;
    uint16_t kind;
    uint16_t offset_high;
};

/* As boot.S leaves it on the stack: pushal's registers, its own two words, then the processor's. */
struct interrupt_frame {
    uint32_t edi, esi, ebp, esp, ebx, edx, ecx, eax;
    uint32_t vector, error;
    uint32_t eip, cs, eflags;
};

extern const uint32_t interrupt_stubs[VECTORS];
void interrupt_handle(const struct interrupt_frame *frame);

static struct gate gates[VECTORS];
static void (*handlers[LINES])(void);

static void unmask(int line) {
    uint16_t port = line < 8 ? MASTER_DATA : SLAVE_DATA;

    port_write8(port, (uint8_t)(port_read8(port) & ~(1 << (line & 7))));
}

void interrupts_start(void) {
    struct {
        uint16_t limit;
        uint32_t base;
    } __attribute__((packed)) table = {sizeof gates - 1, (uint32_t)gates};

    for (int i = 0; i < VECTORS; i++) {
        gates[i].offset_low = (uint16_t)interrupt_stubs[i];
        gates[i].selector = CODE_SELECTOR;
        gates[i].kind = INTERRUPT_GATE;
        gates[i].offset_high = (uint16_t)(interrupt_stubs[i] >> 16);
    }
    __asm__ volatile("lidt %0" : : "m"(table), "m"(gates));

    /* The firmware left the lines on vectors 8..15, where the processor's exceptions are. */
    port_write8(MASTER_COMMAND, 0x11);
    port_write8(SLAVE_COMMAND, 0x11);
    port_write8(MASTER_DATA, FIRST_LINE_VECTOR);
    port_write8(SLAVE_DATA, FIRST_LINE_VECTOR + 8);
    port_write8(MASTER_DATA, 1 << CASCADE_LINE);
    port_write8(SLAVE_DATA, CASCADE_LINE);
    port_write8(MASTER_DATA, 0x01);
    port_write8(SLAVE_DATA, 0x01);
    port_write8(MASTER_DATA, (uint8_t)~(1 << CASCADE_LINE));
    port_write8(SLAVE_DATA, 0xff);
}

void interrupts_handle(int line, void (*handler)(void)) {
    handlers[line] = handler;
    unmask(line);
}

__attribute__((noreturn)) static void report_fault(const struct interrupt_frame *frame) {
    char bytes[96];
    struct text line = {bytes, 0, sizeof bytes};

    text_add(&line, "hello-unikernel: processor fault ");
    text_add_number(&line, frame->vector);
    text_add(&line, " error 0x");
    text_add_hex(&line, frame->error, 8);
    text_add(&line, " at 0x");
    text_add_hex(&line, frame->eip, 8);
    text_add(&line, ", stopped");
    serial_line(&line);
    stop_forever();
}

void interrupt_handle(const struct interrupt_frame *frame) {
    int line = (int)frame->vector - FIRST_LINE_VECTOR;

    if (line < 0)
        report_fault(frame);
    /* The handler comes first: a line that is level triggered would fire again until its device is satisfied. */
    if (handlers[line])
        handlers[line]();
    if (line >= 8)
        port_write8(SLAVE_COMMAND, END_OF_INTERRUPT);
    port_write8(MASTER_COMMAND, END_OF_INTERRUPT);
}
