/* An APR whose default is System V semaphores, as that of EL 6 to 8 or Ubuntu 18.04: preloaded, it
 * turns every "default" into them. Numbers: apr_lock.h, apr_lockmech_e. */
#define _GNU_SOURCE
#include <dlfcn.h>

enum { SYSVSEM = 2, DEFAULT = 5, DEFAULT_TIMED = 6 };

typedef int create(void **mutex, const char *file, int mechanism, void *pool);

static int by_sysvsem(const char *name, void **mutex, const char *file, int mechanism, void *pool)
{
	create *own = (create *)dlsym(RTLD_NEXT, name);

	if (mechanism == DEFAULT || mechanism == DEFAULT_TIMED)
		mechanism = SYSVSEM;
	return own(mutex, file, mechanism, pool);
}

int apr_proc_mutex_create(void **mutex, const char *file, int mechanism, void *pool)
{
	return by_sysvsem("apr_proc_mutex_create", mutex, file, mechanism, pool);
}

int apr_global_mutex_create(void **mutex, const char *file, int mechanism, void *pool)
{
	return by_sysvsem("apr_global_mutex_create", mutex, file, mechanism, pool);
}
