/* A process that keeps a number at one place in its memory and nowhere else: it receives the number
 * masked, and writes it to its place without keeping a copy. Prints "ready PID".
 *
 *   holder PLACE MASKED [WORD ...]
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/userfaultfd.h>
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define MASK 0x5a5a5a5a5a5a5a5aULL
#define MIB (1UL << 20)

static uint64_t masked;
/* Not zero, so that it is in .data. */
static volatile uint32_t data[2048] = {1};

static void die(const char *what)
{
	perror(what);
	exit(1);
}

/* Byte by byte, so that it never is in a register, or from there on the stack. */
static void write_word(volatile void *at, uint64_t word, int bytes)
{
	for (int i = 0; i < bytes; i++)
		((volatile uint8_t *)at)[i] = (uint8_t)(word >> 8 * i) ^ (uint8_t)MASK;
}

static void put(volatile void *at)
{
	write_word(at, masked, 4);
}

static void *map(size_t size, int flags, int fd)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, flags, fd, 0);
	if (at == MAP_FAILED)
		die("mmap");
	return at;
}

static char *page(void)
{
	return map(4096, MAP_PRIVATE | MAP_ANONYMOUS, -1);
}

static void ready(void)
{
	char line[32];
	int length = snprintf(line, sizeof line, "ready %d\n", getpid());
	if (write(1, line, length) != length)
		exit(1);
}

static void stay(void)
{
	ready();
	for (;;)
		pause();
}

static void nap(void)
{
	usleep(2000);
}

static void *outlive(void *unused)
{
	(void)unused;
	nap();
	stay();
	return NULL;
}

static int file(const char *path)
{
	int fd = open(path, O_RDWR);
	if (fd < 0)
		die(path);
	return fd;
}

static volatile sig_atomic_t awake;

static void wake(int unused)
{
	(void)unused;
	awake = 1;
}

static int is(const char *a, const char *b)
{
	return strcmp(a, b) == 0;
}

