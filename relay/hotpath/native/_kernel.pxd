"""The part of the kernel that the wrapper uses; the headers document it."""

from libc.stdint cimport int64_t, uint8_t, uint16_t, uint32_t, uint64_t

cdef extern from "kernel/export.h" nogil:
    ctypedef struct output:
        uint8_t *bytes
        size_t used
        bint failed
    ctypedef struct progress:
        size_t records
        int64_t window
        bint exhausted
    void hotpath_export(hotpath *self, progress *progress, bint changed, output *out)
    void output_free(output *out)

cdef extern from "kernel/receive.h" nogil:
    enum: SKETCH_BINS, SET_EXACT, SET_PRECISION, QUANTILE_EXACT, DATAGRAM_BYTES, TIMESTAMP_AHEAD
    enum: REJECTS_KEPT, REJECT_BYTES, REASONS, REASONS_MAX, BIN_BIAS, NETWORKS_MOST, RECORD_EXACT_MOST
    enum: TEES_MOST, COPY_BYTES, SECTION_READ, NAME_READ
    enum: NAMING_FIXED, NAMING_OTHERS, NAMING_WORK, RULES_COUNTED, TOP_SENDERS, SENDER_EXAMPLE_BYTES
    enum kind: COUNTER, TIMER, GAUGE, SET, KINDS

    ctypedef struct span:
        const uint8_t *at
        size_t size
    ctypedef struct budget:
        size_t used, limit
        uint16_t exact

    ctypedef struct sample:
        double value, weight
    ctypedef struct bin:
        double weight
        uint32_t key
    ctypedef struct sketch:
        double zero
        sample *exact
        uint32_t exact_used
        bint binned
    void sketch_free(sketch *self, budget *memory)
    void sketch_merge(sketch *self, const sketch *other, budget *memory)
    size_t sketch_size(const sketch *self)
    size_t sketch_ascending(const sketch *self, sample *into)
    double sketch_quantile(const sketch *self, double q, double low, double high)

    ctypedef struct distinct:
        pass
    double distinct_cardinality(const distinct *set)

    ctypedef struct cell:
        double count, sum, low, high, last, last_at
        uint64_t samples
        void *extra

    ctypedef struct record:
        kind kind
        uint64_t samples
        double count, sum, low, high, last, last_at
        bint has_sketch, binned
        const sample *exact
        const bin *positive
        const bin *negative
        size_t exact_used, positive_used, negative_used
        double zero
        bint has_hashes
        const uint64_t *hashes
        size_t hashes_used
        span registers

    ctypedef struct metric:
        uint16_t size
        uint8_t name[0]
    ctypedef struct gauge:
        series *series
        double base
        int64_t updated
        bint known
    ctypedef struct series:
        metric *metric
        uint16_t size
        uint8_t kind, derived
        uint8_t dimensions[0]
    ctypedef struct entry:
        series *series
        cell *cell
    ctypedef struct window:
        int64_t start
        entry *entries
        size_t used
    ctypedef struct gauge_row:
        series *series
        double value
    ctypedef struct series_name:
        span metric, dimensions
        kind kind
        bint derived
    ctypedef struct registry:
        gauge **gauges
        size_t gauges_used
        budget memory
    double gauge_base(const series *series, const window *window)
    double gauge_known_at(const series *series, const window *window)
    cell *series_cell(const series *series, const window *window)
    size_t window_series(const registry *registry, const window *window)

    ctypedef struct identity:
        uint16_t name_size, tags_size
        uint8_t kind
        uint8_t text[0]

    ctypedef struct peer:
        uint8_t address[16]
        uint16_t port, listener
        bint known
    peer peer_unknown(uint16_t listener)
    ctypedef struct rejected:
        double time
        peer peer
        int reason
        uint8_t size
        uint8_t line[0]
    ctypedef struct rejects:
        uint64_t counts[0]
        rejected ring[0]
        uint64_t seen
    enum: SENDERS_MOST
    ctypedef struct sender:
        peer peer
        uint64_t packets, lines, rejected
        double last_at
    ctypedef struct senders:
        size_t used
        sender places[0]
        rejected bad[0]

    ctypedef struct network:
        uint8_t address[16]
        unsigned bits
    ctypedef struct allow_list:
        network networks[0]
        size_t count
    bint allow_list_admits(const allow_list *allow_list, const peer *peer)
    enum: TAPS_MOST, TAP_TEXT, TAP_NAME, TAPPED_LINES, TAPPED_BYTES
    enum tap_of: TAP_ALL, TAP_REJECTED, TAP_DROPPED, TAP_UNDECIDED
    ctypedef struct tap_filter:
        tap_of of
        char pattern[256]
        char tags[2][256]
        network _from "from"
        bint has_from
        double rate
    ctypedef struct tapped:
        double time
        span text
        peer peer
        int reason
        tap_of of
    ctypedef struct tap:
        uint64_t matched, hidden, lost, unjudged, before
    ctypedef struct taps:
        tap *taps[4]
        bint is_open, takes_all
    int taps_open(taps *self, const tap_filter *filter, uint64_t before, double now)
    void taps_close(taps *self, int number)
    bint tap_pop(tap *self, tapped *into)

    ctypedef struct copies:
        uint64_t sent[0], dropped[0]

    ctypedef struct settings:
        size_t series_limit, series_per_metric, alias_limit, memory
        int64_t window_seconds
        double max_age, idle_gauge_ttl
        uint16_t exact_samples
        bint gauge_deltas
        uint64_t secret[4]
        bint separators[256]
        series_name catch_all[4]
    ctypedef struct counts:
        uint64_t datagrams, lines, truncated, received, accepted, events, samples, late, overflow, unnamed, sections_ignored, tags_unread
        uint64_t open, closing
        uint64_t dropped[0]
    ctypedef struct closed:
        window window
        uint64_t samples
        gauge_row *idle
        size_t idle_used
    ctypedef struct top_sender:
        peer peer
        uint64_t identities, work
        uint8_t name_size, tags_size
        uint8_t text[0]
    ctypedef struct hotpath:
        top_sender top_senders[0]
        counts counts
        uint64_t dropped_by_rule[RULES_COUNTED]
        rejects rejects
        senders senders
        allow_list allow_list
        taps taps
        bint is_filtered
        copies copies
        registry registry
        size_t aliases, stand_ins
        window open
        double now
    ctypedef struct answer:
        kind kind
        span name, tags
        bint has_no_series, rejects
        int reason
        size_t rule
        series_name series, overflow

    hotpath *hotpath_new(const settings *settings)
    void hotpath_free(hotpath *self)
    bint hotpath_configure(hotpath *self, const settings *settings)
    void hotpath_lock(hotpath *self)
    void hotpath_unlock(hotpath *self)
    void hotpath_feed(hotpath *self, span text, const peer *peer, double now)
    bint hotpath_tee(hotpath *self, const int *fds, size_t count)
    void hotpath_reject(hotpath *self, span line, int reason, const peer *peer, double now)
    bint hotpath_overflows(hotpath *self, kind kind, span name, span tags)
    size_t hotpath_unresolved(hotpath *self, identity **found, size_t most)
    void hotpath_resolve(hotpath *self, const answer *answers, size_t count)
    void hotpath_open_window(hotpath *self, int64_t start)
    bint hotpath_close_window(hotpath *self, int64_t next_start, bint folds, bint renames)
    bint hotpath_abandon_names(hotpath *self)
    bint hotpath_settled(hotpath *self)
    closed *hotpath_closed_window(hotpath *self)
    void hotpath_discard(hotpath *self, closed *closed)
    bint hotpath_delete(hotpath *self, const series_name *name)
    bint hotpath_restore(hotpath *self, const series_name *name, const record *record)
    bint hotpath_restore_gauge(hotpath *self, const series_name *name, double value, int64_t updated, double at)

    ctypedef struct receiver:
        pass
    receiver *receiver_new(hotpath *hotpath)
    void receiver_free(receiver *receiver)
    size_t receive(receiver *receiver, int fd, uint16_t listener, size_t most, double now)
    ctypedef struct reader:
        int fd, stop_fd
        uint16_t listener
        double delay
        uint64_t datagrams, wakes
    void reader_run(reader *reader, receiver *receiver)
