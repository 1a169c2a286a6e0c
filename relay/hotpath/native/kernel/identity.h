/* Identities: an identity has a series, or a reason why it has none, or pending samples until naming has answered.
 *
 * Theory. An identity is name, kind and tags as received, in one block behind its header, found by one keyed hash. A
 * resolved identity is an alias of its series. It caches the cell that receives its samples. The cache is valid while
 * `generation` equals that of the tables, so closing a window invalidates every cell at once. A line of a known
 * series costs three dependent reads: slot, identity, cell. Until naming has answered, samples gather in
 * `pending_samples`, one for each window; the answer merges them into a series.
 *
 * Aliases and pending identities are bounded in number and in bytes. An alias that the open window does not use is
 * evicted; a pending identity that finds no room folds into the overflow series of its name, or into the catch-all.
 *
 * Memory: 26 bytes and the text, 16 to 32 in the map; pending samples take two cells, those of a gauge with deltas
 * five. */
#ifndef RELAY_IDENTITY_H
#define RELAY_IDENTITY_H

#include "series.h"

enum state { PENDING, RESOLVED, NO_SERIES };
enum route { TO_SERIES, TO_PENDING, TO_OVERFLOW, TO_CATCH_ALL };

/* Samples of an identity in one window, until naming has answered; they are counted then. The struct has the size of
 * a cell and comes from the same slabs, so the room that a flood of new names leaves serves the next window's cells.
 * */
typedef struct pending_samples {
    cell *cell;
    cell *relative; /* deltas before the first absolute value: offsets from a base that is not known yet */
    struct pending_samples *overflow; /* of a gauge: samples for an overflow series (lines without deltas, of any time);
                                         NULL: all samples */
    struct pending_samples *older; /* those of the closing window */
    uint32_t lines;  /* lines that have only this identity */
    uint32_t shared; /* samples, also dropped ones, of lines that have other identities too and are accepted */
    uint32_t late;
    uint32_t dropped[TIMESTAMP_REASONS]; /* by reason, from TOO_OLD on */
    uint32_t window;
    bool untimed; /* a gauge had a value without a timestamp */
} pending_samples;

_Static_assert(sizeof(pending_samples) <= sizeof(cell), "pending samples use the room of a cell");

typedef struct identity {
    cell *cell; /* receives the samples while `generation` is the current one; NULL: slow path */
    union {
        series *series;
        pending_samples *pending;
        struct {
            int reason;
            bool rejects;
            uint16_t rule; /* number of the rule that drops it, from 1; 0: none, or one beyond RULES_COUNTED */
        } no_series;
    } to;
    uint32_t generation; /* generation of the tables at the last use */
    uint32_t refs;  /* of a stand-in: number of aliases of its name with tags; it stays while there are any */
    uint16_t name_size, tags_size;
    uint8_t kind, state, route;
    uint8_t text[];
} identity;

static inline bool identity_is(const identity *identity, enum kind kind, span name, span tags) {
    return identity->kind == kind && identity->name_size == name.size && identity->tags_size == tags.size &&
           bytes_equal(identity->text, name.at, name.size) &&
           (tags.size == 0 || bytes_equal(identity->text + name.size, tags.at, tags.size));
}

/* Tags of a stand-in; no line contains a line feed. The series of a stand-in is the overflow series of its name. It
 * receives the samples of identities that find no room in the queue, so a known metric keeps its total at any rate.
 * */
#define STAND_IN ((span){(const uint8_t *)"\n", 1})

static inline bool is_stand_in(const identity *identity) {
    return identity->tags_size == 1 && identity->text[identity->name_size] == '\n';
}

/* Returns the estimated work of naming an identity; the same figure as in relay/hotpath/python/identities.py. */
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
