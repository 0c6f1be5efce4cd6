/*
 * The cost of the kernel alone: simple loops over the calls that the guard cannot do without, and what
 * the benchmark needs to measure both. Built by "make bench".
 *
 *   floor orphans           SEM_STAT, GETPID, kill 0 and IPC_RMID of every set
 *   floor same-orphans      the guard's own calls for every set: the same, and the second look, which keeps a
 *                           set that was taken up meanwhile
 *   floor sets              SEM_STAT_ANY of every set
 *   floor processes         /proc/PID/stat and /proc/PID/exe of every process
 *   floor same-processes WHOSE
 *                           the guard's own calls for every process: status in place of stat, which lacks most
 *                           users, and for root's the identity of the file that it runs
 *   floor crowd N UID       N processes of this user, until it is killed; prints a line once all of them
 *                           are running
 *   floor httpd KIB N UID   a process with this much memory in use and a set whose last PID is dead, and
 *                           N workers of this user, each with 100 KiB of its own; prints a line once all
 *                           of them are running. Under the name httpd, the guard takes it for httpd
 *   floor time COMMAND …    runs the command and discards its output; prints the elapsed and the CPU
 *                           time in nanoseconds, the peak memory in KiB, and the exit code
 *
 * "time" is here because a small program has to start what is measured: the peak reported by wait4(2)
 * begins with the memory of the process that forked (fs/exec.c, exec_mmap).
 */
#define _GNU_SOURCE
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/sem.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#ifndef SEM_STAT_ANY
#define SEM_STAT_ANY 20
#endif

union semun {
	int val;
	struct semid_ds *buf;
	struct seminfo *info;
};

static int fail(const char *what)
{
	perror(what);
	return 1;
}

static int highest(void)
{
	struct seminfo info;
	union semun arg = { .info = &info };

	return semctl(0, 0, SEM_INFO, arg);
}

static int orphans(void)
{
	struct semid_ds ds;
	union semun arg = { .buf = &ds };
	int last = highest();

	for (int index = 0; index <= last; index++) {
		int id = semctl(index, 0, SEM_STAT, arg);

		if (id < 0)
			continue;
		if (kill(semctl(id, 0, GETPID), 0) < 0 && errno == ESRCH)
			semctl(id, 0, IPC_RMID);
	}
	return 0;
}

static int same_orphans(void)
{
	struct semid_ds ds;
	union semun arg = { .buf = &ds };
	int last = highest(), count = 0;
	int *ids = malloc((last + 1) * sizeof *ids);

	if (!ids)
		return fail("malloc");
	for (int index = 0; index <= last; index++) {
		int id = semctl(index, 0, SEM_STAT_ANY, arg);

		if (id >= 0 && kill(semctl(id, 0, GETPID), 0) < 0 && errno == ESRCH)
			ids[count++] = id;
	}
	for (int n = 0; n < count; n++) {
		int id = ids[n];

		if (semctl(id, 0, IPC_STAT, arg) < 0 || semctl(id, 0, GETPID) < 0)
			continue;
		if (semctl(id, 0, GETNCNT) == 0 && semctl(id, 0, GETZCNT) == 0 &&
		    semctl(id, 0, GETVAL) > 0)
			semctl(id, 0, IPC_RMID);
	}
	return 0;
}

static int sets(void)
{
	struct semid_ds ds;
	union semun arg = { .buf = &ds };
	int last = highest();

	for (int index = 0; index <= last; index++)
		semctl(index, 0, SEM_STAT_ANY, arg);
	return 0;
}

static int processes(const char *file, int identify)
{
	static char path[64], buffer[4096];
	struct stat st;
	DIR *proc = opendir("/proc");
	struct dirent *entry;

	if (!proc)
		return fail("/proc");
	while ((entry = readdir(proc))) {
		int fd;

		if (!isdigit((unsigned char)entry->d_name[0]))
			continue;
		snprintf(path, sizeof path, "/proc/%.20s/%s", entry->d_name, file);
		fd = open(path, O_RDONLY | O_CLOEXEC);
		if (fd >= 0) {
			if (read(fd, buffer, sizeof buffer) < 0)
				fail(path);
			close(fd);
		}
		snprintf(path, sizeof path, "/proc/%.20s/exe", entry->d_name);
		if (readlink(path, buffer, sizeof buffer) < 0 && errno != ENOENT)
			fail(path);
		if (identify && stat(path, &st) == 0 && st.st_uid != 0)
			fail(path);
	}
	closedir(proc);
	return 0;
}

