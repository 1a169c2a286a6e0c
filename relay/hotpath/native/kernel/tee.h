/* Copies of what is received, to other daemons: the one that still runs during a move, or a capture.
 *
 * Theory. Targets are connected datagram sockets, each at its place, TEES_MOST of them. A set of targets never changes, it
 * is replaced as a whole. It owns duplicates of the descriptors it was made of and counts who holds it: the hot path,
 * and every reader that is sending. Who lets go last closes them. So a set can be replaced while readers send, and no
 * descriptor is used after its end, whatever has its number by then.
 *
 * A reader takes hold of the set while it has the hot path's lock anyway, and sends after it has let go of that: nobody
 * waits for a copy, neither the lock nor, with MSG_DONTWAIT, the reader. It sends when the batch is folded: our own
 * numbers come first, and only then it is known whose datagrams were denied. Without targets all of this is one branch
 * a batch.
 *
 * At its place every datagram is counted once: sent (the system took it, which is all that UDP can say) or dropped. The
 * counts belong to the place and outlive the set. */
#ifndef RELAY_TEE_H
#define RELAY_TEE_H

#include "base.h"

#include <stdatomic.h>
#include <sys/uio.h>

#define TEES_MOST 8
#define TEE_BATCH 64
#define PLACE_EMPTY (-1)
/* Bytes of a datagram made of a stream's lines. It is what clients send: no IP packet is cut up for it on Ethernet, where
 * losing one part loses all, and no daemon reads less. Loopback could take more, but a daemon's buffer may not. */
#define COPY_BYTES 1432

typedef struct targets targets;

typedef struct copies {
    targets *targets; /* NULL: none; changed and held under the hot path's lock */
    _Atomic uint64_t sent[TEES_MOST], dropped[TEES_MOST];
} copies;

/* Returns a set, held once, with duplicates of descriptors; PLACE_EMPTY leaves its place empty, and at the place of any
 * other negative number all copies are dropped. At most TEES_MOST. NULL: errno says why. */
targets *targets_new(const int *fds, size_t count);

/* Takes hold of a set; it or whoever else has it keeps it alive meanwhile. */
targets *targets_acquire(targets *targets);

/* Lets go of a set, or of NULL. */
void targets_release(targets *targets);

static inline targets *copies_acquire(const copies *self) {
    return LIKELY(self->targets == NULL) ? NULL : targets_acquire(self->targets);
}

/* Sends each text, at most TEE_BATCH of them, as a datagram to each target. */
void copies_send(copies *self, const targets *targets, const struct iovec *texts, size_t count);

/* Sends lines, as datagrams of whole lines with at most COPY_BYTES bytes; a longer line goes alone. */
void copies_send_lines(copies *self, const targets *targets, span text);

#endif
