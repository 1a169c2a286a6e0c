/* The fast path: splits datagrams into lines, and folds the values of known lines into cells.
 *
 * Lines are processed in groups of 32, in several passes that overlap their cache misses. The passes parse lines and
 * prefetch the slots of their hashes; prefetch the identities of these slots; compare the identities and prefetch
 * their cells; prefetch sketches; prefetch their bins; fold the values in the order of the lines. While the lock is
 * held, no identity moves or is removed, so the results of a pass stay valid. A line for the slow path ends its group
 * first, so the order of lines is kept. */
#include "hotpath.h"

#define GROUP 32

typedef struct lines {
    item items[GROUP];
    size_t used;
} lines;

/* --- one line ----------------------------------------------------------------------------------------------------- */

void reject_line(hotpath *self, span line, int reason, const peer *peer) {
    self->counts.received++;
    rejects_add(&self->rejects, line, reason, peer, self->now);
    senders_reject(&self->senders, line, reason, peer, self->now);
    if (UNLIKELY(self->taps.is_open)) taps_offer(&self->taps, line, TAP_REJECTED, reason, peer, self->now);
}

/* Rejects a line that is not parsed; the taps of all lines have not seen it. */
static void reject_unparsed(hotpath *self, span line, int reason, const peer *peer) {
    if (UNLIKELY(self->taps.is_open)) taps_offer(&self->taps, line, TAP_ALL, reason, peer, self->now);
    reject_line(self, line, reason, peer);
}

/* Passes a line that line_quick parsed to the slow path, as a group of one value. */
static void slow_path_item(hotpath *self, const item *item) {
    value value = {item->value, item_member(item), item->relative};
    group group = {(enum kind)item->kind, item_tags(item), item->weight, NO_TIMESTAMP, 0, 0, &value, 1, NULL};
    line line = {item_name(item), &group, 1};
    slow_path_line(self, &line, (span){item->at, item->size}, item->peer);
}

/* Parses a line with the whole grammar, and adds or rejects it; false: it is blank. */
static bool slow_path_text(hotpath *self, span text, const peer *peer) {
    enum event event = text.size > 0 && text.at[0] == '_' ? line_event(text) : NO_EVENT;
    text = line_trim(text);
    if (text.size == 0) return false;
    if (event == EVENT) {
        self->counts.received++;
        self->counts.events++;
        return true;
    }
    line line;
    int reason = event == BROKEN_EVENT ? BAD_EVENT : line_parse(&self->parser, text, &line);
    if (reason == NO_REASON) slow_path_line(self, &line, text, peer);
    else reject_line(self, text, reason, peer);
    return true;
}

/* Folds a line into the cell that its identity caches; false: the slow path must add it. */
static inline bool fold_item(hotpath *self, const item *item, uint64_t *plain) {
    identity *identity = item->identity;
    if (UNLIKELY(identity == NULL || identity->generation != self->generation || identity->cell == NULL)) return false;
    if (UNLIKELY(identity->route >= TO_OVERFLOW)) {
        if (item->relative) return false;
        self->counts.overflow++;
        self->counts.unnamed += identity->route == TO_CATCH_ALL;
    }
    cell *cell = identity->cell;
    if (UNLIKELY(item->kind == SET)) {
        cell_add_member(cell, item_member(item), self->now, &self->registry.memory);
    } else {
        double value = item->value;
        if (UNLIKELY(item->relative)) value = saturate(cell->last + value);
        cell_add(cell, (enum kind)item->kind, value, item->weight, self->now, &self->registry.memory);
    }
    if (LIKELY(identity->route != TO_PENDING)) ++*plain;
    else identity->to.pending->lines++;
    return true;
}

/* --- a group of lines --------------------------------------------------------------------------------------------- */

/* Guesses the identity: the first item with the same hash. */
static inline void guess_identity(const hotpath *self, item *item) {
    const map *map = &self->identities;
    size_t mask = map->capacity - 1, at = item->hash & mask;
    while (map->slots[at].hash != item->hash && map->slots[at].hash != 0) at = (at + 1) & mask;
    item->identity = map->slots[at].item; /* NULL in a free slot */
    __builtin_prefetch(item->identity);
}

/* Checks the guess, finds the identity, and prefetches its cell; says whether the cell may have a sketch. */
static inline bool confirm_identity(const hotpath *self, item *item) {
    identity *found = item->identity;
    if (UNLIKELY(found == NULL)) return false;
    enum kind kind = (enum kind)item->kind;
    if (UNLIKELY(!identity_is(found, kind, item_name(item), item_tags(item)))) {
        item->identity = found = find_identity(self, item->hash, kind, item_name(item), item_tags(item));
        if (found == NULL) return false;
    }
    __builtin_prefetch(found->cell, 1);
    /* In another generation the cell may be free. */
    return kind == TIMER && found->cell != NULL && found->generation == self->generation;
}

static inline const sketch *sketch_for(const item *item) {
    const identity *identity = item->identity;
    return identity->cell->extra;
}

static void fold_lines(hotpath *self, lines *lines) {
    item *items = lines->items;
    uint8_t timers[GROUP];
    size_t count = lines->used, timers_used = 0;
    if (count == 0) return;
    for (size_t i = 0; i < count; i++) guess_identity(self, &items[i]);
    for (size_t i = 0; i < count; i++) {
        timers[timers_used] = (uint8_t)i;
        timers_used += confirm_identity(self, &items[i]);
    }
    for (size_t i = 0; i < timers_used; i++) __builtin_prefetch(sketch_for(&items[timers[i]]), 1);
    for (size_t i = 0; i < timers_used; i++) {
        const sketch *sketch = sketch_for(&items[timers[i]]);
        if (sketch != NULL) sketch_prefetch(sketch, items[timers[i]].value);
    }
    uint64_t plain = 0;
    for (size_t i = 0; i < count; i++)
        if (UNLIKELY(!fold_item(self, &items[i], &plain))) slow_path_item(self, &items[i]);
    self->counts.received += plain;
    self->counts.accepted += plain;
    self->counts.samples += plain;
    self->counts.open += plain;
    lines->used = 0;
}

