/* Time, in ticks of 55 ms, that passes only while somebody has asked for the next tick. */
#ifndef TIMER_H
#define TIMER_H

#include <stdint.h>

void timer_start(void);

/* Have a tick come within 55 ms; asking again before it came changes nothing. */
void timer_request_tick(void);

uint32_t timer_ticks(void);

#endif
