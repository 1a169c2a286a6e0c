/* Sockets to hot path: batches by recvmmsg, and the loop of a reader thread.
 *
 * Theory. recvmmsg fills up to 64 buffers a call; each has room for one byte more than a datagram can have, so a longer
 * one is known to be truncated. Buffers lie 65,664 bytes apart: not a multiple of 4,096, or their beginnings would share
 * a few cache sets.
 *
 * At ordinary load the cost is waking up, 7 to 20 us a packet. So a reader that wakes sleeps on, until the packets that
 * a quarter of the socket's receive buffer holds (512 at most) have probably gathered, or `delay` has passed, and then
 * drains the queue. How long that is follows from the rate seen so far; at very low rates nothing would gather, and it
 * does not sleep. Below 1 MiB of buffer it never sleeps: 10 ms on the default buffer lost 48 % at 50,000 packets/s.
 *
 * The lock is held while a batch is folded, 128 KiB of it at a time, never while waiting. Datagrams are stamped with the
 * wall clock once a batch: this file is the reader, not the hot path, and may read the clock (I7). */
#ifndef RELAY_RECEIVE_H
#define RELAY_RECEIVE_H

#include "hotpath.h"

#include <stdatomic.h>

#define RECEIVE_MOST 64

typedef struct receiver receiver;

/* Returns NULL without memory. Each thread has its own. */
receiver *receiver_new(hotpath *hotpath);
void receiver_free(receiver *receiver);

/* Takes up to `most` (at most RECEIVE_MOST) datagrams that wait on a socket; returns how many. */
size_t receive(receiver *receiver, int fd, size_t most, double now);

/* What a reader thread is told, and tells. */
typedef struct reader {
    int fd, stop_fd; /* readable: stop */
    double delay;    /* seconds to sleep on after a wake-up, at most; 0: not at all */
    _Atomic uint64_t datagrams, wakes;
} reader;

/* Reads until `stop_fd` is readable, then takes what still waits. */
void reader_run(reader *reader, receiver *receiver);

#endif
