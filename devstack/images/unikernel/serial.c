/* 16550 UART at 0x3f8, without interrupts: one line in a guest's life is not worth a queue.
 *
 * Source: National Semiconductor PC16550D data sheet, 8.0 (registers).
 */
#include "serial.h"
#include "x86.h"

#define COM1 0x3f8
#define DATA (COM1 + 0)
#define INTERRUPT_ENABLE (COM1 + 1)
#define FIFO_CONTROL (COM1 + 2)
#define LINE_CONTROL (COM1 + 3)
#define MODEM_CONTROL (COM1 + 4)
#define LINE_STATUS (COM1 + 5)

#define LINE_STATUS_EMPTY 0x20

/* A console that nobody reads can hold the transmitter back for good; the guest must come up all the same. */
#define MAX_WAITS 100000

void serial_start(void) {
    port_write8(INTERRUPT_ENABLE, 0);
    port_write8(LINE_CONTROL, 0x80);    /* the next two writes set the divisor */
    port_write8(COM1 + 0, 1);           /* 115200 baud */
    port_write8(COM1 + 1, 0);
    port_write8(LINE_CONTROL, 0x03);    /* 8 bits, no parity, 1 stop bit */
    port_write8(FIFO_CONTROL, 0x07);    /* on, and emptied */
    port_write8(MODEM_CONTROL, 0x03);   /* data terminal ready, request to send */
}

static void write_byte(char byte) {
    for (int waits = 0; waits < MAX_WAITS && !(port_read8(LINE_STATUS) & LINE_STATUS_EMPTY); waits++)
        ;
    port_write8(DATA, (uint8_t)byte);
}

void serial_line(const struct text *line) {
    for (size_t i = 0; i < line->length; i++)
        write_byte(line->bytes[i]);
    write_byte('\r');
    write_byte('\n');
}

void serial_say(const char *message) {
    char bytes[160];
    struct text line = {bytes, 0, sizeof bytes};

    text_add(&line, "hello-unikernel: ");
    text_add(&line, message);
    serial_line(&line);
}
