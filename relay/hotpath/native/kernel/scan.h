/* Where the structure of a datagram is: one bit a byte for line feeds, colons and bars.
 *
 * Theory. One pass of vector compares makes three bitmaps; after that a line is a few "next bit from here" questions,
 * which cost a shift and a count of zeros each, however long names are. 64 bytes a step: AVX2 where the processor has
 * it (asked at run time), SSE2 or NEON where the architecture guarantees it, words of eight bytes elsewhere.
 *
 * Cost: about 20 instructions a line of 34 bytes with SSE2. Invariant: bits at and beyond `size` are zero. */
#ifndef RELAY_SCAN_H
#define RELAY_SCAN_H

#include "base.h"

#define SCAN_WORDS ((DATAGRAM_BYTES + 1 + 63) / 64 + 1)

typedef struct marks {
    uint64_t feeds[SCAN_WORDS], colons[SCAN_WORDS], bars[SCAN_WORDS];
} marks;

typedef void scanner(const uint8_t *at, size_t size, marks *marks);

/* Returns the fastest scanner this machine has; `scan_portable` is the one that is always right. */
scanner *scan_choose(void);
scanner scan_portable;

/* Returns the position of the first bit from `from` on, or anything from `end` on if there is none before it. */
static inline size_t mark_from(const uint64_t *bits, size_t from, size_t end) {
    size_t word = from >> 6;
    uint64_t rest = bits[word] & ~(uint64_t)0 << (from & 63);
    while (rest == 0) {
        word++;
        if (word << 6 >= end) return end;
        rest = bits[word];
    }
    return (word << 6) + (size_t)__builtin_ctzll(rest);
}

/* Returns the position of the first bit in [from, end), or `end`. */
static inline size_t next_mark(const uint64_t *bits, size_t from, size_t end) {
    size_t found = mark_from(bits, from, end);
    return found < end ? found : end;
}

#endif