/* Adds or rejects a line; false: it is blank. */
static bool add_line(hotpath *self, lines *lines, const uint8_t *text, size_t start, size_t end, const peer *peer) {
    item *item = &lines->items[lines->used];
    if (LIKELY(line_quick(&self->parser, text, &self->marks, start, end, item))) {
        item->peer = peer;
        item->hash = identity_hash(&self->registry.key, (enum kind)item->kind, item_name(item), item_tags(item));
        map_prefetch(&self->identities, item->hash);
        if (++lines->used == GROUP) fold_lines(self, lines);
        return true;
    }
    fold_lines(self, lines);
    return slow_path_text(self, (span){text + start, end - start}, peer);
}

/* --- datagrams ---------------------------------------------------------------------------------------------------- */

/* Rejects a line of a denied sender; false: it is blank. */
static bool deny(hotpath *self, span line, const peer *peer) {
    line = line_trim(line);
    if (line.size > 0) reject_unparsed(self, line, SOURCE_DENIED, peer);
    return line.size > 0;
}

static void offer_line(hotpath *self, span line, const peer *peer) {
    line = line_trim(line);
    if (line.size > 0) taps_offer(&self->taps, line, TAP_ALL, NO_REASON, peer, self->now);
}

/* Checks the allow-list and offers lines to the taps. False: the lines were denied, and added to `count`. */
static bool admit(hotpath *self, const datagram *datagram, size_t *count) {
    bool admitted = self->allow_list.count == 0 || allow_list_admits(&self->allow_list, &datagram->peer);
    for (size_t start = 0, end; start < datagram->size; start = end + 1) {
        end = next_mark(self->marks.feeds, start, datagram->size);
        span line = {datagram->at + start, end - start};
        if (!admitted) *count += deny(self, line, &datagram->peer);
        else if (self->taps.takes_all) offer_line(self, line, &datagram->peer);
    }
    return admitted;
}

/* Rejects the last line of a truncated datagram, which is incomplete. Returns the size of the other lines. */
static size_t without_last_line(hotpath *self, const datagram *datagram) {
    size_t last = datagram->size;
    while (last > 0 && datagram->at[last - 1] != '\n') last--;
    self->counts.truncated++;
    reject_unparsed(self, (span){datagram->at + last, datagram->size - last}, TRUNCATED, &datagram->peer);
    return last > 0 ? last - 1 : 0;
}

/* Adds or rejects the lines of a marked datagram; returns how many. */
static inline size_t add_lines(hotpath *self, const datagram *datagram, lines *lines) {
    size_t size = datagram->size, start = 0, count = 0;
    self->marks.feeds[size >> 6] |= (uint64_t)1 << (size & 63); /* ends a last line without a line feed */
    for (size_t word = 0; word <= size >> 6; word++)
        for (uint64_t feeds = self->marks.feeds[word]; feeds != 0; feeds &= feeds - 1) {
            size_t end = (word << 6) + (size_t)__builtin_ctzll(feeds);
            if (LIKELY(end > start)) count += add_line(self, lines, datagram->at, start, end, &datagram->peer);
            start = end + 1;
        }
    return count;
}

static void feed_datagram(hotpath *self, datagram *datagram, lines *lines) {
    sender *sender = senders_touch(&self->senders, &datagram->peer, self->now);
    size_t count = datagram->truncated;
    if (UNLIKELY(datagram->truncated)) datagram->size = without_last_line(self, datagram);
    self->scan(datagram->at, datagram->size, &self->marks);
    datagram->denied = UNLIKELY(self->is_filtered) && !admit(self, datagram, &count);
    if (LIKELY(!datagram->denied)) count += add_lines(self, datagram, lines);
    sender->packets++;
    sender->lines += count;
    self->counts.lines += count;
}

void hotpath_feed_locked(hotpath *self, datagram *datagrams, size_t count, double now) {
    lines lines;
    lines.used = 0;
    self->now = now;
    self->counts.datagrams += count;
    for (size_t i = 0; i < count; i++) feed_datagram(self, &datagrams[i], &lines);
    fold_lines(self, &lines);
}

void hotpath_feed(hotpath *self, span text, const peer *peer, double now) {
    size_t size = text.size > DATAGRAM_BYTES ? DATAGRAM_BYTES + 1 : text.size;
    hotpath_lock(self);
    memcpy(self->buffer, text.at, size);
    datagram datagram = {self->buffer, size, *peer, size > DATAGRAM_BYTES, false};
    hotpath_feed_locked(self, &datagram, 1, now);
    targets *targets = copies_acquire(&self->copies);
    hotpath_unlock(self);
    if (LIKELY(targets == NULL)) return;
    if (!datagram.denied) copies_send_lines(&self->copies, targets, (span){text.at, datagram.size});
    targets_release(targets);
}

void hotpath_reject(hotpath *self, span line, int reason, const peer *peer, double now) {
    hotpath_lock(self);
    self->now = now;
    senders_touch(&self->senders, peer, now)->lines++;
    self->counts.lines++;
    reject_unparsed(self, line, reason, peer);
    hotpath_unlock(self);
}
