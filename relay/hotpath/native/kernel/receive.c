#include "receive.h"

#include <netinet/in.h>
#include <poll.h>
#include <sys/uio.h>
#include <time.h>

#define STRIDE 65664
#define GATHER_MOST 512
#define PACKET_MEMORY 2304        /* bytes of the receive buffer that a full datagram takes */
#define DELAY_BUFFER (1 << 20)    /* the smallest buffer with a delay */
#define HOLD_BYTES (128u << 10)   /* a batch of full datagrams over Ethernet is less */
#define DRAIN_MOST 65536          /* datagrams drained at stop: a busy sender must not delay the stop */

_Static_assert(RECEIVE_MOST <= TEE_BATCH, "a batch is copied at once");

struct receiver {
    hotpath *hotpath;
    uint8_t *buffers;
    struct mmsghdr headers[RECEIVE_MOST];
    struct iovec vectors[RECEIVE_MOST];
    struct sockaddr_storage addresses[RECEIVE_MOST];
    datagram datagrams[RECEIVE_MOST];
};

receiver *receiver_new(hotpath *hotpath) {
    receiver *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->hotpath = hotpath;
    self->buffers = calloc(RECEIVE_MOST, STRIDE);
    if (self->buffers == NULL) {
        free(self);
        return NULL;
    }
    for (size_t i = 0; i < RECEIVE_MOST; i++) {
        self->vectors[i] = (struct iovec){self->buffers + i * STRIDE, DATAGRAM_BYTES + 1};
        self->headers[i].msg_hdr.msg_iov = &self->vectors[i];
        self->headers[i].msg_hdr.msg_iovlen = 1;
        self->headers[i].msg_hdr.msg_name = &self->addresses[i];
    }
    return self;
}

void receiver_free(receiver *self) {
    if (self != NULL) free(self->buffers);
    free(self);
}

/* Copies received datagrams to the targets, without those of denied senders: the target sees our address only, and
 * could not deny them. */
static void copy_to(receiver *self, const targets *targets, size_t count) {
    struct iovec texts[RECEIVE_MOST];
    size_t used = 0;
    for (size_t i = 0; i < count; i++)
        if (!self->datagrams[i].denied)
            texts[used++] = (struct iovec){self->vectors[i].iov_base, self->datagrams[i].size};
    copies_send(&self->hotpath->copies, targets, texts, used);
}

/* Feeds a batch, and unlocks after every 128 KiB: 64 large datagrams may have 400,000 lines, and the event loop needs
 * the lock for names and counts. Returns the targets of copies, acquired. */
static targets *feed_in_parts(receiver *self, size_t count, double now) {
    targets *targets = NULL;
    for (size_t first = 0, end; first < count; first = end) {
        size_t bytes = 0;
        for (end = first; end < count && bytes < HOLD_BYTES; end++) bytes += self->datagrams[end].size;
        hotpath_lock(self->hotpath);
        hotpath_feed_locked(self->hotpath, self->datagrams + first, end - first, now);
        if (end == count) targets = copies_acquire(&self->hotpath->copies);
        hotpath_unlock(self->hotpath);
    }
    return targets;
}

size_t receive(receiver *self, int fd, uint16_t listener, size_t most, double now) {
    for (size_t i = 0; i < most; i++) self->headers[i].msg_hdr.msg_namelen = sizeof self->addresses[i];
    int received = recvmmsg(fd, self->headers, (unsigned)most, MSG_DONTWAIT, NULL);
    if (received <= 0) return 0;
    size_t count = (size_t)received;
    for (size_t i = 0; i < count; i++) {
        size_t size = self->headers[i].msg_len;
        bool truncated = size > DATAGRAM_BYTES || (self->headers[i].msg_hdr.msg_flags & MSG_TRUNC);
        peer peer = peer_of(&self->addresses[i], self->headers[i].msg_hdr.msg_namelen, listener);
        self->datagrams[i] = (datagram){self->vectors[i].iov_base, size, peer, truncated, false};
    }
    targets *targets = feed_in_parts(self, count, now);
    if (UNLIKELY(targets != NULL)) {
        copy_to(self, targets, count);
        targets_release(targets);
    }
    return count;
}

/* --- a reader thread ---------------------------------------------------------------------------------------------- */

static double seconds(clockid_t clock) {
    struct timespec now;
    clock_gettime(clock, &now);
    return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

/* Waits for one of the descriptors; true: stop. A negative timeout waits for ever. */
static bool wait_until(const reader *reader, bool readable, double timeout) {
    struct pollfd fds[2] = {{reader->stop_fd, POLLIN, 0}, {reader->fd, POLLIN, 0}};
    struct timespec limit = {(time_t)timeout, (long)((timeout - (double)(time_t)timeout) * 1e9)};
    ppoll(fds, readable ? 2 : 1, timeout < 0 ? NULL : &limit, NULL);
    return fds[0].revents != 0;
}

static size_t drain(reader *reader, receiver *receiver, size_t most) {
    size_t total = 0, count;
    do {
        count = receive(receiver, reader->fd, reader->listener, RECEIVE_MOST, seconds(CLOCK_REALTIME));
        total += count;
        atomic_fetch_add_explicit(&reader->datagrams, count, memory_order_relaxed);
    } while (count == RECEIVE_MOST && total < most);
    return total;
}

/* Returns how many datagrams may gather in the receive buffer; 0 if it is small. */
static double gather_of(const reader *reader) {
    int granted = 0;
    socklen_t size = sizeof granted;
    if (getsockopt(reader->fd, SOL_SOCKET, SO_RCVBUF, &granted, &size) < 0 || granted < DELAY_BUFFER) return 0;
    int held = granted / 4 / PACKET_MEMORY;
    return held < GATHER_MOST ? held : GATHER_MOST;
}

/* Returns the sleep after waking, in seconds, in which `gather` datagrams arrive at `rate` a second. */
static double choose_delay(const reader *reader, double gather, double rate) {
    if (rate * reader->delay < 2) return 0;
    double delay = gather / rate;
    return delay < reader->delay ? delay : reader->delay;
}

void reader_run(reader *self, receiver *receiver) {
    double gather = gather_of(self), rate = 0, last = seconds(CLOCK_MONOTONIC);
    while (!wait_until(self, true, -1)) {
        double delay = choose_delay(self, gather, rate);
        if (delay > 0 && wait_until(self, false, delay)) break;
        size_t count = drain(self, receiver, 8 * GATHER_MOST);
        double now = seconds(CLOCK_MONOTONIC);
        rate += 0.25 * ((double)count / (now - last + 1e-6) - rate);
        last = now;
        atomic_fetch_add_explicit(&self->wakes, 1, memory_order_relaxed);
    }
    drain(self, receiver, DRAIN_MOST);
}
