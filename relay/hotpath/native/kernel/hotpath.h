/* The hot path: datagrams in, rollups per series and window out. It has one table, which one thread uses at a time.
 *
 * Path of a line: hotpath_feed (feed.c) marks the structure of the datagram (scan.h), reads lines in groups of 32
 * (line.h), finds their identities with overlapping cache misses, and folds the values into cells. Other lines go to
 * slow_path.c: those with a new identity, a timestamp or several values, and those that overflow. identity.c has the
 * map of identities, resolve.c applies the answers of naming, windows.c opens and closes windows, lifecycle.c creates
 * and frees a hot path.
 *
 * Threads. A function locks by itself unless its comment says otherwise. A reader holds the lock for one batch of
 * datagrams. Every thread passes the gate before it waits for the lock, so no thread starves.
 *
 * Invariants: a line is accepted, an event, or rejected for one reason (I1); a sample is in one window (I2); memory
 * is bounded by the settings (I6); the hot path reads no clock and logs nothing (I7). */
#ifndef RELAY_HOTPATH_H
#define RELAY_HOTPATH_H

#include "filter.h"
#include "line.h"
#include "queue.h"
#include "record.h"
#include "senders.h"
#include "taps.h"
#include "tee.h"

#include <pthread.h>

typedef struct settings {
    size_t series_limit, series_per_metric, alias_limit, memory;
    int64_t window_seconds;
    double max_age, idle_gauge_ttl;
    uint16_t exact_samples;
    bool gauge_deltas; /* a gauge's number with a sign is a delta, not a value */
    uint64_t secret[4];
    bool separators[256]; /* bytes that may begin an inline tag */
    series_name catch_all[KINDS];
} settings;

/* Counters since the start; `open` and `closing` are gauges. `lines` counts a line as it comes, `received` once it has
 * its outcome. */
typedef struct counts {
    uint64_t datagrams, lines, truncated, received, accepted, events, samples, late, overflow, unnamed;
    uint64_t sections_ignored, tags_unread;
    uint64_t open, closing; /* samples in the open window; in the closing one, until it is handed out */
    uint64_t dropped[REASONS_MAX];
} counts;

/* A sender of new identities, with the newest one as an example. */
typedef struct top_sender {
    peer peer;
    uint64_t identities, work;
    uint8_t name_size, tags_size;
    uint8_t text[2 * SENDER_EXAMPLE_BYTES];
} top_sender;

/* A closed window: the caller reads its rows, then gives it back with hotpath_discard. */
typedef struct closed {
    window window;
    uint64_t samples;
    gauge_row *idle;
    size_t idle_used;
    struct closed *next;
} closed;

typedef struct hotpath {
    pthread_mutex_t gate, lock;
    settings settings;
    counts counts;
    uint64_t dropped_by_rule[RULES_COUNTED]; /* samples, since the rules took effect */
    rejects rejects;
    senders senders;
    allow_list allow_list;
    taps taps;
    bool is_filtered; /* the allow-list is on, or a tap of all lines */
    int dropped; /* why the line of the slow path has lost samples, or NO_REASON */
    copies copies;
    scanner *scan;
    registry registry;
    map identities;
    budget aliases_memory, pending_memory, slots_memory; /* the last one: of the map of identities */
    size_t aliases, stand_ins; /* the stand-ins are counted in both */
    size_t clock_hand, sweep_left; /* positions of eviction and of the sweep in the slots of `identities` */
    uint32_t generation; /* of the tables: a cell cached in another generation is invalid */
    uint32_t generation_opened, generation_before; /* when the open window began, and when the one before it began */
    uint32_t generation_renamed; /* naming is asked again for an identity that was last used before it */
    window open, closing;
    queue queue, closing_queue;
    top_sender top_senders[TOP_SENDERS];
    bool is_closing;
    bool gauges_begun;   /* the closing window is updating the gauges */
    size_t gauges_left;  /* gauges not updated yet */
    gauge_row *idle;     /* gauges that repeat their value */
    size_t idle_used;
    closed *discarded; /* windows given back, to be freed in parts */
    closed *_Atomic returned; /* windows given back, not in `discarded` yet */
    parser parser;
    marks marks;
    uint8_t *buffer; /* one datagram and its pad */
    double now;
} hotpath;

/* Returns NULL without memory. The spans of `settings` are copied. */
hotpath *hotpath_new(const settings *settings);

/* Changes the settings, without the secret. Entries beyond a lower limit stay until they expire. Without memory it
 * returns false and changes nothing. */
bool hotpath_configure(hotpath *self, const settings *settings);

/* Every closed window must have been discarded. */
void hotpath_free(hotpath *self);

static inline void hotpath_lock(hotpath *self) {
    pthread_mutex_lock(&self->gate);
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->gate);
}

static inline void hotpath_unlock(hotpath *self) { pthread_mutex_unlock(&self->lock); }

/* --- receiving (feed.c) ------------------------------------------------------------------------------------------- */

typedef struct datagram {
    const uint8_t *at; /* PAD readable bytes follow the text */
    size_t size;
    peer peer;
    bool truncated, denied;
} datagram;

/* Processes a batch of datagrams; the caller holds the lock. It sets `denied` of those that the allow-list denies,
 * and shortens truncated ones to their whole lines. */
void hotpath_feed_locked(hotpath *self, datagram *datagrams, size_t count, double now);

/* Processes one datagram, or lines of a stream, of at most DATAGRAM_BYTES + 1 bytes; tees get copies of the lines. A
 * peer is never NULL: see peer_unknown. */
