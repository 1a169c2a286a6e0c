/* Sends copies of received data to other daemons, for example during a migration, or to a capture.
 *
 * Theory. Targets are connected datagram sockets, at most TEES_MOST, each at its place. A set of targets is immutable
 * and is replaced as a whole. It owns duplicates of its descriptors and has a reference count: the hot path and each
 * sending reader have a reference. The last release closes the descriptors. So a set can be replaced while readers
 * send, and no descriptor is used after it was closed.
 *
 * A reader acquires the set while it holds the hot path's lock, and sends after unlocking, with MSG_DONTWAIT: neither
 * the lock nor the reader waits for a copy. It sends after the batch was folded: our own numbers come first, and then
 * the denied datagrams are known. Without targets the cost is one branch for each batch.
 *
 * A place counts every datagram once: as sent (the system accepted it, which is all that UDP reports) or as dropped.
 * The counts belong to the place and outlive the set. */
#ifndef RELAY_TEE_H
#define RELAY_TEE_H

#include "base.h"

#include <stdatomic.h>
#include <sys/uio.h>

#define TEES_MOST 8
#define TEE_BATCH 64
#define PLACE_EMPTY (-1)
/* Size of a datagram that a tee makes of a stream's lines. Clients use the same size: it avoids IP fragmentation on
 * Ethernet, and every daemon reads that much. Loopback carries more, but its daemons may read less. */
#define COPY_BYTES 1432

typedef struct targets targets;

typedef struct copies {
    targets *targets; /* NULL: none; replaced and acquired under the hot path's lock */
    _Atomic uint64_t sent[TEES_MOST], dropped[TEES_MOST];
} copies;

/* Returns a set with one reference and duplicates of the descriptors, at most TEES_MOST. PLACE_EMPTY leaves its place
 * empty; any other negative number counts every copy as dropped. NULL: errno says why. */
targets *targets_new(const int *fds, size_t count);

/* Adds a reference; the caller has one, or the lock. */
targets *targets_acquire(targets *targets);

/* Removes a reference; the last one closes the descriptors. NULL is ignored. */
void targets_release(targets *targets);

static inline targets *copies_acquire(const copies *self) {
    return LIKELY(self->targets == NULL) ? NULL : targets_acquire(self->targets);
}

/* Sends each text (at most TEE_BATCH) as one datagram to each target. */
void copies_send(copies *self, const targets *targets, const struct iovec *texts, size_t count);

/* Sends lines in datagrams of whole lines, of at most COPY_BYTES; a longer line has its own datagram. */
void copies_send_lines(copies *self, const targets *targets, span text);

#endif
