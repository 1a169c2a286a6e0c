/* What is known about identities: which series, which sink, or a provisional while naming has not answered.
 *
 * Theory. An identity is name, kind and tags as they came, in one block behind its header, found by one keyed hash.
 * Once resolved it remembers the cell that takes its samples; `generation` says for which state of the tables that holds, so
 * closing a window forgets every cell at once. A line of a known series therefore costs three dependent reads: slot,
 * identity, cell. While its name is unknown, samples gather in a provisional per window, which joins a series later.
 *
 * Both kinds are bounded in number and bytes: aliases by evicting one that the current window does not use, provisionals
 * by refusing new ones (they fold into the catch-all of their class).
 *
 * Memory: 26 bytes and the text, 16 to 32 in the map; a provisional takes two cells, of a gauge with deltas five. */
#ifndef RELAY_IDENTITY_H
#define RELAY_IDENTITY_H

#include "series.h"

enum state { PENDING, RESOLVED, NO_SERIES };
enum route { TO_SERIES, TO_PENDING, TO_OVERFLOW, TO_CATCH_ALL };

/* What came for an identity in one window before naming answered; it is in no figure until then. It is as large as a
 * cell and comes from the same slabs: a flood of new names leaves room that the next window's cells use. */
typedef struct pending_samples {
    cell *cell;
    cell *relative; /* deltas before the first absolute value, as offsets from a base that is not known yet */
    struct pending_samples *overflow; /* of a gauge: what an overflow series takes, which is no line with deltas, and any time;
                                     NULL: all of it */
    struct pending_samples *older; /* of the closing window */
    uint32_t lines;  /* of this identity alone */
    uint32_t shared; /* samples, those dropped too, of lines that have other identities as well, and are accepted */
    uint32_t late;
    uint32_t dropped[LOST_REASONS]; /* by TOO_OLD and the reasons after it */
    uint32_t window;
    bool untimed; /* a gauge had a value without a time */
} pending_samples;

_Static_assert(sizeof(pending_samples) <= sizeof(cell), "a provisional lies in a cell's place");

typedef struct identity {
    cell *cell; /* takes the samples, if `generation` is the current one; NULL: the slow way */
    union {
        series *series;
        pending_samples *pending;
        struct {
            int reason;
            bool rejects;
        } no_series;
    } to;
    uint32_t generation; /* of the last use */
    uint32_t refs;  /* of a stand-in: aliases of its name with tags, while which it stays */
    uint16_t name_size, tags_size;
    uint8_t kind, state, route;
    uint8_t text[];
} identity;

static inline bool identity_is(const identity *identity, enum kind kind, span name, span tags) {
    return identity->kind == kind && identity->name_size == name.size && identity->tags_size == tags.size &&
           bytes_equal(identity->text, name.at, name.size) &&
           (tags.size == 0 || bytes_equal(identity->text + name.size, tags.at, tags.size));
}

/* Tags of a stand-in; no line holds a line feed. Its series is the overflow series of its name, for samples of identities
 * that find no room to wait for a name of their own: a metric that is known keeps its total at any pace. */
#define STAND_IN ((span){(const uint8_t *)"\n", 1})

static inline bool is_stand_in(const identity *identity) {
    return identity->tags_size == 1 && identity->text[identity->name_size] == '\n';
}

/* What naming an identity costs; the same figure as relay/hotpath/python/identities.py. */
static inline size_t naming_work(span name, span tags) {
    if (name.size > NAME_READ) name.size = NAME_READ;
    size_t others = 0;
    for (size_t i = 0; i < name.size; i++) others += name.at[i] >> 7;
    for (size_t i = 0; i < tags.size; i++) others += tags.at[i] >> 7;
    return NAMING_FIXED + name.size + tags.size + NAMING_OTHERS * others;
}

static inline span name_of_identity(const identity *identity) { return (span){identity->text, identity->name_size}; }
static inline span tags_of_identity(const identity *identity) {
    return (span){identity->text + identity->name_size, identity->tags_size};
}

static inline uint64_t identity_hash(const hash_key *key, enum kind kind, span name, span tags) {
    uint64_t state = hash_bytes(key, 1 + (uint64_t)kind, name);
    if (tags.size) state = hash_bytes(key, state, tags);
    return hash_finish(state);
}

static inline size_t identity_bytes(const identity *identity) {
    return sizeof *identity + identity->name_size + identity->tags_size;
}

#endif