void hotpath_feed(hotpath *self, span text, const peer *peer, double now);

/* Copies the data received from now on to these connected datagram sockets, at most TEES_MOST. The descriptors are
 * duplicated; for negative ones see targets_new. False: nothing has changed, and errno says why. */
bool hotpath_tee(hotpath *self, const int *fds, size_t count);

/* Counts a line that its listener rejected. */
void hotpath_reject(hotpath *self, span line, int reason, const peer *peer, double now);

/* Says whether the newest line of an identity went to an overflow series; an unknown one had no room. */
bool hotpath_overflows(hotpath *self, enum kind kind, span name, span tags);

/* --- naming (resolve.c) and windows (windows.c) ------------------------------------------------------------------- */

/* The answer of naming for an identity: its series and overflow series, or the reason why it has none. */
typedef struct answer {
    enum kind kind;
    span name, tags;
    bool has_no_series, rejects;
    int reason;
    size_t rule; /* that drops it, from 1; 0: none */
    series_name series, overflow;
} answer;

/* Copies up to `most` identities without an answer, those of the closing window first. Their texts stay valid until
 * the next call of hotpath_resolve. */
size_t hotpath_unresolved(hotpath *self, identity **found, size_t most);
void hotpath_resolve(hotpath *self, const answer *answers, size_t count);

void hotpath_open_window(hotpath *self, int64_t start);

/* Swaps the tables; false if the last closing window was not handed out yet. `folds`: the new window has only
 * catch-all series, because too many windows wait to be stored. `renames`: naming is asked again for each identity
 * when its next line arrives, so no call walks over all identities. */
bool hotpath_close_window(hotpath *self, int64_t next_start, bool folds, bool renames);

/* Moves pending samples of the closing window to the catch-all series, and updates gauges, in parts. Returns whether
 * the window is settled: repeat the call until it is. Identities of later lines are named as usual. */
bool hotpath_abandon_names(hotpath *self);

/* Says whether the closing window can be handed out. Each call updates a part of the gauges: repeat it until it is
 * true. */
bool hotpath_settled(hotpath *self);

/* Hands out the closing window; NULL if there is none, if it waits for names, or without memory. */
closed *hotpath_closed_window(hotpath *self);

/* Gives a closed window back. Any thread may call it, also while it holds the lock: the call does not lock, wait or
 * allocate. The window is freed in parts, by hotpath_unresolved and when the next window is handed out. */
void hotpath_discard(hotpath *self, closed *closed);

/* --- deleting and restoring (windows.c) --------------------------------------------------------------------------- */

/* Deletes a series from the open window, and the base of a gauge; says whether there was any. */
bool hotpath_delete(hotpath *self, const series_name *name);

/* Adds a record of a partial to the open window; the record stays the caller's. False: it is not valid, and nothing
 * has changed. */
bool hotpath_restore(hotpath *self, const series_name *name, const record *record);
bool hotpath_restore_gauge(hotpath *self, const series_name *name, double value, int64_t updated, double at);

/* --- between the files of the kernel, under the lock -------------------------------------------------------------- */

/* feed.c: counts a line and why it is rejected. */
void reject_line(hotpath *self, span line, int reason, const peer *peer);

/* slow_path.c: adds a parsed line, or rejects it. */
void slow_path_line(hotpath *self, const line *line, span text, const peer *peer);

/* slow_path.c: returns the time of the newest pending value of a gauge. */
double pending_at(const pending_samples *pending);

/* slow_path.c: returns the time of the newest value of a resolved gauge; -INFINITY for a stand-in, whose series mixes
 * many gauges. */
double identity_known_at(const identity *identity, const window *window);

/* identity.c: returns an identity, or NULL. */
identity *find_identity(const hotpath *self, uint64_t hash, enum kind kind, span name, span tags);

/* identity.c: returns an identity; a new one is queued for naming. If the queue is full: the stand-in of its name, or
 * NULL. */
identity *find_or_queue_identity(hotpath *self, enum kind kind, span name, span tags);

/* identity.c: counts the sender of an identity that is new, or that found no room in the queue. */
void count_sender(hotpath *self, const peer *peer, span name, span tags);

/* identity.c: adds a pending identity without samples to the map; NULL without memory. */
identity *identity_new(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, budget *memory);
void identity_remove(hotpath *self, slot *slot, budget *memory);
pending_samples *pending_new(hotpath *self);
void pending_free(hotpath *self, pending_samples *pending, enum kind kind);
void pending_free_all(hotpath *self, identity *identity);

/* Counts an identity that gains its answer (1) or loses it (-1). */
static inline void count_alias(hotpath *self, const identity *identity, int by) {
    self->aliases += (size_t)by;
    self->stand_ins += is_stand_in(identity) ? (size_t)by : 0;
}

/* identity.c: keeps the stand-in of an alias's name in the map while the alias is there. */
void retain_stand_in(hotpath *self, const identity *alias);
void release_stand_in(hotpath *self, const identity *alias);

/* identity.c: removes aliases that the last two windows did not use, among the next `count` slots. */
void sweep_aliases(hotpath *self, size_t count);

/* identity.c: removes aliases until their bounds hold, a part at a time. */
void evict_aliases(hotpath *self);

/* windows.c: updates the bases of up to `most` gauges from the closing window; true once all are updated. */
bool update_gauges(hotpath *self, size_t most);

/* windows.c: frees up to `most` entries of discarded windows. */
void release_discarded(hotpath *self, size_t most);

#endif
