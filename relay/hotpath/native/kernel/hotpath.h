/* The hot path: datagrams in, rollups per series and window out. One of these is one table with one reader at a time.
 *
 * Walk of a line: hotpath_feed (feed.c) marks the datagram, reads lines in groups of 32, looks up their identities with
 * the misses overlapped, and folds values into cells. What is not plain goes to slow_path.c: new identities, answers of
 * naming, overflow, timestamps, gauges without a base. Answers of naming arrive in resolve.c; windows.c opens and closes.
 *
 * Threads. Every function here takes the lock itself, but for the few that say otherwise. A reader holds it for one
 * batch of datagrams; who else wants it stands at the gate first, which the reader must pass as well: nobody starves.
 *
 * Invariants: I1 one fate per line; I2 a sample is in one window; I6 bounded by the limits given; I7 no clock is read
 * and nothing is logged; no Python. */
#ifndef RELAY_HOTPATH_H
#define RELAY_HOTPATH_H

#include "filter.h"
#include "line.h"
#include "queue.h"
#include "record.h"
#include "tee.h"

#include <pthread.h>

typedef struct settings {
    size_t series_limit, series_per_metric, alias_limit, memory;
    int64_t window_seconds;
    double max_age, idle_gauge_ttl;
    uint16_t exact_samples;
    bool gauge_deltas; /* a gauge's number with a sign is a delta, not a value */
    uint64_t secret[4];
    bool separators[256]; /* what may stand before an inline tag */
    series_name catch_all[KINDS];
} settings;

/* Counters since the start, and two stocks. */
typedef struct counts {
    uint64_t datagrams, truncated, received, accepted, events, samples, late, overflow, unnamed, sections_ignored, tags_unread;
    uint64_t open, closing; /* samples in the open window, and in the closing one until it is handed out */
    uint64_t dropped[REASONS_MAX];
} counts;

/* Who brought new identities, and an example of them. */
typedef struct top_sender {
    peer peer;
    uint64_t identities, work;
    uint8_t name_size, tags_size;
    uint8_t text[2 * SENDER_EXAMPLE_BYTES];
} top_sender;

/* A window whose rows can be read: it has left the hot path, and comes back by hotpath_discard. */
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
    rejects rejects;
    allow_list allow_list;
    tap tap;
    bool is_filtered;
    copies copies;
    scanner *scan;
    registry registry;
    map identities;
    budget aliases_memory, pending_memory, slots_memory; /* the last: of the map of identities, whatever they are */
    size_t aliases, stand_ins; /* the former count the latter, too */
    size_t clock_hand, sweep_left; /* where eviction and the sweep stand in the slots of `identities` */
    uint32_t generation;                       /* of the tables as they are: cells remembered under another one are void */
    uint32_t generation_opened, generation_before;  /* as it was when the open window began, and the one before */
    uint32_t generation_renamed;                 /* answers of naming that were last used before it are asked for again */
    window open, closing;
    queue queue, closing_queue;
    top_sender top_senders[TOP_SENDERS];
    bool is_closing;
    bool gauges_begun;     /* every name of the closing window is known: its gauges are looked at */
    size_t gauges_left;    /* of them */
    gauge_row *idle;       /* those found that repeat */
    size_t idle_used;
    closed *discarded; /* read, and to be given back a little at a time */
    closed *_Atomic returned; /* read, and not looked at yet */
    parser parser;
    marks marks;
    uint8_t *buffer; /* one datagram and its pad */
    double now;
} hotpath;

/* Returns NULL without memory. The spans of `settings` are copied. */
hotpath *hotpath_new(const settings *settings);

/* Sets other limits and series of last resort, but for the secret; false without memory: nothing has changed. What is
 * over a lower limit stays until it is not used any more. */
bool hotpath_configure(hotpath *self, const settings *settings);

/* Ends it; every closed window was discarded. */
void hotpath_free(hotpath *self);

static inline void hotpath_lock(hotpath *self) {
    pthread_mutex_lock(&self->gate);
    pthread_mutex_lock(&self->lock);
    pthread_mutex_unlock(&self->gate);
}

static inline void hotpath_unlock(hotpath *self) { pthread_mutex_unlock(&self->lock); }

/* --- receiving (feed.c) ------------------------------------------------------------------------------------------- */

typedef struct datagram {
    const uint8_t *at; /* with PAD readable bytes behind it */
    size_t size;
    peer peer;
    bool truncated, denied;
} datagram;

/* Takes datagrams that came together; the caller holds the lock. Marks those that the allow-list denies, and shortens
 * truncated ones to their whole lines. */
void hotpath_feed_locked(hotpath *self, datagram *datagrams, size_t count, double now);

/* Takes one datagram, or lines of a stream, at most DATAGRAM_BYTES + 1 bytes; targets get copies of the lines. */
void hotpath_feed(hotpath *self, span text, const peer *peer, double now);

