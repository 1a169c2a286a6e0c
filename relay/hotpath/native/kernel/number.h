/* Strict decimal numbers: [+-]? (digits [. digits?] | . digits) ([eE] [+-]? digits)?, at most 64 bytes, finite.
 *
 * Theory. Most values have up to eight characters: digits and possibly a point. They are parsed without a loop. One
 * word is loaded, aligned so that missing leading digits are zeros, checked, and multiplied out in three steps
 * (SWAR). The point is removed and becomes a division by a power of ten. Mantissa and power are exact doubles, so the
 * quotient is correctly rounded. Other numbers are checked by the grammar. They are computed exactly where possible
 * (19 digits, 10^+-22), else by strtod in the C locale on a copy of at most 64 bytes.
 *
 * Invariant: the result equals Python's float(text), bit for bit. */
#ifndef RELAY_NUMBER_H
#define RELAY_NUMBER_H

#include "base.h"

#include <locale.h>

extern const double POWERS_OF_TEN[23];

/* Parses any number of the grammar; false for other texts, and for numbers that are not finite. */
bool number_read(span text, locale_t locale, double *number);

/* Parses 1 to 8 characters: digits and at most one point; false: use number_read. 8 bytes must be readable at `at`.
 * */
static inline bool number_quick(const uint8_t *at, size_t size, double *number) {
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    const uint64_t ones = 0x0101010101010101u;
    if (UNLIKELY(size - 1 > 7)) return false;
    unsigned blank = (unsigned)(64 - 8 * size);
    uint64_t word = load64(at) << blank | (ones * '0' & ~(~(uint64_t)0 << blank));
    unsigned decimals = 0;
    uint64_t points = word ^ (ones * '.');
    points = (points - ones) & ~points & (ones << 7);
    if (points != 0) { /* the first point; a second one fails the check for digits */
        unsigned shift = (unsigned)__builtin_ctzll(points) - 7;
        if (UNLIKELY(size == 1)) return false;
        decimals = (56 - shift) / 8;
        uint64_t below = ((uint64_t)1 << shift) - 1;
        word = (word & ~(below << 8 | 0xff)) | (word & below) << 8 | '0';
    }
    uint64_t digits = word - ones * '0';
    if (UNLIKELY(((digits | (digits + ones * 0x76)) & (ones << 7)) != 0)) return false;
    digits = digits * 10 + (digits >> 8);
    digits = ((digits & 0x000000ff000000ffu) * 0x000f424000000064u +
              (digits >> 16 & 0x000000ff000000ffu) * 0x0000271000000001u) >> 32;
    *number = (double)(uint32_t)digits;
    if (decimals != 0) *number /= POWERS_OF_TEN[decimals];
    return true;
#else
    (void)at, (void)size, (void)number;
    return false;
#endif
}

#endif
