/* Marks the structure of a datagram: one bit for each byte that is a line feed, a colon or a bar.
 *
 * Theory. One pass of vector compares makes three bitmaps. Parsing a line then asks a few times for the next bit,
 * which costs a shift and a count of zeros, whatever the length of a name. A step handles 64 bytes: with AVX2 if the
 * processor has it (checked at run time), SSE2 or NEON where the architecture guarantees it, words of eight bytes
 * elsewhere.
 *
 * Cost: about 20 instructions for a line of 34 bytes with SSE2. Invariant: bits at and beyond `size` are zero. */
#ifndef RELAY_SCAN_H
#define RELAY_SCAN_H

#include "base.h"

#define SCAN_WORDS ((DATAGRAM_BYTES + 1 + 63) / 64 + 1)

typedef struct marks {
    uint64_t feeds[SCAN_WORDS], colons[SCAN_WORDS], bars[SCAN_WORDS];
} marks;

typedef void scanner(const uint8_t *at, size_t size, marks *marks);

/* Returns the fastest scanner for this processor; `scan_portable` works on all. */
scanner *scan_choose(void);
scanner scan_portable;

/* Returns the position of the first bit from `from` on; if there is none before `end`, any position from `end` on. */
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