/* Copies what is received from now on to these connected datagram sockets, which it duplicates; a negative descriptor
 * leaves its place empty. At most TEES_MOST. False: nothing has changed, errno says why. */
bool hotpath_tee(hotpath *self, const int *fds, size_t count);

/* Counts a line that was refused before it came here. */
void hotpath_reject(hotpath *self, span line, int reason, const peer *peer, double now);

/* --- naming (resolve.c) and windows (windows.c) --------------------------------------------------------------------------------- */

typedef struct answer {
    enum kind kind;
    span name, tags;
    bool has_no_series, rejects;
    int reason;
    series_name series, overflow;
} answer;

/* Copies up to `most` identities without an answer, those of the closing window first. The texts stay valid while
 * nobody calls hotpath_resolve. */
size_t hotpath_unresolved(hotpath *self, identity **found, size_t most);
void hotpath_resolve(hotpath *self, const answer *answers, size_t count);

void hotpath_open_window(hotpath *self, int64_t start);

/* Swaps the tables; false if the last closing window was not taken yet. `folds`: the window that opens has no series of
 * its own, since too many windows wait to be stored; `renames`: every identity of it is asked for again when its next line
 * comes, so nothing walks over all of them. */
bool hotpath_close_window(hotpath *self, int64_t next_start, bool folds, bool renames);

/* Gives what waits for its name in the closing window to the series of its class, a part at a time, and looks at a part
 * of the gauges; false: there is more. What its next line brings gets its name as ever. */
bool hotpath_abandon_names(hotpath *self);

/* Says whether the closing window waits for nothing; looks at a part of the gauges each time, so ask until it does. */
bool hotpath_settled(hotpath *self);

/* Hands out the closing window; NULL if there is none, or no memory to do so. */
closed *hotpath_closed_window(hotpath *self);

/* Gives it back, from any thread and whoever holds the lock: it takes none, waits for nothing and needs no memory. A part of
 * what was given back is freed whenever naming is asked for its work, and when the next window is handed out. */
void hotpath_discard(hotpath *self, closed *closed);

/* --- looking and restoring (windows.c) ------------------------------------------------------------------------------ */

/* Deletes a series from the open window, and a gauge's base; says whether there was one. */
bool hotpath_delete(hotpath *self, const series_name *name);

/* Adds a record of a partial to the open window; it is not kept. False: it is not sound, and nothing has changed. */
bool hotpath_restore(hotpath *self, const series_name *name, const record *record);
bool hotpath_restore_gauge(hotpath *self, const series_name *name, double value, int64_t updated, double at);

/* --- between the files of the kernel, under the lock -------------------------------------------------------------- */

/* slow_path.c: takes a line of which something is not plain. */
void slow_path_line(hotpath *self, const line *line, span text, const peer *peer);

/* slow_path.c: returns the time of a waiting gauge's newest value. */
double pending_at(const pending_samples *pending);

/* slow_path.c: returns the time of the newest value that is known of an answered gauge. */
double identity_known_at(const identity *identity, const window *window);

/* identity.c: returns what is known of an identity, or NULL. */
identity *find_identity(const hotpath *self, uint64_t hash, enum kind kind, span name, span tags);

/* identity.c: the same; a new one queues for naming. Without room there its name's stand-in, or NULL. */
identity *find_or_queue_identity(hotpath *self, enum kind kind, span name, span tags);

/* identity.c: notes who brought an identity that is new, or finds no room. */
void count_sender(hotpath *self, const peer *peer, span name, span tags);

identity *identity_new(hotpath *self, uint64_t hash, enum kind kind, span name, span tags, budget *memory);
void identity_remove(hotpath *self, slot *slot, budget *memory);
pending_samples *pending_new(hotpath *self);
void pending_free(hotpath *self, pending_samples *pending, enum kind kind);

/* Counts an identity that has its answer from now on, or no more. */
static inline void count_alias(hotpath *self, const identity *identity, int by) {
    self->aliases += (size_t)by;
    self->stand_ins += is_stand_in(identity) ? (size_t)by : 0;
}

/* identity.c: keeps the stand-in of an alias' name while the alias is there. */
void retain_stand_in(hotpath *self, const identity *alias);
void release_stand_in(hotpath *self, const identity *alias);

/* identity.c: drops aliases that the last two windows did not use, among the next `count` slots. */
void sweep_aliases(hotpath *self, size_t count);

/* identity.c: drops aliases until their bounds hold, a part at a time. */
void evict_aliases(hotpath *self);

/* windows.c: looks at up to `most` gauges of the closing window; true when all were looked at. */
bool update_gauges(hotpath *self, size_t most);

/* windows.c: gives back up to `most` entries of windows that were discarded. */
void release_discarded(hotpath *self, size_t most);
void pending_free_all(hotpath *self, identity *identity);

#endif
