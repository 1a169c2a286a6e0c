/* A disk that stalls or fails, preloaded into a relay. While the file SICK_TRIGGER exists, whatever changes files under the
 * directory SICK_UNDER either sleeps (the trigger is empty; at most a minute) or fails with the errno whose number the
 * trigger holds. Everything else passes. */
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#define REAL(name) ((typeof(&name))dlsym(RTLD_NEXT, #name))
#define WRITES (O_WRONLY | O_RDWR | O_CREAT | O_TRUNC)

static int is_under(const char *path) {
    const char *under = getenv("SICK_UNDER");
    return under != NULL && strncmp(path, under, strlen(under)) == 0;
}

static int engaged(void) {
    const char *trigger = getenv("SICK_TRIGGER");
    return trigger != NULL && access(trigger, F_OK) == 0;
}

static int number(void) {
    int fd = REAL(open)(getenv("SICK_TRIGGER"), O_RDONLY);
    char text[16] = {0};
    if (fd < 0) return 0;
    ssize_t size = read(fd, text, sizeof text - 1);
    close(fd);
    return size > 0 ? atoi(text) : 0;
}

/* Leaves a file beside the trigger, by which a test sees that the disk holds a process up. */
static void tell(void) {
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%s.held", getenv("SICK_TRIGGER"));
    int fd = REAL(open)(path, O_WRONLY | O_CREAT, 0600);
    if (fd >= 0) close(fd);
}

/* Sleeps, or returns -1 with errno set. */
static int suffer(void) {
    int error = number();
    if (error != 0) {
        errno = error;
        return -1;
    }
    tell();
    for (int i = 0; i < 6000 && engaged(); i++) nanosleep(&(struct timespec){0, 10000000}, NULL);
    return 0;
}

static int touch(const char *path) { return engaged() && is_under(path) ? suffer() : 0; }

/* Of a path relative to a directory: only absolute ones, and those of a directory that is watched. */
static int touch_at(int directory, const char *path) {
    char link[64], base[PATH_MAX];
    if (path[0] == '/' || directory == AT_FDCWD || !engaged()) return touch(path);
    snprintf(link, sizeof link, "/proc/self/fd/%d", directory);
    ssize_t size = readlink(link, base, sizeof base - 1);
    if (size < 0) return 0;
    base[size] = '\0';
    return is_under(base) ? suffer() : 0;
}

static int touch_fd(int fd) { return engaged() ? touch_at(fd, "") : 0; }

ssize_t write(int fd, const void *bytes, size_t size) {
    return touch_fd(fd) ? -1 : REAL(write)(fd, bytes, size);
}

ssize_t writev(int fd, const struct iovec *parts, int count) {
    return touch_fd(fd) ? -1 : REAL(writev)(fd, parts, count);
}

ssize_t pwrite(int fd, const void *bytes, size_t size, off_t offset) {
    return touch_fd(fd) ? -1 : REAL(pwrite)(fd, bytes, size, offset);
}

ssize_t pwrite64(int fd, const void *bytes, size_t size, off64_t offset) {
    return touch_fd(fd) ? -1 : REAL(pwrite64)(fd, bytes, size, offset);
}

int fsync(int fd) { return touch_fd(fd) ? -1 : REAL(fsync)(fd); }

int fdatasync(int fd) { return touch_fd(fd) ? -1 : REAL(fdatasync)(fd); }

int ftruncate64(int fd, off64_t size) { return touch_fd(fd) ? -1 : REAL(ftruncate64)(fd, size); }

int ftruncate(int fd, off_t size) { return touch_fd(fd) ? -1 : REAL(ftruncate)(fd, size); }

int unlink(const char *path) { return touch(path) ? -1 : REAL(unlink)(path); }

int unlinkat(int directory, const char *path, int flags) {
    return touch_at(directory, path) ? -1 : REAL(unlinkat)(directory, path, flags);
}

int rename(const char *from, const char *to) { return touch(to) ? -1 : REAL(rename)(from, to); }

int renameat(int a, const char *from, int b, const char *to) {
    return touch_at(b, to) ? -1 : REAL(renameat)(a, from, b, to);
}

int mkdir(const char *path, mode_t mode) { return touch(path) ? -1 : REAL(mkdir)(path, mode); }

static mode_t mode_of(int flags, va_list rest) { return flags & O_CREAT ? va_arg(rest, mode_t) : 0; }

#define OPEN(name)                                                \
    int name(const char *path, int flags, ...) {                  \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode_t mode = mode_of(flags, rest);                       \
        va_end(rest);                                             \
        return flags & WRITES && touch(path) ? -1 : REAL(name)(path, flags, mode); \
    }
#define OPENAT(name)                                              \
    int name(int directory, const char *path, int flags, ...) {   \
        va_list rest;                                             \
        va_start(rest, flags);                                    \
        mode_t mode = mode_of(flags, rest);                       \
        va_end(rest);                                             \
        return flags & WRITES && touch_at(directory, path) ? -1 : REAL(name)(directory, path, flags, mode); \
    }

OPEN(open)
OPEN(open64)
OPENAT(openat)
OPENAT(openat64)
