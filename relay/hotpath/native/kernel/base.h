/* Shared by all files of the kernel: spans of bytes, bounded loads, the limits, and accounted memory.
 *
 * Theory. The kernel is C11 without Python.h, without globals and without recursion. Text is a span: a pointer and a
 * size, without a NUL at the end. A text that is scanned lies in a buffer with PAD readable bytes after its end, so
 * that a vector load at any byte of the text stays inside the buffer. The bytes of the pad have no effect.
 *
 * A budget counts the memory in use. It is full at its limit. Its user decides what happens then (a new series
 * overflows, a sketch becomes approximate); nothing aborts. A failed malloc is handled the same way.
 *
 * The limits repeat relay/limits.py; a test compares them. */
#ifndef RELAY_BASE_H
#define RELAY_BASE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#if defined(__GNUC__) && !defined(__clang__) && !defined(Py_PYTHON_H) /* for the kernel, not for the wrapper */
#pragma GCC diagnostic error "-Wconversion"
#endif

#define PAD 64
#ifndef DATAGRAM_BYTES /* the fuzzer defines a smaller one */
#define DATAGRAM_BYTES 65507
#endif
#define NUMBER_BYTES 64
#define NAME_READ 4096
#define SECTION_READ 5376
#define NAMING_FIXED 128
#define NAMING_OTHERS 16
#define NAMING_WORK 8388608
#define RULES_COUNTED 1024
#define TOP_SENDERS 16
#define SENDER_EXAMPLE_BYTES 120
#define TIMESTAMP_AHEAD 60
#define QUANTILE_EXACT 64
#define SKETCH_ACCURACY 0.01
#define SKETCH_BINS 2048
#define SKETCH_ZERO 1e-9
#define SET_EXACT 2048
#define SET_PRECISION 14
#define REJECTS_KEPT 64
#define REJECT_BYTES 120
#define FINITE 1.7976931348623157e308

#define LIKELY(x) __builtin_expect(!!(x), 1)
#define UNLIKELY(x) __builtin_expect(!!(x), 0)

enum kind { COUNTER, TIMER, GAUGE, SET, KINDS };

/* Reasons of rejected lines and dropped samples. The wrapper numbers further reasons from REASONS on. */
enum reason {
    EMPTY_NAME, NO_VALUE, BAD_VALUE, BAD_TYPE, BAD_RATE, BAD_TIMESTAMP, BAD_EVENT, RESERVED_NAME, TRUNCATED,
    LINE_TOO_LONG, SOURCE_DENIED, SERIES_LIMIT, INTERNAL_ERROR, TOO_OLD, TOO_FAR_AHEAD, LATE_GAUGE, FORGOTTEN, REASONS,
    REASONS_MAX = 32, NO_REASON = -1
};
#define TIMESTAMP_REASONS 3 /* reasons to drop a sample for its timestamp: TOO_OLD, TOO_FAR_AHEAD, LATE_GAUGE */

typedef struct span {
    const uint8_t *at;
    size_t size;
} span;

static inline uint64_t load64(const uint8_t *at) {
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint32_t load32(const uint8_t *at) {
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Compares by overlapping words: names are short, and calling memcmp costs as much as comparing them. */
static inline bool bytes_equal(const uint8_t *a, const uint8_t *b, size_t size) {
    if (size - 16 <= 16) {
        return ((load64(a) ^ load64(b)) | (load64(a + 8) ^ load64(b + 8)) |
                (load64(a + size - 16) ^ load64(b + size - 16)) | (load64(a + size - 8) ^ load64(b + size - 8))) == 0;
    }
    if (size >= 8) {
        uint64_t other = load64(a + size - 8) ^ load64(b + size - 8);
        for (; size > 16; size -= 16, a += 16, b += 16) /* the word loaded above is the last of the text */
            other |= (load64(a) ^ load64(b)) | (load64(a + 8) ^ load64(b + 8));
        if (size > 8) other |= load64(a) ^ load64(b);
        return other == 0;
    }
    if (size >= 4) return ((load32(a) ^ load32(b)) | (load32(a + size - 4) ^ load32(b + size - 4))) == 0;
    return size == 0 || (((a[0] ^ b[0]) | (a[size >> 1] ^ b[size >> 1]) | (a[size - 1] ^ b[size - 1])) == 0);
}

static inline bool span_equal(span a, span b) { return a.size == b.size && bytes_equal(a.at, b.at, a.size); }

/* memcpy of 0 bytes from NULL is undefined. */
static inline void span_copy(uint8_t *into, span from) {
    if (from.size > 0) memcpy(into, from.at, from.size);
}

/* Replaces an infinity by the largest finite double: the API carries neither infinity nor NaN. The values are finite,
 * so arithmetic can make an infinity, but no NaN. */
static inline double saturate(double value) {
    if (UNLIKELY(!(value <= FINITE && value >= -FINITE))) return value > 0 ? FINITE : -FINITE;
    return value;
}

/* Bounds of memory: the bytes in use and their limit, and the samples that one sketch stores exactly. */
typedef struct budget {
    size_t used, limit;
    uint16_t exact; /* 4 times a power of two, up to 32,768 */
} budget;

static inline bool budget_full(const budget *memory) { return memory->used >= memory->limit; }

/* Returns zeroed memory, or NULL. The caller checks the limit. */
static inline void *budget_alloc(budget *memory, size_t size) {
    void *block = calloc(1, size);
    if (block != NULL) memory->used += size;
    return block;
}

static inline void budget_free(budget *memory, void *block, size_t size) {
    if (block != NULL) memory->used -= size;
    free(block);
}

#endif
