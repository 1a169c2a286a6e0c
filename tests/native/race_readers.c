/* Invariant: readers on real sockets run without a data race (TSan) beside naming, closing, exporting, replacing
 * targets and stopping. A datagram that the system did not drop is counted once in the ledger, and once at a place
 * that always has a target. No descriptor of a target is used or left open after its end; ASan does not check that,
 * so descriptors are counted. */
#include "harness.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define READERS 2
#define DATAGRAMS 20000

typedef struct thread {
    pthread_t id;
    reader reader;
    receiver *receiver;
    struct sockaddr_in address;
} thread;

static void *read_all(void *given) {
    thread *self = given;
    reader_run(&self->reader, self->receiver);
    return NULL;
}

static void *send_all(void *given) {
    thread *self = given;
    int fd = socket(AF_INET, SOCK_DGRAM, 0);
    char text[128];
    for (int i = 0; i < DATAGRAMS; i++) {
        int size = snprintf(text, sizeof text, "a%d:1|c\nt:%d|ms|#x:%d\ng:+1|g\nu:%d|s\nbad", i % 20, i, i % 9, i);
        sendto(fd, text, (size_t)size, 0, (void *)&self->address, sizeof self->address);
        if (i % 64 == 0) usleep(200);
    }
    close(fd);
    return NULL;
}

static void start(thread *self, hotpath *hotpath) {
    socklen_t size = sizeof self->address;
    int room = 1 << 20;
    self->reader.fd = socket(AF_INET, SOCK_DGRAM, 0);
    self->reader.stop_fd = eventfd(0, 0);
    self->reader.delay = 0.01;
    self->address = (struct sockaddr_in){.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(self->reader.fd, SOL_SOCKET, SO_RCVBUFFORCE, &room, sizeof room);
    if (bind(self->reader.fd, (void *)&self->address, sizeof self->address) < 0) abort();
    getsockname(self->reader.fd, (void *)&self->address, &size);
    self->receiver = receiver_new(hotpath);
    pthread_create(&self->id, NULL, read_all, self);
}

static uint64_t stop(thread *self) {
    eventfd_write(self->reader.stop_fd, 1);
    pthread_join(self->id, NULL);
    receiver_free(self->receiver);
    close(self->reader.fd);
    close(self->reader.stop_fd);
    return self->reader.datagrams;
}

/* Replaces the targets: place 0 always has one, place 1 sometimes. No socket reads the copies, so most are dropped.
 * */
static void replace_targets(hotpath *self, int64_t round) {
    struct in_addr loopback = {htonl(INADDR_LOOPBACK)};
    struct sockaddr_in closed_port = {.sin_family = AF_INET, .sin_addr = loopback, .sin_port = htons(9)};
    int fds[2] = {socket(AF_INET, SOCK_DGRAM, 0), round % 3 ? -1 : socket(AF_INET, SOCK_DGRAM, 0)};
    for (size_t i = 0; i < 2; i++)
        if (fds[i] >= 0 && round % 2) connect(fds[i], (void *)&closed_port, sizeof closed_port);
    if (!hotpath_tee(self, fds, 2)) abort();
    for (size_t i = 0; i < 2; i++)
        if (fds[i] >= 0) close(fds[i]);
}

/* Returns the lowest free descriptor, which shows whether one was left open. */
static int next_descriptor(void) {
    int fd = dup(0);
    close(fd);
    return fd;
}

static uint64_t copied(const hotpath *self, size_t place) {
    return self->copies.sent[place] + self->copies.dropped[place];
}

int main(void) {
    int first = next_descriptor();
    hotpath *self = make_hotpath(100, 10000000);
    thread threads[READERS] = {0};
    pthread_t senders[READERS];
    uint64_t closed = 0, datagrams = 0;
    replace_targets(self, 0);
    for (size_t i = 0; i < READERS; i++) start(&threads[i], self);
    for (size_t i = 0; i < READERS; i++) pthread_create(&senders[i], NULL, send_all, &threads[i]);
    for (int64_t window = 1; window < 100; window++) {
        name_some(self, 64);
        if (window % 10 == 0) closed += close_and_read(self, START + 60 * window);
        export_all(self, window % 3);
        replace_targets(self, window);
        check_balance(self, closed);
        usleep(2000);
    }
    for (size_t i = 0; i < READERS; i++) pthread_join(senders[i], NULL);
    for (size_t i = 0; i < READERS; i++) datagrams += stop(&threads[i]);
    while (name_some(self, 64)) {}
    closed += close_and_read(self, START + 100000);
    check_balance(self, closed);
    if (datagrams != self->counts.datagrams || self->counts.received != 5 * datagrams) abort();
    if (copied(self, 0) != datagrams || copied(self, 1) == 0 || copied(self, 1) >= datagrams) abort();
    printf("%llu datagrams, %llu samples\n", (unsigned long long)datagrams, (unsigned long long)closed);
    hotpath_free(self);
    return datagrams == 0 || next_descriptor() != first;
}
