/* Interrupts: the descriptor table, the two interrupt controllers, and what to do on a processor fault. */
#ifndef INTERRUPTS_H
#define INTERRUPTS_H

/* Load the table and mask every line. */
void interrupts_start(void);

/* Have `handler` called, with interrupts off, for each interrupt on the line 0..15, and unmask it. */
void interrupts_handle(int line, void (*handler)(void));

#endif
