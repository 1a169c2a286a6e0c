#include "tee.h"

#include <errno.h>
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

struct targets {
    _Atomic size_t refs;
    size_t count;
    int fds[TEES_MOST];
};

/* --- a set -------------------------------------------------------------------------------------------------------- */

targets *targets_new(const int *fds, size_t count) {
    targets *self = calloc(1, sizeof *self);
    if (self == NULL) return NULL;
    self->refs = 1;
    for (; self->count < count; self->count++) {
        int copy = fds[self->count] < 0 ? fds[self->count] : fcntl(fds[self->count], F_DUPFD_CLOEXEC, 3);
        if (copy < 0 && fds[self->count] >= 0) {
            int why = errno;
            targets_release(self);
            errno = why;
            return NULL;
        }
        self->fds[self->count] = copy;
    }
    return self;
}

targets *targets_acquire(targets *self) {
    atomic_fetch_add_explicit(&self->refs, 1, memory_order_relaxed);
    return self;
}

void targets_release(targets *self) {
    if (self == NULL || atomic_fetch_sub_explicit(&self->refs, 1, memory_order_acq_rel) > 1) return;
    for (size_t i = 0; i < self->count; i++)
        if (self->fds[i] >= 0) close(self->fds[i]);
    free(self);
}

/* --- sending ------------------------------------------------------------------------------------------------------ */

/* Returns how many messages the system accepted. An error may belong to an earlier datagram (ECONNREFUSED) and is
 * reported once, so a failed call is repeated once. A datagram that is too long is dropped alone. Any other error
 * would repeat, so the rest of the batch is dropped: a target that accepts nothing costs two calls for each batch. */
static size_t send_to(int fd, struct mmsghdr *messages, size_t count) {
    size_t sent = 0, at = 0;
    bool failed = false;
    while (at < count) {
        int accepted = sendmmsg(fd, messages + at, (unsigned)(count - at), MSG_DONTWAIT | MSG_NOSIGNAL);
        if (accepted > 0) {
            at += (size_t)accepted;
            sent += (size_t)accepted;
            failed = false;
        } else if (!failed) {
            failed = true;
        } else if (errno == EMSGSIZE) {
            at++;
            failed = false;
        } else {
            break;
        }
    }
    return sent;
}

void copies_send(copies *self, const targets *targets, const struct iovec *texts, size_t count) {
    struct mmsghdr messages[TEE_BATCH] = {0};
    struct iovec vectors[TEE_BATCH];
    memcpy(vectors, texts, count * sizeof *texts);
    for (size_t i = 0; i < count; i++) messages[i].msg_hdr = (struct msghdr){.msg_iov = &vectors[i], .msg_iovlen = 1};
    for (size_t place = 0; place < targets->count; place++) {
        int fd = targets->fds[place];
        if (fd == PLACE_EMPTY) continue;
        size_t sent = fd < 0 ? 0 : send_to(fd, messages, count);
        atomic_fetch_add_explicit(&self->sent[place], sent, memory_order_relaxed);
        atomic_fetch_add_explicit(&self->dropped[place], count - sent, memory_order_relaxed);
    }
}

/* Returns the end of the datagram that begins at `start`: the last line feed within COPY_BYTES, else the next one;
 * before an empty line it is `start`. */
static size_t copy_end(span text, size_t start) {
    const uint8_t *at = text.at + start;
    if (*at == '\n') return start;
    if (text.size - start <= COPY_BYTES) return text.size;
    const uint8_t *feed = memrchr(at, '\n', COPY_BYTES + 1);
    if (feed == NULL) feed = memchr(at + COPY_BYTES, '\n', text.size - start - COPY_BYTES);
    return feed == NULL ? text.size : (size_t)(feed - text.at);
}

void copies_send_lines(copies *self, const targets *targets, span text) {
    struct iovec texts[TEE_BATCH];
    size_t used = 0;
    for (size_t start = 0, end; start < text.size; start = end + 1) {
        end = copy_end(text, start);
        if (end == start) continue;
        texts[used++] = (struct iovec){(void *)(uintptr_t)(text.at + start), end - start};
        if (used < TEE_BATCH) continue;
        copies_send(self, targets, texts, used);
        used = 0;
    }
    if (used > 0) copies_send(self, targets, texts, used);
}
