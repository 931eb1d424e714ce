/* The programmable interval timer, in its one-shot mode: a guest with nothing to wait for is then woken by packets alone,
 * and hundreds of idle guests cost their host nothing.
 *
 * Source: Intel 8254 data sheet, "Mode 0: interrupt on terminal count".
 */
#include "timer.h"

#include <stdbool.h>

#include "interrupts.h"
#include "x86.h"

#define TIMER_LINE 0
#define CHANNEL_0 0x40
#define CONTROL 0x43
#define CHANNEL_0_BOTH_BYTES_MODE_0 0x30

static volatile uint32_t ticks;
static volatile bool requested;

static void on_tick(void) {
    ticks++;
    requested = false;
}

void timer_start(void) {
    interrupts_handle(TIMER_LINE, on_tick);
    timer_request_tick();               /* also ends the periodic mode that the firmware left */
}

void timer_request_tick(void) {
    if (requested)
        return;
    requested = true;
    port_write8(CONTROL, CHANNEL_0_BOTH_BYTES_MODE_0);
    port_write8(CHANNEL_0, 0);          /* 0 stands for 65536 periods of 1193182 Hz: 54.9 ms */
    port_write8(CHANNEL_0, 0);
}

uint32_t timer_ticks(void) {
    return ticks;
}
