/* Counts packets, lines and rejected lines by the address of their sender.
 *
 * Theory. A fixed table has a place for SENDERS_MOST addresses, found by a keyed hash, so no sender can choose
 * addresses that collide. A packet costs one look-up, a line nothing. An address without a place counts in `others`:
 * the sums over all places and `others` are exact. While every place is taken, each packet of a new address checks
 * the next SENDERS_PROBED places and takes one that was silent for SENDERS_SILENT; the counts of that one move to
 * `others`. So a flood of random addresses costs a bounded step each, and no address that still sends loses its
 * place.
 *
 * An unknown peer (a Unix socket) is one sender for each listener. */
#ifndef RELAY_SENDERS_H
#define RELAY_SENDERS_H

#include "filter.h"
#include "hash.h"

#define SENDERS_MOST 1024
#define SENDERS_BUCKETS 2048
#define SENDERS_PROBED 4
#define SENDERS_SILENT 600.0 /* seconds */

typedef struct sender {
    peer peer;     /* the listener is that of the newest packet, the port that of the first */
    uint16_t next; /* in its bucket: index + 1; 0: none */
    uint64_t packets, lines, rejected;
    double last_at;
} sender;

typedef struct senders {
    hash_key key;
    size_t used, hand;
    uint16_t buckets[SENDERS_BUCKETS]; /* index + 1; 0: none */
    sender places[SENDERS_MOST + 1]; /* the last one: others */
    rejected bad[SENDERS_MOST + 1]; /* the newest rejected line of a place, if its `rejected` is not 0 */
} senders;

/* Returns the place of a peer that is not the first of its bucket; that of the others if there is none. */
sender *senders_find_or_add(senders *self, const peer *peer, double now);

static inline bool sender_is(const sender *sender, const peer *peer) {
    uint64_t other = (load64(sender->peer.address) ^ load64(peer->address)) |
                     (load64(sender->peer.address + 8) ^ load64(peer->address + 8));
    return other == 0 && sender->peer.known == peer->known;
}

static inline uint16_t *senders_bucket(senders *self, const peer *peer) {
    uint64_t low = load64(peer->address), high = load64(peer->address + 8) + peer->known;
    return &self->buckets[hash_mix(low ^ self->key.secret[0], high ^ self->key.secret[1]) % SENDERS_BUCKETS];
}

/* Returns the sender of what has just come, to which the caller adds packets and lines. */
static inline sender *senders_touch(senders *self, const peer *peer, double now) {
    uint16_t first = *senders_bucket(self, peer);
    sender *found = &self->places[first > 0 ? first - 1 : SENDERS_MOST];
    if (UNLIKELY(!sender_is(found, peer))) found = senders_find_or_add(self, peer, now);
    found->last_at = now;
    found->peer.listener = peer->listener;
    return found;
}

/* Counts a rejected line, and stores its beginning. */
void senders_reject(senders *self, span line, int reason, const peer *peer, double now);

#endif
