/* A file system that takes its time to make a socket and to remove files, for one process. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stddef.h>
#include <sys/socket.h>
#include <unistd.h>

static const char *_Atomic gate;

/* From now on nothing is made or removed before somebody has this named pipe open for writing. */
void close_gate(const char *path)
{
    gate = path;
}

static void pass(void)
{
    if (gate)
        close(open(gate, O_RDONLY));
}

int rmdir(const char *path)
{
    static int (*original)(const char *);
    if (!original)
        original = (int (*)(const char *))dlsym(RTLD_NEXT, "rmdir");
    pass();
    return original(path);
}

int unlink(const char *path)
{
    static int (*original)(const char *);
    if (!original)
        original = (int (*)(const char *))dlsym(RTLD_NEXT, "unlink");
    pass();
    return original(path);
}

int bind(int descriptor, const struct sockaddr *address, socklen_t size)
{
    static int (*original)(int, const struct sockaddr *, socklen_t);
    if (!original)
        original = (int (*)(int, const struct sockaddr *, socklen_t))dlsym(RTLD_NEXT, "bind");
    if (address->sa_family == AF_UNIX)
        pass();
    return original(descriptor, address, size);
}
