/* Copies of lines for people who watch: at most TAPS_MOST taps, each with a filter and a ring.
 *
 * Theory. Without a tap no line pays: the filter of all lines runs in the check that the allow-list uses, the other
 * filters where lines are rejected, and on the slow path, where samples are dropped. A tap counts every match. It
 * stores those that its rate shows, and the ring replaces the oldest if its reader is slow: a tap loses copies, never
 * samples. matched == hidden + lost + what was read + what is in the ring.
 *
 * Whether a line is dropped is not known while its name waits for naming. Such a line is stored as UNDECIDED, at the
 * same rate apart from the others, and is in no count: its reader decides. */
#ifndef RELAY_TAPS_H
#define RELAY_TAPS_H

#include "filter.h"

#define TAPS_MOST 4
#define TAPPED_LINES 1000
#define TAPPED_BYTES (1u << 20)
#define TAP_TEXT 255   /* longest pattern, and longest tag */
#define TAP_NAME 512   /* bytes of a name that are compared */

enum tap_of { TAP_ALL, TAP_REJECTED, TAP_DROPPED, TAP_UNDECIDED };

/* Texts are ended by NUL; empty: no filter. */
typedef struct tap_filter {
    enum tap_of of; /* all lines, rejected ones, or those with dropped samples */
    char pattern[TAP_TEXT + 1]; /* of names: `*` any text, `?` one byte */
    char tags[2][TAP_TEXT + 1]; /* a tag as `key:value`, and as `key=value` */
    network from;
    bool has_from;
    double rate; /* lines a second that are shown */
} tap_filter;

typedef struct tapped {
    double time;
    span text; /* an own copy */
    peer peer;
    int reason;      /* or NO_REASON */
    enum tap_of of;  /* what is known of it */
} tapped;

typedef struct allowance {
    double left, at;
} allowance;

typedef struct tap {
    tap_filter filter;
    allowance shown, undecided;
    tapped lines[TAPPED_LINES];
    size_t first, used, bytes;
    uint64_t matched, hidden, lost, unjudged;
    uint64_t before; /* lines that came before the tap began */
} tap;

typedef struct taps {
    tap *taps[TAPS_MOST]; /* NULL: free */
    const bool *separators; /* bytes that end a name; of the settings */
    bool is_open, takes_all; /* any; any of all lines */
} taps;

/* Begins a tap, at `before` lines; returns its number, or -1 if there are TAPS_MOST, or no memory. */
int taps_open(taps *self, const tap_filter *filter, uint64_t before, double now);
void taps_close(taps *self, int number);
void taps_close_all(taps *self);

/* Offers a line of a kind to the taps of that kind (an undecided one to those of dropped lines). */
void taps_offer(taps *self, span line, enum tap_of of, int reason, const peer *peer, double now);

/* Removes the oldest line of a tap into `into`, whose text the caller frees; false: there is none. */
bool tap_pop(tap *self, tapped *into);

#endif
