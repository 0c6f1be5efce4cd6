/* Two modules of the tests' own that make semaphore sets which httpd's answer does not tell of:
 *
 *   mod_secret   calls semget itself, so many times as SecretSets says, and gives the sets to the user
 *                of SecretUser; without it they stay root's
 *   mod_python   in the place of the real one (-D PYTHON): so many mutexes by APR's default as
 *                "PythonOption mod_python.mutex_locks" says
 *
 * What they take of httpd and APR: http_config.h (module, command_rec), http_core.h, apr_lock.h. */
#include <stdlib.h>
#include <string.h>
#include <sys/ipc.h>
#include <sys/sem.h>

enum { RAW_ARGS, TAKE1, TAKE2, RSRC_CONF = 128, MIDDLE = 10 };

struct command {
	const char *name;
	const char *(*run)();
	void *data;
	int where;
	int arguments;
	const char *help;
};

struct module {
	int version, minor, index;
	const char *name;
	void *handle, *next;
	unsigned long magic;
	void (*rewrite)(void *);
	void *(*config[4])();
	const struct command *commands;
	void (*hooks)(void *);
	int flags;
};

typedef int (*post_config)(void *, void *, void *, void *);

extern void ap_hook_post_config(post_config, const char *const *, const char *const *, int);
extern void apr_pool_cleanup_register(void *, const void *, int (*)(void *), int (*)(void *));
extern int apr_pool_cleanup_null(void *);

static int count;

static const char *take_number(void *cmd, void *dir, const char *number)
{
	(void)cmd, (void)dir;
	count = atoi(number);
	return NULL;
}

#ifdef PYTHON
extern int apr_global_mutex_create(void **, const char *, int, void *);
extern int ap_unixd_set_global_mutex_perms(void *);

enum { APR_LOCK_DEFAULT = 5 };

static const char *option(void *cmd, void *dir, const char *name, const char *value)
{
	return strcmp(name, "mod_python.mutex_locks") ? NULL : take_number(cmd, dir, value);
}

static int make(void *pconf, void *plog, void *ptemp, void *server)
{
	void *mutex;

	(void)plog, (void)ptemp, (void)server;
	for (int i = 0; i < count; i++)
		if (apr_global_mutex_create(&mutex, NULL, APR_LOCK_DEFAULT, pconf) ||
		    ap_unixd_set_global_mutex_perms(mutex))
			return 500;
	return 0;
}

static const struct command commands[] = {
	{ "PythonOption", (const char *(*)())option, NULL, RSRC_CONF, TAKE2, "" }, { 0 }
};
#else
static int *kept;
static int number, user;

static const char *take_user(void *cmd, void *dir, const char *number)
{
	(void)cmd, (void)dir;
	user = atoi(number);
	return NULL;
}

static int forget(void *unused)
{
	(void)unused;
	for (int i = 0; i < number; i++)
		semctl(kept[i], 0, IPC_RMID);
	number = 0;
	return 0;
}

static int make(void *pconf, void *plog, void *ptemp, void *server)
{
	(void)plog, (void)ptemp, (void)server;
	kept = realloc(kept, (count + 1) * sizeof *kept);
	apr_pool_cleanup_register(pconf, NULL, forget, apr_pool_cleanup_null);
	while (number < count) {
		struct semid_ds owner = { .sem_perm = { .uid = user, .gid = user, .mode = 0600 } };
		int id = semget(IPC_PRIVATE, 1, IPC_CREAT | 0600);

		if (id < 0 || semctl(id, 0, SETVAL, 1) < 0 || semctl(id, 0, IPC_SET, &owner) < 0)
			return 500;
		kept[number++] = id;
	}
	return 0;
}

static const struct command commands[] = {
	{ "SecretSets", (const char *(*)())take_number, NULL, RSRC_CONF, TAKE1, "" },
	{ "SecretUser", (const char *(*)())take_user, NULL, RSRC_CONF, TAKE1, "" },
	{ 0 }
};
#endif

static void hooks(void *pool)
{
	(void)pool;
	ap_hook_post_config(make, NULL, NULL, MIDDLE);
}

struct module NAME = { 20120211, 0, -1, FILE_NAME, NULL, NULL, 0x41503234UL, NULL, { NULL }, commands,
		       hooks, 0 };
