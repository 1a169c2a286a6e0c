#include "number.h"

#include <math.h>

const double POWERS_OF_TEN[23] = {1e0,  1e1,  1e2,  1e3,  1e4,  1e5,  1e6,  1e7,  1e8,  1e9,  1e10, 1e11,
                                  1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22};

/* A parsed number: up to 19 significant digits and their exponent. */
typedef struct decimal {
    uint64_t mantissa;
    int exponent;
    bool exact; /* all digits fit */
} decimal;

static size_t read_digits(span text, size_t from, decimal *seen, bool fraction) {
    size_t at = from;
    for (; at < text.size && text.at[at] >= '0' && text.at[at] <= '9'; at++) {
        unsigned digit = (unsigned)(text.at[at] - '0');
        if (seen->mantissa <= (UINT64_MAX - 9) / 10) {
            seen->mantissa = seen->mantissa * 10 + digit;
            seen->exponent -= fraction;
        } else {
            seen->exact = seen->exact && digit == 0;
            seen->exponent += !fraction;
        }
    }
    return at;
}

/* Parses from the `e` on; returns the end, or 0 if there are no digits. */
static size_t read_exponent(span text, size_t at, decimal *seen) {
    bool negative = false;
    at++;
    if (at < text.size && (text.at[at] == '+' || text.at[at] == '-')) negative = text.at[at++] == '-';
    size_t first = at;
    int exponent = 0;
    for (; at < text.size && text.at[at] >= '0' && text.at[at] <= '9'; at++)
        if (exponent < 100000) exponent = exponent * 10 + (text.at[at] - '0');
    seen->exponent += negative ? -exponent : exponent;
    return at == first ? 0 : at;
}

static bool read_grammar(span text, size_t from, decimal *seen) {
    size_t at = read_digits(text, from, seen, false), digits = at - from;
    if (at < text.size && text.at[at] == '.') {
        size_t end = read_digits(text, at + 1, seen, true);
        digits += end - at - 1;
        at = end;
    }
    if (digits == 0) return false;
    if (at < text.size && (text.at[at] | 0x20) == 'e') at = read_exponent(text, at, seen);
    return at == text.size;
}

static double read_by_libc(span text, locale_t locale) {
    char copy[NUMBER_BYTES + 1];
    memcpy(copy, text.at, text.size);
    copy[text.size] = '\0';
    return strtod_l(copy, NULL, locale);
}

bool number_read(span text, locale_t locale, double *number) {
    if (text.size == 0 || text.size > NUMBER_BYTES) return false;
    bool negative = text.at[0] == '-';
    size_t from = negative || text.at[0] == '+';
    decimal seen = {0, 0, true};
    if (!read_grammar(text, from, &seen)) return false;
    double value;
    if (seen.exact && seen.mantissa <= (uint64_t)1 << 53 && seen.exponent >= -22 && seen.exponent <= 22) {
        value = (double)seen.mantissa;
        value = seen.exponent < 0 ? value / POWERS_OF_TEN[-seen.exponent] : value * POWERS_OF_TEN[seen.exponent];
        value = negative ? -value : value;
    } else {
        value = read_by_libc(text, locale);
    }
    *number = value;
    return isfinite(value);
}