static int crowd(int count, uid_t uid)
{
	for (int n = 0; n < count; n++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail("fork");
		if (pid > 0)
			continue;
		if (setgid(uid) < 0 || setuid(uid) < 0)
			return fail("setuid");
		for (;;)
			pause();
	}
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

/* Fills memory with words that are not semids: negative, and with no two pages alike. */
static void fill(unsigned *words, size_t count, unsigned with)
{
	for (size_t n = 0; n < count; n++)
		words[n] = 0x80000000u | (unsigned)n * 2654435761u | with;
}

static int httpd(size_t kib, int workers, uid_t uid)
{
	const size_t own = 100 * 1024 / sizeof(unsigned);
	size_t count = kib * 1024 / sizeof(unsigned);
	unsigned *words = malloc(count * sizeof(unsigned));
	int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);
	pid_t launcher;

	if (!words || id < 0)
		return fail("malloc, semget");
	fill(words, count, 1);
	launcher = fork();
	if (launcher == 0) {
		struct semid_ds ds = { .sem_perm = { .uid = uid, .gid = uid, .mode = 0600 } };

		_exit(semctl(id, 0, SETVAL, (union semun){ .val = 1 }) < 0 ||
		      semctl(id, 0, IPC_SET, (union semun){ .buf = &ds }) < 0);
	}
	if (launcher < 0 || waitpid(launcher, NULL, 0) < 0 || setsid() < 0)
		return fail("launcher");
	for (int n = 0; n < workers; n++) {
		pid_t pid = fork();

		if (pid < 0)
			return fail("fork");
		if (pid > 0)
			continue;
		fill(words, count < own ? count : own, n << 1);
		if (setgid(uid) < 0 || setuid(uid) < 0)
			return fail("setuid");
		for (;;)
			pause();
	}
	/* Time for the last of them to write its own memory. */
	sleep(1);
	puts("ready");
	fflush(stdout);
	for (;;)
		pause();
}

static int timed(char **command)
{
	struct timespec from, to;
	struct rusage usage;
	int status;
	pid_t pid;

	clock_gettime(CLOCK_MONOTONIC, &from);
	pid = vfork();
	if (pid < 0)
		return fail("vfork");
	if (pid == 0) {
		int null = open("/dev/null", O_RDWR);

		dup2(null, 1);
		dup2(null, 2);
		execvp(command[0], command);
		_exit(127);
	}
	if (wait4(pid, &status, 0, &usage) < 0)
		return fail("wait4");
	clock_gettime(CLOCK_MONOTONIC, &to);
	printf("%lld %lld %ld %d\n",
	       (to.tv_sec - from.tv_sec) * 1000000000LL + to.tv_nsec - from.tv_nsec,
	       (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000LL +
		       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000LL,
	       usage.ru_maxrss, WIFEXITED(status) ? WEXITSTATUS(status) : 128);
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";

	if (!strcmp(what, "orphans"))
		return orphans();
	if (!strcmp(what, "sets"))
		return sets();
	if (!strcmp(what, "same-orphans"))
		return same_orphans();
	if (!strcmp(what, "processes"))
		return processes("stat", 0);
	if (!strcmp(what, "same-processes") && argc == 3)
		return processes("status", !strcmp(argv[2], "root"));
	if (!strcmp(what, "crowd") && argc == 4)
		return crowd(atoi(argv[2]), strtoul(argv[3], NULL, 10));
	if (!strcmp(what, "httpd") && argc == 5)
		return httpd(strtoul(argv[2], NULL, 10), atoi(argv[3]), strtoul(argv[4], NULL, 10));
	if (!strcmp(what, "time") && argc > 2)
		return timed(argv + 2);
	fprintf(stderr, "floor: see the head of bench/floor.c\n");
	return 64;
}