int main(int argc, char **argv)
{
	const char *place = argv[1];
	char *at;

	(void)argc;
	prctl(PR_SET_PDEATHSIG, 9);
	masked = strtoull(argv[2], NULL, 10);
	if (is(place, "nowhere")) {
		stay();
	} else if (is(place, "heap")) {
		put(malloc(4096));
	} else if (is(place, "data")) {
		put(&data[1024]);
	} else if (is(place, "stack")) {
		volatile uint32_t here[1024];
		put(&here[512]);
		stay();
	} else if (is(place, "protected")) {
		put(at = page());
		mprotect(at, 4096, PROT_NONE);
	} else if (is(place, "shared")) {
		put(map(MIB, MAP_SHARED | MAP_ANONYMOUS, -1));
	} else if (is(place, "shared-untouched")) {
		/* A child has written it; this process has only mapped it. */
		at = map(MIB, MAP_SHARED | MAP_ANONYMOUS, -1);
		if (fork() == 0) {
			put(at + MIB / 2);
			_exit(0);
		}
		wait(NULL);
	} else if (is(place, "file-shared")) {
		at = map(MIB, MAP_SHARED, file(argv[3]));
		put(at + MIB / 2);
	} else if (is(place, "file-written")) {
		at = map(MIB, MAP_PRIVATE, file(argv[3]));
		put(at + MIB / 2);
	} else if (is(place, "file-unwritten")) {
		at = map(MIB, MAP_PRIVATE, file(argv[3]));
		data[0] = *(volatile char *)at;
	} else if (is(place, "thread")) {
		pthread_t thread;
		put(malloc(4096));
		pthread_create(&thread, NULL, outlive, NULL);
		pthread_exit(NULL);
	} else if (is(place, "thread-shared")) {
		pthread_t thread;
		at = map(MIB, MAP_SHARED | MAP_ANONYMOUS, -1);
		put(at);
		pthread_create(&thread, NULL, outlive, NULL);
		pthread_exit(NULL);
	} else if (is(place, "worker")) {
		/* Two processes; the second shares what the first wrote before the fork. */
		memset(map(8 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1), 7, 8 * MIB);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, 9);
			put(page());
			stay();
		}
	} else if (is(place, "family")) {
		/* Both hold it, on a shared page. */
		at = map(8 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		memset(at, 7, 8 * MIB);
		put(at + 4096);
		if (fork() == 0) {
			prctl(PR_SET_PDEATHSIG, 9);
			stay();
		}
	} else if (is(place, "exec")) {
		/* Executes itself repeatedly, and passes the number on in its arguments, once for each
		 * possible alignment. */
		static char word[32];
		for (int i = 0; i < 4; i++) {
			put(&data[1024]);
			memcpy(word + 5 * i, (const void *)&data[1024], 4);
			word[5 * i + 4] = 'x';
		}
		if (!argv[3])
			ready();
		nap();
		execl("/proc/self/exe", "holder", "exec", argv[2], word, NULL);
	} else if (is(place, "become")) {
		/* Holds nothing until it executes another program, at the signal. */
		signal(SIGUSR1, wake);
		ready();
		while (!awake)
			usleep(1000);
		execl("/proc/self/exe", "holder", "data", argv[2], NULL);
	} else if (is(place, "hop")) {
		/* Continues as a child. */
		put(page());
		for (;;) {
			ready();
			usleep(300000);
			if (fork())
				_exit(0);
			prctl(PR_SET_PDEATHSIG, 0);
		}
	} else if (is(place, "move")) {
		/* Moves the page to a new address every few milliseconds. */
		put(at = page());
		ready();
		for (unsigned long i = 1;; i++) {
			void *to = (void *)(0x200000000000UL + (i % 100000) * 0x100000UL);
			nap();
			at = mremap(at, 4096, 4096, MREMAP_MAYMOVE | MREMAP_FIXED, to);
			if (at == MAP_FAILED)
				die("mremap");
		}
	} else if (is(place, "shift")) {
		/* At the signal, it moves from the end of a large object to its beginning. */
		at = map(64 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		memset(at, 7, 64 * MIB);
		put(at + 64 * MIB - 4096);
		signal(SIGUSR1, wake);
		ready();
		while (!awake)
			usleep(1000);
		put(at);
		memset(at + 64 * MIB - 4096, 7, 4096);
	} else if (is(place, "unfilled")) {
		/* Pages that block the first access. */
		struct uffdio_api api = {.api = UFFD_API};
		struct uffdio_register all = {.mode = UFFDIO_REGISTER_MODE_MISSING};
		int fd = syscall(SYS_userfaultfd, O_CLOEXEC);
		at = map(8 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		put(at + 4 * MIB);
		all.range.start = (unsigned long)at;
		all.range.len = 8 * MIB;
		if (fd < 0 || ioctl(fd, UFFDIO_API, &api) || ioctl(fd, UFFDIO_REGISTER, &all))
			die("userfaultfd");
	} else if (is(place, "restless")) {
		/* Endless new mappings, each at a different address. */
		ready();
		for (unsigned long i = 0;; i++) {
			char *to = (char *)(0x200000000000UL + (i % 1000000) * 0x100000UL);
			at = mmap(to, 4096, PROT_READ | PROT_WRITE,
				  MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0);
			if (at == MAP_FAILED)
				die("mmap");
			*at = 1;
			if (i >= 5)
				munmap(to - 5 * 0x100000UL, 4096);
		}
	} else if (is(place, "huge")) {
		at = map(8 * MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		at = (char *)(((uintptr_t)at + 2 * MIB) & ~(2 * MIB - 1));
		if (madvise(at, 4 * MIB, MADV_HUGEPAGE) != 0)
			die("MADV_HUGEPAGE");
		put(at + 3 * MIB);
	} else if (is(place, "sparse")) {
		at = map(65536 * MIB, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
		put(at + 40000 * MIB);
		at = map(65536 * MIB, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1);
		at[10 * MIB] = 1;
		map(16777216 * MIB, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1);
	} else if (is(place, "guarded")) {
		at = map(MIB, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		if (madvise(at, 65536, 102 /* MADV_GUARD_INSTALL */) != 0)
			die("MADV_GUARD_INSTALL");
		put(at + 65536);
	} else if (is(place, "secret")) {
#ifdef SYS_memfd_secret
		int fd = syscall(SYS_memfd_secret, 0);
		if (fd < 0 || ftruncate(fd, 4096) != 0)
			die("memfd_secret");
		put(map(4096, MAP_SHARED, fd));
#else
		errno = ENOSYS;
		die("memfd_secret");
#endif
	} else if (is(place, "words")) {
		volatile uint64_t *to = (volatile uint64_t *)page();
		for (int i = 3; argv[i]; i++)
			write_word(to++, strtoull(argv[i], NULL, 10), 8);
	} else if (is(place, "large")) {
		size_t size = strtoull(argv[3], NULL, 10) * MIB;
		uint32_t *to = map(size, MAP_PRIVATE | MAP_ANONYMOUS, -1);
		/* Looks like pointers and small integers. */
		for (size_t i = 0; i < size / 4; i++)
			to[i] = i & 1 ? 0x7f12 : (uint32_t)(i * 2654435761u);
	} else {
		errno = EINVAL;
		die(place);
	}
	stay();
}
