/* The console: the first serial port, 115200 baud, 8 bits, no parity. */
#ifndef SERIAL_H
#define SERIAL_H

#include "text.h"

void serial_start(void);

/* Write the text and an end of line. */
void serial_line(const struct text *line);

/* Write "hello-unikernel: ", the message and an end of line. */
void serial_say(const char *message);

#endif
