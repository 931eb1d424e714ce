/* The few processor instructions that C has no words for. */
#ifndef X86_H
#define X86_H

#include <stdint.h>

static inline void port_write8(uint16_t port, uint8_t value) {
    __asm__ volatile("outb %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_write16(uint16_t port, uint16_t value) {
    __asm__ volatile("outw %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline void port_write32(uint16_t port, uint32_t value) {
    __asm__ volatile("outl %0, %1" : : "a"(value), "Nd"(port) : "memory");
}

static inline uint8_t port_read8(uint16_t port) {
    uint8_t value;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint16_t port_read16(uint16_t port) {
    uint16_t value;
    __asm__ volatile("inw %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

static inline uint32_t port_read32(uint16_t port) {
    uint32_t value;
    __asm__ volatile("inl %1, %0" : "=a"(value) : "Nd"(port) : "memory");
    return value;
}

/* Interrupts are off, always, but for these two; boot.S returns from a handler with interrupts off. */

/* Take an interrupt that is due, if there is one. `sti` lets it in only after the instruction that follows. */
static inline void interrupts_take(void) {
    __asm__ volatile("sti; nop; cli" : : : "memory", "cc");
}

/* Sleep until an interrupt has come. None can slip in between `sti` and `hlt` and be slept through (Intel SDM volume 2, STI). */
static inline void interrupts_wait(void) {
    __asm__ volatile("sti; hlt; cli" : : : "memory", "cc");
}

__attribute__((noreturn)) static inline void stop_forever(void) {
    for (;;)
        __asm__ volatile("cli; hlt" : : : "memory");
}

/* Keep the compiler from moving memory accesses; x86 itself keeps loads among loads and stores among stores in order. */
static inline void compiler_barrier(void) {
    __asm__ volatile("" : : : "memory");
}

/* Order an earlier store before a later load, the one case that x86 may swap. */
static inline void full_barrier(void) {
    __asm__ volatile("lock; orl $0, (%%esp)" : : : "memory", "cc");
}

static inline uint64_t time_stamp(void) {
    uint32_t low, high;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return (uint64_t)high << 32 | low;
}

#endif
