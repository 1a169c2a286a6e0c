#include "senders.h"

_Static_assert(sizeof(sender) <= 64, "what a packet changes stays small");

static sender *find(senders *self, uint16_t place, const peer *peer) {
    for (; place > 0; place = self->places[place - 1].next)
        if (sender_is(&self->places[place - 1], peer)) return &self->places[place - 1];
    return NULL;
}

/* Moves the counts of a place to the others, and frees it. */
static void remove_sender(senders *self, const sender *removed) {
    size_t index = (size_t)(removed - self->places);
    uint16_t *link = senders_bucket(self, &removed->peer);
    while (*link != index + 1) link = &self->places[*link - 1].next;
    *link = removed->next;
    sender *others = &self->places[SENDERS_MOST];
    rejected *bad = &self->bad[SENDERS_MOST];
    others->packets += removed->packets;
    others->lines += removed->lines;
    others->rejected += removed->rejected;
    if (removed->last_at > others->last_at) others->last_at = removed->last_at;
    if (removed->rejected > 0 && self->bad[index].time >= bad->time) *bad = self->bad[index];
}

/* Returns a place for a new address; NULL if all are taken. */
static sender *free_place(senders *self, double now) {
    if (self->used < SENDERS_MOST) return &self->places[self->used++];
    for (size_t i = 0; i < SENDERS_PROBED; i++) {
        sender *probed = &self->places[self->hand++ % SENDERS_MOST];
        if (now - probed->last_at <= SENDERS_SILENT) continue;
        remove_sender(self, probed);
        return probed;
    }
    return NULL;
}

sender *senders_find_or_add(senders *self, const peer *peer, double now) {
    uint16_t *bucket = senders_bucket(self, peer);
    sender *found = find(self, *bucket, peer);
    if (found != NULL) return found;
    sender *made = free_place(self, now);
    if (made == NULL) return &self->places[SENDERS_MOST];
    *made = (sender){.peer = *peer, .next = *bucket, .last_at = now};
    *bucket = (uint16_t)(made - self->places + 1);
    return made;
}

void senders_reject(senders *self, span line, int reason, const peer *peer, double now) {
    const sender *found = find(self, *senders_bucket(self, peer), peer);
    size_t index = found != NULL ? (size_t)(found - self->places) : SENDERS_MOST;
    self->places[index].rejected++;
    rejected_set(&self->bad[index], line, reason, peer, now);
}
